// Barriers in shared memory (`mbarrier`): so many have to arrive, then the next phase begins.
#include "machine.hpp"

namespace ptx {

namespace {

/// How the 64 bits are used is not for programs to know.
struct Barrier {
    uint32_t pending : 20, expected : 20, phase : 1;
};

Barrier read(const uint8_t *memory) {
    uint64_t bits;
    memcpy(&bits, memory, sizeof bits);
    Barrier barrier;
    barrier.pending = bits & 0xfffff;
    barrier.expected = bits >> 20 & 0xfffff;
    barrier.phase = bits >> 40 & 1;
    return barrier;
}

void write(uint8_t *memory, Barrier barrier) {
    uint64_t bits = barrier.pending | uint64_t(barrier.expected) << 20 | uint64_t(barrier.phase) << 40;
    memcpy(memory, &bits, sizeof bits);
}

bool begin(Thread &thread, const Instruction &i) {
    uint32_t count = value<uint32_t>(thread, i.operands[1]);
    write(place(thread, i, i.operands[0], 8), {count, count, 0});
    return true;
}

/// Gives the barrier as it was before.
bool arrive(Thread &thread, const Instruction &i) {
    bool gives = i.name == "mbarrier";
    uint8_t *memory = place(thread, i, i.operands[gives ? 1 : 0], 8);
    uint64_t before;
    memcpy(&before, memory, sizeof before);
    Barrier barrier = read(memory);
    uint32_t count = gives && i.operands.size() > 2 ? value<uint32_t>(thread, i.operands[2]) : 1;
    if (count > barrier.pending) stop("more arrive than a barrier waits for: " + i.text);
    barrier.pending -= count;
    if (barrier.pending == 0) {
        barrier.pending = barrier.expected;
        barrier.phase ^= 1;
    }
    write(memory, barrier);
    if (gives) put<uint64_t>(thread, i.operands[0], before);
    return true;
}

/// Whether the phase is over that is meant by its number's last bit, or by what `arrive` gave. A thread that is told no asks again, but first
/// others go on.
bool ask(Thread &thread, const Instruction &i) {
    uint64_t given = bits(thread, i.operands[2]);
    uint32_t phase = i.has("parity") ? given & 1 : given >> 40 & 1;
    bool over = read(place(thread, i, i.operands[1], 8)).phase != phase;
    put<uint64_t>(thread, i.operands[0], over);
    if (!over) thread.state = State::asking;
    return over;
}

} // namespace

bool resolve_barriers(Instruction &i) {
    i.space = Space::shared;
    // Copies are done at once, so that what would arrive after them has, and of it no more was to be expected.
    if (i.name == "cp") i.execute = i.has("noinc") ? arrive : nothing;
    else if (i.name != "mbarrier") return false;
    else if (i.has("init")) i.execute = begin;
    else if (i.has("inval")) i.execute = nothing;
    else if (i.has("arrive") && !i.has("expect_tx")) i.execute = arrive;
    else if (i.has("test_wait") || i.has("try_wait")) i.execute = ask;
    else return false;
    return true;
}

} // namespace ptx
