// Whole numbers and bits.
#include "machine.hpp"

namespace ptx {

namespace {

using Binary = uint64_t (*)(uint64_t, uint64_t, Type);

uint64_t quotient(uint64_t a, uint64_t b, Type type) {
    if (b == 0) return ~0ull;
    if (!is_signed(type)) return a / b;
    return int64_t(b) == -1 ? 0 - a : int64_t(a) / int64_t(b);
}

uint64_t remainder(uint64_t a, uint64_t b, Type type) {
    if (b == 0) return a;
    if (!is_signed(type)) return a % b;
    return int64_t(b) == -1 ? 0 : int64_t(a) % int64_t(b);
}

bool less(uint64_t a, uint64_t b, Type type) { return is_signed(type) ? int64_t(a) < int64_t(b) : a < b; }

uint64_t high_half(uint64_t a, uint64_t b, Type type) {
    unsigned width = 8 * size_of(type);
    if (is_signed(type)) return uint64_t((__int128(int64_t(a)) * int64_t(b)) >> width);
    return uint64_t(((unsigned __int128)a * b) >> width);
}

template <uint64_t (*function)(uint64_t, uint64_t, Type)> bool binary(Thread &thread, const Instruction &i) {
    uint64_t a = integer(thread, i.operands[1], i.type), b = integer(thread, i.operands[2], i.type);
    put_integer(thread, i.operands[0], i.type, function(a, b, i.type));
    return true;
}

uint64_t sum(uint64_t a, uint64_t b, Type) { return a + b; }
uint64_t difference(uint64_t a, uint64_t b, Type) { return a - b; }
uint64_t product(uint64_t a, uint64_t b, Type) { return a * b; }
uint64_t least(uint64_t a, uint64_t b, Type type) { return less(a, b, type) ? a : b; }
uint64_t most(uint64_t a, uint64_t b, Type type) { return less(b, a, type) ? a : b; }
uint64_t both(uint64_t a, uint64_t b, Type) { return a & b; }
uint64_t either(uint64_t a, uint64_t b, Type) { return a | b; }
uint64_t one_of(uint64_t a, uint64_t b, Type) { return a ^ b; }

/// The same of predicates.
template <uint64_t (*function)(uint64_t, uint64_t, Type)> bool binary_predicate(Thread &thread, const Instruction &i) {
    bool a = predicate(thread, i.operands[1]), b = predicate(thread, i.operands[2]);
    put<uint64_t>(thread, i.operands[0], function(a, b, i.type));
    return true;
}

bool invert(Thread &thread, const Instruction &i) {
    if (i.type == Type::pred) put<uint64_t>(thread, i.operands[0], !predicate(thread, i.operands[1]));
    else put_integer(thread, i.operands[0], i.type, ~integer(thread, i.operands[1], i.type));
    return true;
}

bool negate(Thread &thread, const Instruction &i) {
    put_integer(thread, i.operands[0], i.type, 0 - integer(thread, i.operands[1], i.type));
    return true;
}

bool magnitude(Thread &thread, const Instruction &i) {
    int64_t a = integer(thread, i.operands[1], i.type);
    put_integer(thread, i.operands[0], i.type, a < 0 ? -a : a);
    return true;
}

bool shift_left(Thread &thread, const Instruction &i) {
    uint32_t by = value<uint32_t>(thread, i.operands[2]);
    put_integer(thread, i.operands[0], i.type, by >= 8 * size_of(i.type) ? 0 : integer(thread, i.operands[1], i.type) << by);
    return true;
}

bool shift_right(Thread &thread, const Instruction &i) {
    uint64_t a = integer(thread, i.operands[1], i.type);
    uint32_t by = value<uint32_t>(thread, i.operands[2]), width = 8 * size_of(i.type);
    if (is_signed(i.type)) a = int64_t(a) >> (by >= width ? width - 1 : by);
    else a = by >= width ? 0 : a >> by;
    put_integer(thread, i.operands[0], i.type, a);
    return true;
}

/// Two registers as one.
bool shift_both(Thread &thread, const Instruction &i) {
    uint64_t pair = uint64_t(value<uint32_t>(thread, i.operands[2])) << 32 | value<uint32_t>(thread, i.operands[1]);
    uint32_t by = value<uint32_t>(thread, i.operands[3]);
    by = i.has("wrap") ? by & 31 : by > 32 ? 32 : by;
    put<uint32_t>(thread, i.operands[0], i.has("l") ? pair << by >> 32 : pair >> by);
    return true;
}

/// Twice as wide a product, with a third number added for `mad`.
bool wide_product(Thread &thread, const Instruction &i) {
    uint64_t result = integer(thread, i.operands[1], i.type) * integer(thread, i.operands[2], i.type);
    if (i.name == "mad") result += bits(thread, i.operands[3]);
    if (size_of(i.type) == 4) put<uint64_t>(thread, i.operands[0], result);
    else put<uint32_t>(thread, i.operands[0], uint32_t(result));
    return true;
}

template <uint64_t (*function)(uint64_t, uint64_t, Type)> bool product_and_sum(Thread &thread, const Instruction &i) {
    uint64_t a = integer(thread, i.operands[1], i.type), b = integer(thread, i.operands[2], i.type);
    put_integer(thread, i.operands[0], i.type, function(a, b, i.type) + integer(thread, i.operands[3], i.type));
    return true;
}

/// Any function of three bits, by its table.
bool table(Thread &thread, const Instruction &i) {
    uint32_t a = value<uint32_t>(thread, i.operands[1]), b = value<uint32_t>(thread, i.operands[2]);
    uint32_t c = value<uint32_t>(thread, i.operands[3]), result = 0;
    for (int row = 0; row < 8; row++)
        if (i.operands[4].constant >> row & 1) result |= (row & 4 ? a : ~a) & (row & 2 ? b : ~b) & (row & 1 ? c : ~c);
    put<uint32_t>(thread, i.operands[0], result);
    return true;
}

/// Four of eight bytes, or of their signs.
bool permute(Thread &thread, const Instruction &i) {
    uint64_t from = uint64_t(value<uint32_t>(thread, i.operands[2])) << 32 | value<uint32_t>(thread, i.operands[1]);
    uint32_t choice = value<uint32_t>(thread, i.operands[3]), result = 0;
    for (int byte = 0; byte < 4; byte++) {
        uint32_t chosen = choice >> 4 * byte;
        uint8_t found = from >> 8 * (chosen & 7);
        if (chosen & 8) found = found & 0x80 ? 0xff : 0;
        result |= uint32_t(found) << 8 * byte;
    }
    put<uint32_t>(thread, i.operands[0], result);
    return true;
}

uint64_t ones(unsigned count) { return count >= 64 ? ~0ull : (1ull << count) - 1; }

bool extract(Thread &thread, const Instruction &i) {
    uint64_t a = integer(thread, i.operands[1], i.type) & ones(8 * size_of(i.type));
    unsigned start = bits(thread, i.operands[2]) & 255, count = bits(thread, i.operands[3]) & 255, width = 8 * size_of(i.type);
    uint64_t result = start >= width ? 0 : a >> start & ones(count);
    if (is_signed(i.type) && count > 0) {
        unsigned last = start + count - 1 < width - 1 ? start + count - 1 : width - 1;
        if (a >> last & 1) result |= ~ones(last >= start ? last - start + 1 : 0);
    }
    put_integer(thread, i.operands[0], i.type, result);
    return true;
}

bool insert(Thread &thread, const Instruction &i) {
    uint64_t a = integer(thread, i.operands[1], i.type), b = integer(thread, i.operands[2], i.type);
    unsigned start = bits(thread, i.operands[3]) & 255, count = bits(thread, i.operands[4]) & 255;
    uint64_t mask = start >= 64 ? 0 : ones(count) << start;
    put_integer(thread, i.operands[0], i.type, (b & ~mask) | (start >= 64 ? 0 : a << start & mask));
    return true;
}

bool population(Thread &thread, const Instruction &i) {
    uint64_t a = integer(thread, i.operands[1], i.type) & ones(8 * size_of(i.type));
    put<uint32_t>(thread, i.operands[0], __builtin_popcountll(a));
    return true;
}

bool leading_zeros(Thread &thread, const Instruction &i) {
    unsigned width = 8 * size_of(i.type);
    uint64_t a = integer(thread, i.operands[1], i.type) & ones(width);
    put<uint32_t>(thread, i.operands[0], a ? __builtin_clzll(a) - (64 - width) : width);
    return true;
}

bool reverse(Thread &thread, const Instruction &i) {
    uint64_t a = integer(thread, i.operands[1], i.type), result = 0;
    unsigned width = 8 * size_of(i.type);
    for (unsigned bit = 0; bit < width; bit++) result |= (a >> bit & 1) << (width - 1 - bit);
    put_integer(thread, i.operands[0], i.type, result);
    return true;
}

bool highest_bit(Thread &thread, const Instruction &i) {
    uint64_t a = integer(thread, i.operands[1], i.type);
    if (is_signed(i.type) && int64_t(a) < 0) a = ~a;
    a &= ones(8 * size_of(i.type));
    put<uint32_t>(thread, i.operands[0], a ? 63 - __builtin_clzll(a) : ~0u);
    return true;
}

} // namespace

bool resolve_integers(Instruction &i) {
    if (is_float(i.type)) return false;
    bool of_predicates = i.type == Type::pred;
    std::map<std::string, bool (*)(Thread &, const Instruction &)> known = {
        {"add", binary<sum>}, {"sub", binary<difference>}, {"div", binary<quotient>}, {"rem", binary<remainder>},
        {"min", binary<least>}, {"max", binary<most>}, {"neg", negate}, {"abs", magnitude}, {"not", invert},
        {"and", of_predicates ? binary_predicate<both> : binary<both>}, {"or", of_predicates ? binary_predicate<either> : binary<either>},
        {"xor", of_predicates ? binary_predicate<one_of> : binary<one_of>}, {"shl", shift_left}, {"shr", shift_right}, {"shf", shift_both},
        {"mul", i.has("wide") ? wide_product : i.has("hi") ? binary<high_half> : binary<product>},
        {"mad", i.has("wide") ? wide_product : i.has("hi") ? product_and_sum<high_half> : product_and_sum<product>},
        {"lop3", table}, {"prmt", permute}, {"bfe", extract}, {"bfi", insert}, {"popc", population}, {"clz", leading_zeros},
        {"brev", reverse}, {"bfind", highest_bit},
    };
    auto found = known.find(i.name);
    if (found == known.end()) return false;
    // A carry or a limit is nothing that these know of.
    if (i.has("cc") || i.has("sat")) return false;
    i.execute = found->second;
    return true;
}

} // namespace ptx
