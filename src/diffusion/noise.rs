//! Where a picture's random numbers come from: its seed alone, so that it does not depend on its batch.

use burn::tensor::{Tensor, TensorData, backend::Backend};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Error, Result};

/// A picture's noise: first that of its latent, then that of the first timestep, then that of the steps which add some.
#[derive(Clone, Copy, Debug)]
pub enum Noise<'a> {
    /// Drawn from a seed.
    Seed(u64),
    /// Given, each `[height · width · channels]` of unit variance, in the order of use.
    Given(&'a [Vec<f32>]),
}

/// [`Noise`] on its way.
#[derive(Debug)]
pub enum NoiseSource<'a> {
    /// The generator of a seed.
    Drawn(Box<ChaCha8Rng>),
    /// What is left.
    Given(&'a [Vec<f32>]),
}

impl<'a> From<Noise<'a>> for NoiseSource<'a> {
    fn from(noise: Noise<'a>) -> Self {
        match noise {
            Noise::Seed(seed) => {
                // The seed itself is the key: what a generator makes of a number may change between versions.
                let mut key = [0; 32];
                key[..8].copy_from_slice(&seed.to_le_bytes());
                Self::Drawn(Box::new(ChaCha8Rng::from_seed(key)))
            }
            Noise::Given(noises) => Self::Given(noises),
        }
    }
}

impl NoiseSource<'_> {
    /// The next noise, of unit variance.
    ///
    /// # Errors
    /// It is given, and there is none left or not so much of it.
    pub fn next<B: Backend>(&mut self, shape: [usize; 4], device: &B::Device) -> Result<Tensor<B, 4>> {
        let count = shape.iter().product();
        let values = match self {
            Self::Drawn(generator) => normal(generator.as_mut(), count),
            Self::Given(noises) => {
                let (next, rest) = noises
                    .split_first()
                    .ok_or_else(|| Error::Usage(format!("more noise of {count} numbers is needed than was given")))?;
                if next.len() != count {
                    return Err(Error::Usage(format!("noise of {count} numbers is needed, not of {}", next.len())));
                }
                *noises = rest;
                next.clone()
            }
        };
        Ok(Tensor::from_data(TensorData::new(values, shape), device))
    }
}

/// Normally distributed numbers (Box and Muller, 1958), two from 64 bits.
fn normal(generator: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let [first, second] = [generator.next_u32(), generator.next_u32()].map(f64::from);
        // From above 0, whose logarithm is not finite, up to 1.
        let radius = (-2.0 * ((first + 1.0) / (1_u64 << 32) as f64).ln()).sqrt();
        let (sine, cosine) = (second / (1_u64 << 32) as f64 * std::f64::consts::TAU).sin_cos();
        values.extend([(radius * cosine) as f32, (radius * sine) as f32]);
    }
    values.truncate(count);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_normal_and_a_function_of_the_seed() {
        let draw = |seed, count| match NoiseSource::from(Noise::Seed(seed)) {
            NoiseSource::Drawn(mut generator) => normal(&mut generator, count),
            NoiseSource::Given(_) => unreachable!("a seed draws"),
        };
        let values = draw(7, 100_001);
        let mean = |power: i32| values.iter().map(|value| f64::from(*value).powi(power)).sum::<f64>() / 100_001.0;
        // Five standard errors of each moment.
        assert!(mean(1).abs() < 0.016, "mean {}", mean(1));
        assert!((mean(2) - 1.0).abs() < 0.023, "variance {}", mean(2));
        assert!((mean(4) - 3.0).abs() < 0.16, "fourth moment {}", mean(4));
        assert_eq!(draw(7, 33), values[..33]);
        assert_ne!(draw(8, 33), values[..33]);
    }
}
