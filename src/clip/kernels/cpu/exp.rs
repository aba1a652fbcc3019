//! The exponentials, and the activations made of it, two with their derivatives.

use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

use super::simd::Simd;

/// `c₀ + x (c₁ + x (c₂ + …))`
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(simd: S, x: S::Vector, coefficients: [f32; N]) -> S::Vector {
    let mut sum = simd.splat(coefficients[N - 1]);
    for &coefficient in coefficients[..N - 1].iter().rev() {
        sum = simd.mul_add(sum, x, simd.splat(coefficient));
    }
    sum
}

/// `eˣ` with a relative error of about 10⁻⁷. The argument is held within ±87, where result and reciprocal are normal
/// numbers; NaN stays NaN.
///
/// `eˣ = 2ⁿ eʳ` with whole `n` and `|r| ≤ ln 2 / 2`; `(eʳ − 1 − r) / r²` is a polynomial of least squares in Chebyshev
/// points, right to 1.1 · 10⁻⁸.
#[inline(always)]
pub fn exp<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    // ln 2 in two parts: the product of `n` and the first is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    const REST: [f32; 5] = [0.5, 0.166_665_73, 0.041_666_456, 0.008_363_777, 0.001_393_454_5];
    let x = simd.min(simd.splat(87.0), simd.max(simd.splat(-87.0), x));
    let n = simd.round(simd.mul(x, simd.splat(LOG2_E)));
    let r = simd.mul_add(n, simd.splat(-LN_2_HIGH), x);
    let r = simd.mul_add(n, simd.splat(-LN_2_LOW), r);
    let rest = polynomial(simd, r, REST);
    let y = simd.add(simd.mul_add(simd.mul(r, r), rest, r), simd.splat(1.0));
    simd.scale(y, n)
}

/// `2ʳ` for `|r| ≤ ½`: `(2ʳ − 1) / r` is a polynomial of least squares in Chebyshev points. `2ˣ = 2ⁿ 2ʳ` with whole `n`.
const POWER: [f32; 6] =
    [1.0, 0.693_146_884_4, 0.240_222_379_6, 0.055_508_930_24, 0.009_671_698_324, 0.001_321_867_224_8];

/// `2ˣ` for `x` that is not positive, with a relative error of about 10⁻⁷. The argument is held above −126, where the result is a
/// normal number; NaN stays NaN. Half the work of [`exp`].
#[inline(always)]
pub fn exp2<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let x = simd.max(simd.splat(-126.0), x);
    let n = simd.round(x);
    simd.scale(polynomial(simd, simd.sub(x, n), POWER), n)
}

/// `2^(factor · x)` for a constant `factor` that is not 0. The exponent is held within ±125, where one more than the result has a
/// normal number for its reciprocal; NaN stays NaN. Where multiplication and addition are one instruction, the exponent is never
/// rounded, only what it lacks to a whole number.
#[inline(always)]
fn power<S: Simd>(simd: S, x: S::Vector, factor: f32) -> S::Vector {
    let most = 125.0 / factor.abs();
    let x = simd.min(simd.splat(most), simd.max(simd.splat(-most), x));
    let n = simd.round(simd.mul(x, simd.splat(factor)));
    let r = simd.mul_add(x, simd.splat(factor), simd.sub(simd.splat(0.0), n));
    simd.scale(polynomial(simd, r, POWER), n)
}

/// `x · σ(1.702 x)`
#[inline(always)]
pub fn quick_gelu<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    simd.div(x, simd.add(simd.splat(1.0), power(simd, x, -1.702 * LOG2_E)))
}

/// `x · σ(x)` (Elfwing, Uchibe and Doya, 2017).
#[inline(always)]
pub fn silu<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    simd.div(x, simd.add(simd.splat(1.0), power(simd, x, -LOG2_E)))
}

/// The derivative of [`quick_gelu`]: `σ + 1.702 x σ (1 − σ)` with `σ = σ(1.702 x)`.
#[inline(always)]
pub fn quick_gelu_derivative<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let one = simd.splat(1.0);
    let e = power(simd, x, -1.702 * LOG2_E);
    let sigmoid = simd.div(one, simd.add(one, e));
    // 1 − σ = e σ, without taking apart what is nearly equal.
    let rest = simd.mul(simd.mul(e, sigmoid), simd.mul(x, simd.splat(1.702)));
    simd.mul_add(sigmoid, rest, sigmoid)
}

/// `x · Φ(x)`, `Φ` being the normal distribution function.
#[inline(always)]
pub fn gelu<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let (magnitude, tail, _) = normal_tail(simd, x);
    // x Φ(x) = max(x, 0) − |x| · tail for either sign.
    simd.sub(simd.max(simd.splat(0.0), x), simd.mul(magnitude, tail))
}

/// The derivative of [`gelu`]: `Φ(x) + x φ(x)`, `φ` being the normal density.
#[inline(always)]
pub fn gelu_derivative<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    const FRAC_1_SQRT_2_PI: f32 = 0.398_942_28;
    let (_, tail, gauss) = normal_tail(simd, x);
    // 0 for a negative x, 1 for a positive one. In the last breath before 0 it is between, where the tail is one half
    // and the factor does not matter.
    let positive = simd.min(simd.splat(1.0), simd.max(simd.splat(0.0), simd.mul(x, simd.splat(f32::MAX))));
    let sign = simd.mul_add(positive, simd.splat(-2.0), simd.splat(1.0));
    let distribution = simd.mul_add(sign, tail, positive);
    simd.mul_add(simd.mul(x, simd.splat(FRAC_1_SQRT_2_PI)), gauss, distribution)
}

/// `|x|`, the tail of the normal distribution beyond it, and `e^(−x²/2)`. By the complementary error function of
/// `z = |x| / √2`, which keeps the relative error small where the tail is: `erfc z = t e^(−z²) P(t − ½)` with
/// `t = 1 / (1 + z / 2)`. `P` is a polynomial of least relative error for `z` to 14.
#[inline(always)]
fn normal_tail<S: Simd>(simd: S, x: S::Vector) -> (S::Vector, S::Vector, S::Vector) {
    const P: [f32; 9] = [
        0.510_791_36,
        0.687_160_97,
        0.558_939_04,
        0.145_742_61,
        -0.171_862_63,
        -0.103_040_22,
        0.095_322_24,
        0.048_578_07,
        -0.059_386_34,
    ];
    let one = simd.splat(1.0);
    let magnitude = simd.max(simd.sub(simd.splat(0.0), x), x);
    let z = simd.mul(magnitude, simd.splat(FRAC_1_SQRT_2));
    let t = simd.div(one, simd.mul_add(z, simd.splat(0.5), one));
    // e^(−z²) from x itself: z is rounded, and the exponential would multiply its error by 2 z².
    let gauss = exp(simd, simd.mul(simd.mul(x, simd.splat(-0.5)), x));
    let p = polynomial(simd, simd.sub(t, simd.splat(0.5)), P);
    // The tail beyond |x|, half of erfc: Φ(x) for a negative x, 1 − Φ(x) for a positive one.
    let tail = simd.mul(simd.mul(simd.mul(t, gauss), simd.splat(0.5)), p);
    (magnitude, tail, gauss)
}
