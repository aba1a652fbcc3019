//! The gradient against finite differences of the loss, with everything on, dropout too: its masks are a function of the seed.

use burn::tensor::Tensor;
use burn_flex::Flex;
use lowshot::adapter::{meta::Parameters, tuning::Training};

use crate::{
    problem::{Problem, everything, matrix, rms, values},
    support::seeded,
};

/// How many directions.
const DIRECTIONS: usize = 6;

/// How much the loss is to change to first order over a step. The loss is about 1 and good to some 1e-6, so the differences are
/// good to some 1e-4 of this; the term in h⁴ that the five points leave is smaller.
const CHANGE: f64 = 0.02;

#[test]
fn a_directional_derivative_is_that_of_the_loss() {
    for model in ["tiny", "open-clip-vit"] {
        let problem = Problem::load(model);
        let mut training = problem.started(everything());
        let start = parameters(&training);
        let (_, gradients) = training.gradients(problem.batch(true), false).unwrap();
        let gradients: Vec<Vec<f32>> = gradients.into_iter().map(|gradient| values(gradient.unwrap())).collect();
        for direction in 0..DIRECTIONS {
            // Every tensor is moved in proportion to its own size, so that none of them drowns in the others.
            let moves: Vec<Vec<f32>> = start
                .iter()
                .enumerate()
                .map(|(index, (value, _))| {
                    let size = rms(value) as f32;
                    seeded::uniform(&format!("direction.{direction}.{index}"), value.len()).map(|u| u * size).collect()
                })
                .collect();
            let along = |(gradient, moves): (&Vec<f32>, &Vec<f32>)| -> f64 {
                gradient.iter().zip(moves).map(|(&g, &m)| f64::from(g) * f64::from(m)).sum()
            };
            let parts: Vec<f64> = gradients.iter().zip(&moves).map(along).collect();
            let expected: f64 = parts.iter().sum();
            // What a sum of so many terms of random sign comes to: where they happen to cancel, the error does not.
            let size = parts.iter().map(|part| part * part).sum::<f64>().sqrt();
            let step = CHANGE / size;
            let mut loss = |steps: f64| -> f64 {
                let moved: Vec<Tensor<Flex, 2>> = start
                    .iter()
                    .zip(&moves)
                    .map(|((value, width), moves)| {
                        let moved =
                            value.iter().zip(moves).map(|(&v, &m)| (f64::from(v) + steps * step * f64::from(m)) as f32);
                        matrix(&moved.collect::<Vec<_>>(), *width)
                    })
                    .collect();
                set(&mut training, moved);
                f64::from(training.gradients(problem.batch(true), false).unwrap().0.into_scalar())
            };
            let found = (8.0 * (loss(1.0) - loss(-1.0)) - (loss(2.0) - loss(-2.0))) / (12.0 * step);
            let off = (found - expected).abs() / size;
            println!(
                "{model:18} direction {direction}: {found:+.5e} {expected:+.5e}, step {step:.1e}, off by {off:.1e}"
            );
            assert!(off <= 1e-2, "{model}: {found} by differences, {expected} by the gradient");
        }
    }
}

/// Numbers and width of everything that is trained.
fn parameters(training: &Training<Flex>) -> Vec<(Vec<f32>, usize)> {
    let tensors = training.state().tensors.into_iter().filter(|(name, _)| name.starts_with("value."));
    tensors.map(|(_, value)| (values(value.clone()), value.dims()[1])).collect()
}

fn set(training: &mut Training<Flex>, mut values: Vec<Tensor<Flex, 2>>) {
    let meta = values.split_off(training.tuning().values().len());
    training.set_values(values);
    training.set_meta(Parameters::from_slice(&meta));
}
