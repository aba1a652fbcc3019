// Where a thread goes on, and how those of a block take turns; and what the driver calls.
#include "machine.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace ptx {

void stop(const std::string &why) {
    fprintf(stderr, "emulated GPU: %s\n", why.c_str());
    abort();
}

bool Instruction::has(const char *modifier) const {
    return std::find(modifiers.begin(), modifiers.end(), modifier) != modifiers.end();
}

namespace {

bool branch(Thread &thread, const Instruction &i) {
    thread.next = i.target;
    return false;
}

bool finish(Thread &thread, const Instruction &) {
    thread.state = State::done;
    return false;
}

bool wait_for_block(Thread &thread, const Instruction &) {
    thread.state = State::at_barrier;
    return false;
}

bool wait_for_warp(Thread &thread, const Instruction &) {
    thread.state = State::with_warp;
    thread.next--;
    return false;
}

bool trap(Thread &thread, const Instruction &) { stop("a trap in " + thread.function->name); }

/// Executes what follows for threads that have come to the same instruction, until they part or come to where others are.
void go(Thread *const *threads, unsigned count, size_t others) {
    const Instruction *code = threads[0]->function->code.data();
    bool together = true;
    for (size_t at = threads[0]->next; together && at < others; at++) {
        const Instruction &i = code[at];
        for (unsigned k = 0; k < count; k++) {
            Thread &thread = *threads[k];
            thread.next = at + 1;
            if (i.guard >= 0 && bool(thread.at(i.guard) & 1) == i.guard_negated) continue;
            together &= i.execute(thread, i);
        }
    }
}

constexpr size_t NOWHERE = ~size_t(0);

/// The first instruction, not before `from`, that a thread in this state has come to.
size_t furthest_behind(const Thread *threads, unsigned count, State state, size_t from = 0) {
    size_t least = NOWHERE;
    for (unsigned lane = 0; lane < count; lane++)
        if (threads[lane].state == state && threads[lane].next >= from) least = std::min(least, threads[lane].next);
    return least;
}

/// Runs a warp until all of its threads have ended, wait for the block or ask for others. Lanes that have come to the same instruction execute
/// it at once, those first that are the furthest behind. So do GPUs, though they promise it only where a program says so, and Burn's products of
/// matrices count on it: a lane reads from shared memory what others have just written.
void go_together(Thread *threads, unsigned count) {
    for (;;) {
        State state = State::running;
        size_t at = furthest_behind(threads, count, state);
        // Those who ask may have to take part in what the others wait for.
        if (at == NOWHERE && furthest_behind(threads, count, State::asking) == NOWHERE)
            at = furthest_behind(threads, count, state = State::with_warp);
        if (at == NOWHERE) return;
        Warp warp;
        Thread *chosen[WARP];
        unsigned number = 0;
        for (unsigned lane = 0; lane < count; lane++) {
            warp.lanes[lane] = &threads[lane];
            if (threads[lane].state != state || threads[lane].next != at) continue;
            warp.mask |= 1u << lane;
            chosen[number++] = &threads[lane];
        }
        if (state == State::running) {
            go(chosen, number, furthest_behind(threads, count, state, at + 1));
            continue;
        }
        execute_together(threads[0].function->code[at], warp);
        for (unsigned k = 0; k < number; k++) {
            chosen[k]->next++;
            chosen[k]->state = State::running;
        }
    }
}

void run_block(const Block &block, const Function &function, std::vector<Thread> &threads, std::vector<uint64_t> &registers) {
    unsigned count = block.dimensions[0] * block.dimensions[1] * block.dimensions[2];
    size_t slots = function.registers.size(), warps = (count + WARP - 1) / WARP;
    registers.resize(warps * slots * WARP);
    for (size_t k = 0; k < registers.size(); k++) registers[k] = function.registers[k / WARP % slots];
    threads.resize(count);
    for (unsigned k = 0; k < count; k++) {
        Thread &thread = threads[k];
        thread.registers = &registers[k / WARP * slots * WARP + k % WARP];
        thread.local.assign(function.local, 0);
        thread.next = 0;
        thread.state = State::running;
        thread.function = &function;
        thread.block = &block;
        thread.index = k;
        thread.place[0] = k % block.dimensions[0];
        thread.place[1] = k / block.dimensions[0] % block.dimensions[1];
        thread.place[2] = k / block.dimensions[0] / block.dimensions[1];
    }
    for (bool waiting = true; waiting;) {
        for (unsigned first = 0; first < count; first += WARP) go_together(&threads[first], std::min(WARP, count - first));
        bool asking = false;
        for (auto &thread : threads) asking |= thread.state == State::asking;
        waiting = false;
        // While somebody asks, not all have come to the block's barrier.
        for (auto &thread : threads) {
            if (thread.state != (asking ? State::asking : State::at_barrier)) continue;
            thread.state = State::running;
            waiting = true;
        }
    }
}

} // namespace

