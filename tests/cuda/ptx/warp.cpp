// What the threads of a warp do together.
#include "machine.hpp"

#include <algorithm>

namespace ptx {

bool execute_matrices(const Instruction &i, Warp &warp);

namespace {

/// Calls `function` for each lane that takes part.
template <class F> void lanes(const Warp &warp, F function) {
    for (unsigned lane = 0; lane < WARP; lane++)
        if (warp.has(lane)) function(lane, *warp.lanes[lane]);
}

void shuffle(const Instruction &i, Warp &warp) {
    uint64_t values[WARP] = {};
    lanes(warp, [&](unsigned lane, Thread &thread) { values[lane] = uint32_t(bits(thread, i.operands[1])); });
    lanes(warp, [&](unsigned lane, Thread &thread) {
        unsigned by = bits(thread, i.operands[2]) & 31, limits = bits(thread, i.operands[3]);
        unsigned segment = limits >> 8 & 31, last = (lane & segment) | (limits & 31 & ~segment);
        int from;
        bool inside;
        if (i.has("up")) inside = (from = int(lane) - int(by)) >= int(last);
        else if (i.has("down")) inside = (from = lane + by) <= int(last);
        else if (i.has("bfly")) inside = (from = lane ^ by) <= int(last);
        else inside = (from = (lane & segment) | (by & ~segment)) <= int(last);
        if (!inside) from = lane;
        if (!warp.has(from)) stop("a lane that does not take part is asked: " + i.text);
        const Operand &to = i.operands[0];
        if (to.kind != Operand::Kind::vector) return put<uint64_t>(thread, to, values[from]);
        thread.at(to.slots[0]) = values[from];
        if (to.slots[1] >= 0) thread.at(to.slots[1]) = inside;
    });
}

void vote(const Instruction &i, Warp &warp) {
    uint32_t ballot = 0;
    lanes(warp, [&](unsigned lane, Thread &thread) { ballot |= uint32_t(predicate(thread, i.operands[1])) << lane; });
    uint32_t all = ballot == warp.mask;
    uint32_t result = i.has("ballot") ? ballot : i.has("any") ? ballot != 0 : i.has("all") ? all : all || ballot == 0;
    lanes(warp, [&](unsigned, Thread &thread) { put<uint32_t>(thread, i.operands[0], result); });
}

void reduce(const Instruction &i, Warp &warp) {
    std::vector<int64_t> values;
    lanes(warp, [&](unsigned, Thread &thread) { values.push_back(integer(thread, i.operands[1], i.type)); });
    int64_t result = values[0];
    for (size_t k = 1; k < values.size(); k++) {
        if (i.has("add")) result += values[k];
        else if (i.has("min")) result = std::min(result, values[k]);
        else if (i.has("max")) result = std::max(result, values[k]);
        else if (i.has("and")) result &= values[k];
        else if (i.has("or")) result |= values[k];
        else result ^= values[k];
    }
    lanes(warp, [&](unsigned, Thread &thread) { put<uint32_t>(thread, i.operands[0], result); });
}

void elect(const Instruction &i, Warp &warp) {
    unsigned first = __builtin_ctz(warp.mask);
    lanes(warp, [&](unsigned lane, Thread &thread) {
        const Operand &to = i.operands[0];
        if (to.slots[0] >= 0) thread.at(to.slots[0]) = first;
        thread.at(to.slots[1]) = lane == first;
    });
}

} // namespace

void execute_together(const Instruction &i, Warp &warp) {
    if (i.name == "shfl") shuffle(i, warp);
    else if (i.name == "vote") vote(i, warp);
    else if (i.name == "redux") reduce(i, warp);
    else if (i.name == "elect") elect(i, warp);
    else if (i.name == "activemask") lanes(warp, [&](unsigned, Thread &thread) { put<uint32_t>(thread, i.operands[0], warp.mask); });
    else if (i.name != "bar" && !execute_matrices(i, warp)) stop("not executed here: " + i.text);
}

} // namespace ptx
