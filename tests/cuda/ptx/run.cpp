// Where a thread goes on, and how those of a block take turns; and what the driver calls.
#include "machine.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

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
    return true;
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

/// Runs a thread until it ends or waits.
void go(Thread &thread) {
    const Instruction *code = thread.function->code.data();
    for (bool goes_on = true; goes_on;) {
        const Instruction &i = code[thread.next++];
        if (i.guard >= 0 && bool(thread.registers[i.guard] & 1) == i.guard_negated) continue;
        goes_on = i.execute(thread, i);
    }
}

/// Runs a warp until all of its threads have ended, wait for the block or ask for others. Lanes that have come to the same instruction execute it together,
/// those first that are the furthest behind.
void go_together(Thread *threads, unsigned count) {
    for (;;) {
        Warp warp;
        size_t least = ~size_t(0);
        bool asking = false;
        for (unsigned lane = 0; lane < count; lane++) {
            warp.lanes[lane] = &threads[lane];
            if (threads[lane].state == State::running) go(threads[lane]);
            if (threads[lane].state == State::with_warp) least = std::min(least, threads[lane].next);
            asking |= threads[lane].state == State::asking;
        }
        // Those who ask may have to take part.
        if (least == ~size_t(0) || asking) return;
        for (unsigned lane = 0; lane < count; lane++)
            if (threads[lane].state == State::with_warp && threads[lane].next == least) warp.mask |= 1u << lane;
        execute_together(threads[0].function->code[least], warp);
        for (unsigned lane = 0; lane < count; lane++) {
            if (!warp.has(lane)) continue;
            threads[lane].next++;
            threads[lane].state = State::running;
        }
    }
}

void run_block(const Block &block, const Function &function, std::vector<Thread> &threads) {
    unsigned count = block.dimensions[0] * block.dimensions[1] * block.dimensions[2];
    threads.resize(count);
    for (unsigned k = 0; k < count; k++) {
        Thread &thread = threads[k];
        thread.registers = function.registers;
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
    Block block;
    block.parameters = parameters.data();
    block.shared_bytes = function.shared + shared;
    block.shared = static_cast<uint8_t *>(aligned_alloc(1024, (block.shared_bytes / 1024 + 1) * 1024));
    std::copy(grid, grid + 3, block.grid);
    std::copy(dimensions, dimensions + 3, block.dimensions);
    std::vector<Thread> threads;
    for (block.index[2] = 0; block.index[2] < grid[2]; block.index[2]++)
        for (block.index[1] = 0; block.index[1] < grid[1]; block.index[1]++)
            for (block.index[0] = 0; block.index[0] < grid[0]; block.index[0]++) {
                // What nobody has written is no zero, but not a number.
                memset(block.shared, 0xff, block.shared_bytes);
                run_block(block, function, threads);
            }
    free(block.shared);
}