bool resolve_control(Instruction &i) {
    static const char *const TOGETHER[] = {"shfl", "vote", "redux", "elect", "activemask", "ldmatrix", "mma", "wmma"};
    bool block = (i.name == "bar" && !i.has("warp")) || i.name == "barrier";
    bool together = std::find(std::begin(TOGETHER), std::end(TOGETHER), i.name) != std::end(TOGETHER);
    if (i.name == "bra") i.execute = branch;
    else if (i.name == "ret" || i.name == "exit") i.execute = finish;
    else if (block) i.execute = wait_for_block;
    else if (together || i.name == "bar") i.execute = wait_for_warp;
    else if (i.name == "membar" || i.name == "fence" || i.name == "nanosleep" || i.name == "prefetch") i.execute = nothing;
    else if (i.name == "trap") i.execute = trap;
    else return false;
    return true;
}

void resolve(Instruction &i) {
    // Memory first: it finds which one is meant, of instructions that are others' too.
    for (auto family : {resolve_memory, resolve_control, resolve_comparisons, resolve_conversions, resolve_reals, resolve_integers})
        if (family(i)) return;
    stop("not executed here: " + i.text);
}

} // namespace ptx

using namespace ptx;

extern "C" void *ptx_load(const char *text) {
    auto *module = new Module;
    parse(text, *module);
    return module;
}

extern "C" void *ptx_function(void *module, const char *name) {
    auto &functions = static_cast<Module *>(module)->functions;
    auto found = functions.find(name);
    return found == functions.end() ? nullptr : &found->second;
}

extern "C" const char *ptx_name(void *function) { return static_cast<Function *>(function)->name.c_str(); }

extern "C" void ptx_launch(void *called, const unsigned grid[3], const unsigned dimensions[3], unsigned shared, void **arguments) {
    const Function &function = *static_cast<Function *>(called);
    std::vector<uint8_t> parameters(function.parameter_bytes + 16);
    for (size_t k = 0; k < function.ordered.size(); k++) memcpy(parameters.data() + function.ordered[k].offset, arguments[k], function.ordered[k].size);
    std::atomic<size_t> next{0};
    size_t blocks = size_t(grid[0]) * grid[1] * grid[2];
    // Blocks know nothing of each other, but for what atomic instructions write.
    auto work = [&] {
        Block block;
        block.parameters = parameters.data();
        block.shared_bytes = function.shared + shared;
        block.shared = static_cast<uint8_t *>(aligned_alloc(1024, (block.shared_bytes / 1024 + 1) * 1024));
        std::copy(grid, grid + 3, block.grid);
        std::copy(dimensions, dimensions + 3, block.dimensions);
        std::vector<Thread> threads;
        std::vector<uint64_t> registers;
        for (size_t number; (number = next++) < blocks;) {
            block.index[0] = number % grid[0];
            block.index[1] = number / grid[0] % grid[1];
            block.index[2] = number / grid[0] / grid[1];
            // What nobody has written is no zero, but not a number.
            memset(block.shared, 0xff, block.shared_bytes);
            run_block(block, function, threads, registers);
        }
        free(block.shared);
    };
    std::vector<std::thread> others;
    for (size_t k = 1; k < std::min<size_t>(blocks, std::thread::hardware_concurrency()); k++) others.emplace_back(work);
    work();
    for (auto &other : others) other.join();
}
