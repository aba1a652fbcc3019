// Registers, memory, and what goes from one to the other.
#include "machine.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>

namespace ptx {

uint8_t *place(const Thread &thread, const Instruction &i, const Operand &operand, size_t size) {
    uint64_t address = (operand.slot >= 0 ? thread.at(operand.slot) : 0) + operand.constant;
    uint8_t *memory = nullptr;
    size_t there = ~size_t(0);
    if (i.space == Space::shared) {
        address = uint32_t(address);
        memory = thread.block->shared;
        there = thread.block->shared_bytes;
    } else if (i.space == Space::local) {
        memory = const_cast<uint8_t *>(thread.local.data());
        there = thread.local.size();
    } else if (i.space == Space::parameters) {
        memory = const_cast<uint8_t *>(thread.block->parameters);
        there = thread.function->parameter_bytes;
    } else if (address < 4096) there = 0;
    if (address + size > there) stop("no memory is at " + std::to_string(address) + ": " + i.text + " in " + thread.function->name);
    if (address % size) stop("not aligned, at " + std::to_string(address) + ": " + i.text + " in " + thread.function->name);
    return memory + address;
}

namespace {

uint64_t read(const uint8_t *from, Type type) {
    uint64_t value = 0;
    memcpy(&value, from, size_of(type));
    if (type == Type::s8) return int64_t(int8_t(value));
    if (type == Type::s16) return int64_t(int16_t(value));
    return value;
}

bool load(Thread &thread, const Instruction &i) {
    size_t size = size_of(i.type);
    const uint8_t *from = place(thread, i, i.operands[1], size * i.count);
    const Operand &to = i.operands[0];
    if (to.kind != Operand::Kind::vector) {
        put<uint64_t>(thread, to, read(from, i.type));
        return true;
    }
    for (size_t k = 0; k < to.slots.size(); k++)
        if (to.slots[k] >= 0) thread.at(to.slots[k]) = read(from + k * size, i.type);
    return true;
}

bool store(Thread &thread, const Instruction &i) {
    size_t size = size_of(i.type);
    uint8_t *to = place(thread, i, i.operands[0], size * i.count);
    const Operand &from = i.operands[1];
    uint64_t single = from.kind == Operand::Kind::vector ? 0 : bits(thread, from);
    if (from.kind != Operand::Kind::vector) memcpy(to, &single, size);
    else
        for (size_t k = 0; k < from.slots.size(); k++) memcpy(to + k * size, &thread.at(from.slots[k]), size);
    return true;
}

/// An address of a certain memory into one of any memory, and back.
bool convert_address(Thread &thread, const Instruction &i) {
    const void *start = i.space == Space::shared ? thread.block->shared
                        : i.space == Space::local ? thread.local.data()
                        : i.space == Space::parameters ? thread.block->parameters
                                                       : nullptr;
    uint64_t address = bits(thread, i.operands[1]), offset = reinterpret_cast<uint64_t>(start);
    put<uint64_t>(thread, i.operands[0], i.has("to") ? address - offset : address + offset);
    return true;
}

/// Bits of a register as several, or of several as one.
bool move(Thread &thread, const Instruction &i) {
    const Operand &to = i.operands[0], &from = i.operands[1];
    bool takes_apart = to.kind == Operand::Kind::vector, puts_together = from.kind == Operand::Kind::vector;
    if (!takes_apart && !puts_together) {
        if (i.type == Type::pred) put<uint64_t>(thread, to, predicate(thread, from));
        else put_integer(thread, to, i.type, bits(thread, from));
        return true;
    }
    const std::vector<int> &slots = takes_apart ? to.slots : from.slots;
    unsigned width = 8 * size_of(i.type) / slots.size();
    uint64_t ones = width >= 64 ? ~0ull : (1ull << width) - 1, whole = takes_apart ? bits(thread, from) : 0;
    for (size_t k = 0; k < slots.size(); k++) {
        if (takes_apart && slots[k] >= 0) thread.at(slots[k]) = whole >> width * k & ones;
        if (puts_together) whole |= (thread.at(slots[k]) & ones) << width * k;
    }
    if (puts_together) put<uint64_t>(thread, to, whole);
    return true;
}

const char *const SPECIALS[] = {"%tid.x", "%tid.y", "%tid.z", "%ntid.x", "%ntid.y", "%ntid.z", "%ctaid.x", "%ctaid.y", "%ctaid.z", "%nctaid.x",
                                "%nctaid.y", "%nctaid.z", "%laneid", "%lanemask_lt", "%lanemask_le", "%lanemask_eq",
                                "%globaltimer", "%clock64"};

bool move_special(Thread &thread, const Instruction &i) {
    static std::atomic<uint64_t> time;
    const Block &block = *thread.block;
    int which = i.operands[1].constant, axis = which % 3;
    uint32_t lane = thread.index % WARP;
    uint32_t values[] = {thread.place[axis], block.dimensions[axis], block.index[axis], block.grid[axis]};
    uint32_t others[] = {lane, (1u << lane) - 1, (2u << lane) - 1, 1u << lane};
    // Nothing depends on how fast time goes.
    if (which >= 16) put<uint64_t>(thread, i.operands[0], ++time);
    else put<uint32_t>(thread, i.operands[0], which < 12 ? values[which / 3] : others[which - 12]);
    return true;
}

enum { ADD, MIN, MAX, AND, OR, XOR, EXCHANGE, COMPARE_AND_SWAP };

/// Nobody else does such a thing meanwhile.
bool atomic(Thread &thread, const Instruction &i) {
    static std::mutex alone;
    std::lock_guard<std::mutex> guard(alone);
    bool gives = i.name == "atom";
    const Operand &operand = i.operands[gives ? 2 : 1];
    uint8_t *at = place(thread, i, i.operands[gives ? 1 : 0], size_of(i.type));
    uint64_t before = read(at, i.type), after;
    if (i.type == Type::f32) {
        float sum;
        memcpy(&sum, &before, sizeof sum);
        sum += value<float>(thread, operand);
        after = 0;
        memcpy(&after, &sum, sizeof sum);
    } else if (i.type == Type::f64) {
        double sum;
        memcpy(&sum, &before, sizeof sum);
        sum += value<double>(thread, operand);
        memcpy(&after, &sum, sizeof sum);
    } else {
        uint64_t with = integer(thread, operand, i.type), a = before;
        if (i.type == Type::s32) a = int64_t(int32_t(a));
        bool less = is_signed(i.type) ? int64_t(a) < int64_t(with) : a < with;
        switch (i.variant) {
        case ADD: after = a + with; break;
        case MIN: after = less ? a : with; break;
        case MAX: after = less ? with : a; break;
        case AND: after = a & with; break;
        case OR: after = a | with; break;
        case XOR: after = a ^ with; break;
        case EXCHANGE: after = with; break;
        default: after = a == with ? integer(thread, i.operands[gives ? 3 : 2], i.type) : a;
        }
    }
    memcpy(at, &after, size_of(i.type));
    if (gives) put_integer(thread, i.operands[0], i.type, before);
    return true;
}

/// Copies at once what a GPU would copy meanwhile, with zeros after what there is.
bool copy(Thread &thread, const Instruction &i) {
    size_t size = i.operands[2].constant, given = i.operands.size() > 3 ? std::min<size_t>(size, bits(thread, i.operands[3])) : size;
    uint8_t *to = place(thread, i, i.operands[0], size);
    const uint8_t *from = reinterpret_cast<uint8_t *>(thread.at(i.operands[1].slot) + i.operands[1].constant);
    memset(to, 0, size);
    memcpy(to, from, given);
    return true;
}

bool resolve_atomic(Instruction &i) {
    static const std::pair<const char *, int> known[] = {{"add", ADD}, {"min", MIN}, {"max", MAX}, {"and", AND},
                                                         {"or", OR}, {"xor", XOR}, {"exch", EXCHANGE}, {"cas", COMPARE_AND_SWAP}};
    for (auto &[name, what] : known) {
        if (!i.has(name)) continue;
        i.execute = atomic;
        i.variant = what;
        return !is_float(i.type) || (what == ADD && (i.type == Type::f32 || i.type == Type::f64));
    }
    return false;
}

} // namespace

bool special(const std::string &name, int64_t &which) {
    for (size_t k = 0; k < sizeof SPECIALS / sizeof *SPECIALS; k++) {
        if (name != SPECIALS[k]) continue;
        which = k;
        return true;
    }
    return false;
}

bool resolve_memory(Instruction &i) {
    for (auto &modifier : i.modifiers) {
        std::string space = modifier.substr(0, modifier.find(':'));
        if (space == "shared") i.space = Space::shared;
        else if (space == "local") i.space = Space::local;
        else if (space == "param") i.space = Space::parameters;
        else if (modifier == "v2" || modifier == "v4" || modifier == "v8") i.count = modifier[1] - '0';
    }
    if (i.name == "ld" || i.name == "ldu") i.execute = load;
    else if (i.name == "st") i.execute = store;
    else if (i.name == "cvta") i.execute = convert_address;
    else if (i.name == "mov") i.execute = i.operands[1].kind == Operand::Kind::special ? move_special : move;
    else if (i.name == "atom" || i.name == "red") return resolve_atomic(i);
    else if (i.name == "mbarrier" || (i.name == "cp" && i.has("mbarrier"))) return resolve_barriers(i);
    else if (i.name == "cp" && i.has("async") && !i.has("bulk")) {
        // Both memories are named, the one that is written first.
        i.space = Space::shared;
        i.execute = i.has("commit_group") || i.has("wait_group") || i.has("wait_all") ? nothing : copy;
    } else return false;
    return true;
}

} // namespace ptx
