// Comparisons, choices, and numbers from one format into another.
#include "machine.hpp"

#include <cmath>

namespace ptx {

namespace {

enum Comparison { EQUAL, UNEQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL, ORDERED, UNORDERED };
/// With this a comparison is also true where a number is none.
constexpr int OR_UNORDERED = 16;

const std::map<std::string, int> COMPARISONS = {
    {"eq", EQUAL}, {"ne", UNEQUAL}, {"lt", LESS}, {"le", LESS_EQUAL}, {"gt", GREATER}, {"ge", GREATER_EQUAL},
    {"lo", LESS}, {"ls", LESS_EQUAL}, {"hi", GREATER}, {"hs", GREATER_EQUAL}, {"equ", EQUAL | OR_UNORDERED},
    {"neu", UNEQUAL | OR_UNORDERED}, {"ltu", LESS | OR_UNORDERED}, {"leu", LESS_EQUAL | OR_UNORDERED},
    {"gtu", GREATER | OR_UNORDERED}, {"geu", GREATER_EQUAL | OR_UNORDERED}, {"num", ORDERED}, {"nan", UNORDERED},
};

template <class T> bool compare(T a, T b, int comparison) {
    bool unordered = a != a || b != b;
    if (unordered && comparison != UNORDERED) return comparison & OR_UNORDERED;
    switch (comparison & ~OR_UNORDERED) {
    case EQUAL: return a == b;
    case UNEQUAL: return a != b;
    case LESS: return a < b;
    case LESS_EQUAL: return a <= b;
    case GREATER: return a > b;
    case GREATER_EQUAL: return a >= b;
    case ORDERED: return true;
    default: return unordered;
    }
}

bool compared(const Thread &thread, const Instruction &i, Type type) {
    const Operand &a = i.operands[1], &b = i.operands[2];
    if (is_float(type)) return compare(real(thread, a, type), real(thread, b, type), i.variant);
    if (is_signed(type)) return compare(int64_t(integer(thread, a, type)), int64_t(integer(thread, b, type)), i.variant);
    return compare(integer(thread, a, type), integer(thread, b, type), i.variant);
}

enum { AND = 1, OR, XOR };

bool set_predicates(Thread &thread, const Instruction &i) {
    bool first = compared(thread, i, i.type), second = !first;
    if (i.combined) {
        bool with = predicate(thread, i.operands[3]);
        auto combine = [&](bool value) { return i.combined == AND ? value && with : i.combined == OR ? value || with : value != with; };
        first = combine(first);
        second = combine(second);
    }
    const Operand &to = i.operands[0];
    if (to.kind != Operand::Kind::vector) {
        put<uint64_t>(thread, to, first);
        return true;
    }
    if (to.slots[0] >= 0) thread.at(to.slots[0]) = first;
    if (to.slots[1] >= 0) thread.at(to.slots[1]) = second;
    return true;
}

bool set_number(Thread &thread, const Instruction &i) {
    bool result = compared(thread, i, i.second_type);
    if (i.type == Type::f32) put<float>(thread, i.operands[0], result);
    else put<uint32_t>(thread, i.operands[0], result ? ~0u : 0);
    return true;
}

bool choose(Thread &thread, const Instruction &i) {
    put<uint64_t>(thread, i.operands[0], bits(thread, i.operands[predicate(thread, i.operands[3]) ? 1 : 2]));
    return true;
}

enum { EVEN = 1, TO_ZERO, DOWN, UP };
constexpr int NOT_NEGATIVE = 8, LIMITED = 16;

double rounded(double value, int how) {
    switch (how) {
    case EVEN: return std::nearbyint(value);
    case TO_ZERO: return std::trunc(value);
    case DOWN: return std::floor(value);
    case UP: return std::ceil(value);
    default: return value;
    }
}

double limited(double value, int variant) {
    if (variant & LIMITED) return value > 0 ? value < 1 ? value : 1 : 0;
    return variant & NOT_NEGATIVE && !(value > 0) && value == value ? 0 : value;
}

void put_real(Thread &thread, const Instruction &i, double value) {
    switch (i.type) {
    case Type::f64: return put<double>(thread, i.operands[0], value);
    case Type::f32: return put<float>(thread, i.operands[0], value);
    case Type::f16: return put<uint16_t>(thread, i.operands[0], to_half(value));
    case Type::bf16: return put<uint16_t>(thread, i.operands[0], to_bfloat(value));
    case Type::tf32: {
        float single = value;
        uint32_t from;
        memcpy(&from, &single, sizeof from);
        // Ten bits of the fraction stay, ties away from zero.
        if ((from & 0x7fffffff) < 0x7f800000) from = (from + 0x1000) & ~0x1fffu;
        return put<uint32_t>(thread, i.operands[0], from);
    }
    default: stop("no such format: " + i.text);
    }
}

/// The nearest whole number that the type has; 0 for what is no number.
uint64_t whole(double value, Type type) {
    unsigned width = 8 * size_of(type);
    double least = is_signed(type) ? -std::ldexp(1, width - 1) : 0;
    double beyond = std::ldexp(1, is_signed(type) ? width - 1 : width);
    if (value != value) return 0;
    if (value <= least) return is_signed(type) ? ~0ull << (width - 1) : 0;
    if (value >= beyond) return is_signed(type) ? (1ull << (width - 1)) - 1 : width == 64 ? ~0ull : (1ull << width) - 1;
    return is_signed(type) ? uint64_t(int64_t(value)) : uint64_t(value);
}

/// Two numbers into the halves of a register, the first into the upper.
bool convert_pair(Thread &thread, const Instruction &i) {
    uint32_t halves[2];
    for (int half = 0; half < 2; half++) {
        double from = limited(value<float>(thread, i.operands[half + 1]), i.variant);
        halves[half] = i.type == Type::f16x2 ? to_half(from) : to_bfloat(from);
    }
    put<uint32_t>(thread, i.operands[0], halves[0] << 16 | halves[1]);
    return true;
}

bool convert(Thread &thread, const Instruction &i) {
    Type from = i.second_type;
    const Operand &operand = i.operands[1];
    int rounding = i.variant & 7;
    if (is_float(from) && is_float(i.type)) {
        put_real(thread, i, limited(rounded(real(thread, operand, from), rounding), i.variant));
    } else if (is_float(from)) {
        put_integer(thread, i.operands[0], i.type, whole(rounded(real(thread, operand, from), rounding), i.type));
    } else if (i.combined) {
        // Of 32 bits and less, which f64 holds exactly.
        double exact = is_signed(from) ? double(int64_t(integer(thread, operand, from))) : double(integer(thread, operand, from));
        float near = exact;
        bool down = i.combined == DOWN || (i.combined == TO_ZERO && exact > 0);
        if (down ? near > exact : near < exact) near = std::nextafter(near, down ? -INFINITY : INFINITY);
        put<float>(thread, i.operands[0], near);
    } else if (i.type == Type::f32) {
        // In one step: by way of f64 it would be rounded twice.
        uint64_t number = integer(thread, operand, from);
        put<float>(thread, i.operands[0], is_signed(from) ? float(int64_t(number)) : float(number));
    } else if (is_float(i.type)) {
        uint64_t number = integer(thread, operand, from);
        put_real(thread, i, is_signed(from) ? double(int64_t(number)) : double(number));
    } else {
        // A short number with a sign fills its register.
        Type to = i.type == Type::s8 ? Type::s16 : i.type;
        uint64_t number = integer(thread, operand, from);
        put_integer(thread, i.operands[0], to, i.type == Type::s8 ? uint64_t(int64_t(int8_t(number))) : number);
    }
    return true;
}

} // namespace

bool resolve_comparisons(Instruction &i) {
    if (i.name == "selp") i.execute = choose;
    else if (i.name == "setp") i.execute = set_predicates;
    else if (i.name == "set") i.execute = set_number;
    else return false;
    for (auto &modifier : i.modifiers) {
        auto found = COMPARISONS.find(modifier);
        if (found != COMPARISONS.end()) i.variant = found->second;
    }
    i.combined = i.has("and") ? AND : i.has("or") ? OR : i.has("xor") ? XOR : 0;
    Type compared = i.name == "set" ? i.second_type : i.type;
    return compared != Type::f16x2 && compared != Type::bf16x2;
}

bool resolve_conversions(Instruction &i) {
    if (i.name != "cvt") return false;
    bool pair = i.type == Type::f16x2 || i.type == Type::bf16x2;
    i.execute = pair ? convert_pair : convert;
    i.variant = i.has("rni") ? EVEN : i.has("rzi") ? TO_ZERO : i.has("rmi") ? DOWN : i.has("rpi") ? UP : 0;
    i.variant |= (i.has("relu") ? NOT_NEGATIVE : 0) | (i.has("sat") ? LIMITED : 0);
    // Whole numbers are limited in no other way, and narrower ones are the nearest.
    bool whole = !is_float(i.type) && !is_float(i.second_type);
    i.combined = i.has("rm") ? DOWN : i.has("rp") ? UP : i.has("rz") ? TO_ZERO : 0;
    bool small = !is_float(i.second_type) && size_of(i.second_type) <= 4 && i.type == Type::f32;
    bool otherwise = i.combined && !small;
    return !(whole && i.has("sat")) && !otherwise && !(pair && i.second_type != Type::f32);
}

} // namespace ptx
