// Formats of numbers, and values read and written in them.
#include "machine.hpp"

namespace ptx {

namespace {

const std::map<std::string, Type> NAMES = {
    {"pred", Type::pred}, {"u8", Type::u8}, {"u16", Type::u16}, {"u32", Type::u32}, {"u64", Type::u64}, {"s8", Type::s8},
    {"s16", Type::s16}, {"s32", Type::s32}, {"s64", Type::s64}, {"b8", Type::b8}, {"b16", Type::b16}, {"b32", Type::b32},
    {"b64", Type::b64}, {"b128", Type::b128}, {"f16", Type::f16}, {"bf16", Type::bf16}, {"f32", Type::f32}, {"f64", Type::f64},
    {"tf32", Type::tf32}, {"f16x2", Type::f16x2}, {"bf16x2", Type::bf16x2},
};

} // namespace

bool type_of(const std::string &name, Type &type) {
    auto found = NAMES.find(name);
    if (found == NAMES.end()) return false;
    type = found->second;
    return true;
}

size_t size_of(Type type) {
    switch (type) {
    case Type::pred: case Type::u8: case Type::s8: case Type::b8: return 1;
    case Type::u16: case Type::s16: case Type::b16: case Type::f16: case Type::bf16: return 2;
    case Type::u64: case Type::s64: case Type::b64: case Type::f64: return 8;
    case Type::b128: return 16;
    default: return 4;
    }
}

float from_half(uint16_t bits) {
    _Float16 half;
    memcpy(&half, &bits, sizeof half);
    return half;
}

uint16_t to_half(double value) {
    _Float16 half = value;
    uint16_t bits;
    memcpy(&bits, &half, sizeof bits);
    return bits;
}

float from_bfloat(uint16_t bits) {
    uint32_t wide = uint32_t(bits) << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

uint16_t to_bfloat(float value) {
    if (value != value) return 0x7fff;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    // To the nearest, and of two as near to the even one.
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

uint64_t integer(const Thread &thread, const Operand &operand, Type type) {
    uint64_t from = bits(thread, operand);
    switch (type) {
    case Type::s8: return int64_t(int8_t(from));
    case Type::s16: return int64_t(int16_t(from));
    case Type::s32: return int64_t(int32_t(from));
    default: return size_of(type) >= 8 ? from : from & ((1ull << 8 * size_of(type)) - 1);
    }
}

void put_integer(Thread &thread, const Operand &operand, Type type, uint64_t value) {
    put<uint64_t>(thread, operand, size_of(type) >= 8 ? value : value & ((1ull << 8 * size_of(type)) - 1));
}

double real(const Thread &thread, const Operand &operand, Type type) {
    switch (type) {
    case Type::f16: return from_half(value<uint16_t>(thread, operand));
    case Type::bf16: return from_bfloat(value<uint16_t>(thread, operand));
    case Type::f64: return value<double>(thread, operand);
    default: return value<float>(thread, operand);
    }
}

} // namespace ptx
