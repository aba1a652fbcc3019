//! Limited-memory BFGS in `f64`, for objectives that are smooth and convex, like logistic regression.
//!
//! Nocedal and Wright, "Numerical Optimization" (2nd edition), algorithm 7.4 (two-loop recursion), with a backtracking
//! line search (algorithm 3.1). A convex objective keeps the curvature `sᵀy` positive without the Wolfe conditions;
//! pairs where rounding says otherwise are left out.

use std::collections::VecDeque;

/// Pairs of differences kept: the usual number.
const MEMORY: usize = 10;
/// The least part of the decrease foretold by the slope that a step must bring (Armijo).
const SUFFICIENT: f64 = 1e-4;

/// Where the minimisation ended.
#[derive(Clone, Debug)]
pub struct Minimum {
    /// The point.
    pub x: Vec<f64>,
    /// The objective there.
    pub value: f64,
    /// The greatest absolute entry of the gradient there.
    pub gradient: f64,
    /// Iterations used.
    pub iterations: usize,
}

/// Minimises `objective` from `start` until no entry of the gradient exceeds `tolerance`, no step lowers the objective
/// any more (rounding), or `iterations` are used. `objective` writes its gradient into the second argument.
pub fn minimise(
    mut objective: impl FnMut(&[f64], &mut [f64]) -> f64,
    start: Vec<f64>,
    tolerance: f64,
    iterations: usize,
) -> Minimum {
    let mut x = start;
    let mut gradient = vec![0.0; x.len()];
    let mut value = objective(&x, &mut gradient);
    let mut pairs: VecDeque<Pair> = VecDeque::with_capacity(MEMORY);
    let mut used = 0;
    while used < iterations && largest(&gradient) > tolerance {
        let mut direction = descent_direction(&gradient, &pairs);
        let mut slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            // The memory no longer describes the curvature: start again from steepest descent.
            pairs.clear();
            direction = gradient.iter().map(|g| -g).collect();
            slope = -dot(&gradient, &gradient);
        }
        // Without memory the direction has no natural length; afterwards the full step is nearly always right.
        let mut length = if pairs.is_empty() { 1.0 / slope.abs().sqrt().max(1.0) } else { 1.0 };
        let mut next_gradient = vec![0.0; x.len()];
        let accepted = (0..50).find_map(|_| {
            let next: Vec<f64> = x.iter().zip(&direction).map(|(x, d)| x + length * d).collect();
            let next_value = objective(&next, &mut next_gradient);
            if next_value <= value + SUFFICIENT * length * slope {
                return Some((next, next_value));
            }
            length *= 0.5;
            None
        });
        let Some((next, next_value)) = accepted else { break };
        let step: Vec<f64> = next.iter().zip(&x).map(|(a, b)| a - b).collect();
        let change: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let curvature = dot(&step, &change);
        if curvature > f64::EPSILON * dot(&change, &change) {
            if pairs.len() == MEMORY {
                pairs.pop_front();
            }
            pairs.push_back(Pair { step, change, curvature });
        }
        (x, value, gradient) = (next, next_value, next_gradient);
        used += 1;
    }
    Minimum { gradient: largest(&gradient), x, value, iterations: used }
}

/// One accepted step, the change of the gradient along it, and their product.
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    curvature: f64,
}

/// `−H·gradient`, with the inverse Hessian `H` estimated from the pairs.
fn descent_direction(gradient: &[f64], pairs: &VecDeque<Pair>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut weights = Vec::with_capacity(pairs.len());
    for pair in pairs.iter().rev() {
        let weight = dot(&pair.step, &direction) / pair.curvature;
        add_scaled(&mut direction, -weight, &pair.change);
        weights.push(weight);
    }
    if let Some(last) = pairs.back() {
        let scale = last.curvature / dot(&last.change, &last.change);
        for d in &mut direction {
            *d *= scale;
        }
    }
    for (pair, weight) in pairs.iter().zip(weights.into_iter().rev()) {
        let correction = dot(&pair.change, &direction) / pair.curvature;
        add_scaled(&mut direction, weight - correction, &pair.step);
    }
    direction
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add_scaled(to: &mut [f64], factor: f64, from: &[f64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += factor * from);
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, value| value.abs().max(largest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_solves_an_ill_conditioned_quadratic() {
        // ½ Σ λ (x − 1)², λ from 1 to 10⁴: steepest descent would need tens of thousands of iterations;
        // SciPy's L-BFGS-B with the same memory and tolerance takes 148.
        let scales: Vec<f64> = (0..9).map(|i| 10f64.powf(f64::from(i) / 2.0)).collect();
        let minimum = minimise(
            |x, gradient| {
                let mut value = 0.0;
                for ((x, g), scale) in x.iter().zip(gradient).zip(&scales) {
                    *g = scale * (x - 1.0);
                    value += 0.5 * scale * (x - 1.0).powi(2);
                }
                value
            },
            vec![0.0; 9],
            1e-9,
            200,
        );
        assert!(minimum.iterations < 160, "{} iterations", minimum.iterations);
        assert!(minimum.x.iter().all(|x| (x - 1.0).abs() < 1e-8), "{:?}", minimum.x);
    }

    #[test]
    fn it_stops_at_once_where_the_gradient_is_zero_and_after_the_iterations_it_was_given() {
        let bowl = |x: &[f64], gradient: &mut [f64]| {
            gradient[0] = x[0].exp() - 1.0;
            x[0].exp() - x[0]
        };
        assert_eq!(minimise(bowl, vec![0.0], 1e-12, 10).iterations, 0);
        assert_eq!(minimise(bowl, vec![5.0], 0.0, 2).iterations, 2);
        let minimum = minimise(bowl, vec![-20.0], 1e-10, 100);
        assert!(minimum.x[0].abs() < 1e-9, "{minimum:?}");
    }
}
