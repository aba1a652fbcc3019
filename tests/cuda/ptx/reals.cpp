// Arithmetic on numbers with a point. What a GPU approximates is exact here, but for its one rounding; numbers that it would take for
// zero (`.ftz`) are kept.
#include "machine.hpp"

#include <cfenv>
#include <cmath>

namespace ptx {

namespace {

/// Rounds otherwise than to the nearest. What is volatile is computed between the changes.
template <class F> bool directed(Thread &thread, const Instruction &i, const float *given, F function) {
    volatile float x[3] = {given[0], given[1], given[2]};
    fesetround(i.combined);
    volatile float result = function(float(x[0]), float(x[1]), float(x[2]));
    fesetround(FE_TONEAREST);
    put<float>(thread, i.operands[0], result);
    return true;
}

/// Calls `function` with up to three numbers of the instruction's format, in f64 for f64 and else in f32.
template <class F> bool each(Thread &thread, const Instruction &i, int arguments, F function) {
    // One of the halves of a register, or all of a short one.
    auto half = [&](bool brain, int shift) {
        float x[3] = {};
        for (int k = 0; k < arguments; k++) {
            uint16_t from = bits(thread, i.operands[k + 1]) >> shift;
            x[k] = brain ? from_bfloat(from) : from_half(from);
        }
        float result = function(x[0], x[1], x[2]);
        return uint32_t(brain ? to_bfloat(result) : to_half(result)) << shift;
    };
    switch (i.type) {
    case Type::f32: {
        float x[3] = {};
        for (int k = 0; k < arguments; k++) x[k] = value<float>(thread, i.operands[k + 1]);
        if (i.combined) return directed(thread, i, x, function);
        put<float>(thread, i.operands[0], function(x[0], x[1], x[2]));
        break;
    }
    case Type::f64: {
        double x[3] = {};
        for (int k = 0; k < arguments; k++) x[k] = value<double>(thread, i.operands[k + 1]);
        put<double>(thread, i.operands[0], function(x[0], x[1], x[2]));
        break;
    }
    case Type::f16: put<uint32_t>(thread, i.operands[0], half(false, 0)); break;
    case Type::bf16: put<uint32_t>(thread, i.operands[0], half(true, 0)); break;
    case Type::f16x2: put<uint32_t>(thread, i.operands[0], half(false, 0) | half(false, 16)); break;
    case Type::bf16x2: put<uint32_t>(thread, i.operands[0], half(true, 0) | half(true, 16)); break;
    default: stop("no such format: " + i.text);
    }
    return true;
}

enum { LIMITED = 1, NOT_NEGATIVE = 2, KEEPS_NAN = 4 };

template <class T> T finish(const Instruction &i, T value) {
    if (i.variant & LIMITED) return value > 0 ? value < 1 ? value : 1 : 0;
    if (i.variant & NOT_NEGATIVE) return value > 0 || value != value ? value : 0;
    return value;
}

template <class T> T chosen(const Instruction &i, T a, T b, bool first) {
    if ((i.variant & KEEPS_NAN) && (a != a || b != b)) return a + b;
    return a != a ? b : b != b ? a : first ? a : b;
}

#define UNARY(name, expression) \
    bool name(Thread &thread, const Instruction &i) { \
        return each(thread, i, 1, [](auto a, auto, auto) -> decltype(a) { return expression; }); \
    }
#define BINARY(name, expression) \
    bool name(Thread &thread, const Instruction &i) { \
        return each(thread, i, 2, [&](auto a, auto b, auto) -> decltype(a) { return expression; }); \
    }

BINARY(sum, finish(i, a + b))
BINARY(difference, finish(i, a - b))
BINARY(product, finish(i, a * b))
BINARY(quotient, a / b)
BINARY(least, chosen(i, a, b, a < b))
BINARY(most, chosen(i, a, b, a > b))
BINARY(with_sign, std::copysign(b, a))
UNARY(negate, -a)
UNARY(magnitude, std::fabs(a))
UNARY(root, std::sqrt(a))
UNARY(reciprocal_root, 1 / std::sqrt(a))
UNARY(reciprocal, 1 / a)
UNARY(power_of_two, std::exp2(a))
UNARY(binary_logarithm, std::log2(a))
UNARY(sine, std::sin(a))
UNARY(cosine, std::cos(a))
UNARY(hyperbolic_tangent, std::tanh(a))

/// Rounded once. The product of two halves is exact in f64, and nearly its sum with a third.
bool product_and_sum(Thread &thread, const Instruction &i) {
    bool narrow = i.type != Type::f32 && i.type != Type::f64;
    return each(thread, i, 3, [&](auto a, auto b, auto c) -> decltype(a) {
        return finish<decltype(a)>(i, narrow ? decltype(a)(double(a) * b + c) : std::fma(a, b, c));
    });
}

} // namespace

bool resolve_reals(Instruction &i) {
    if (!is_float(i.type)) return false;
    static const std::map<std::string, bool (*)(Thread &, const Instruction &)> known = {
        {"add", sum}, {"sub", difference}, {"mul", product}, {"div", quotient}, {"min", least}, {"max", most}, {"neg", negate},
        {"abs", magnitude}, {"sqrt", root}, {"rsqrt", reciprocal_root}, {"rcp", reciprocal}, {"ex2", power_of_two},
        {"lg2", binary_logarithm}, {"sin", sine}, {"cos", cosine}, {"tanh", hyperbolic_tangent}, {"copysign", with_sign},
        {"fma", product_and_sum}, {"mad", product_and_sum},
    };
    auto found = known.find(i.name);
    if (found == known.end()) return false;
    i.combined = i.has("rz") ? FE_TOWARDZERO : i.has("rm") ? FE_DOWNWARD : i.has("rp") ? FE_UPWARD : 0;
    if (i.combined && i.type != Type::f32) return false;
    i.variant = (i.has("sat") ? LIMITED : 0) | (i.has("relu") ? NOT_NEGATIVE : 0) | (i.has("NaN") ? KEEPS_NAN : 0);
    i.execute = found->second;
    return true;
}

} // namespace ptx
