//! From logits to probabilities that can be believed, and to the answer "I am not sure".
//!
//! One temperature divides the logits (Guo and others, "On calibration of modern neural networks", 2017, section 4.2), chosen on
//! photos that the model had not learnt from. With a handful of photos all may be right, and then no temperature is too sharp; so
//! targets are softened as if one photo more had been seen of which nothing is known (as in Platt's "Probabilistic outputs for
//! support vector machines", 1999, section 2.2).

use serde::{Deserialize, Serialize};

use crate::train::metrics::{Scores, best, softmax};

/// Temperatures that are considered, as natural logarithms: from a twentieth to a hundred.
const RANGE: (f64, f64) = (-3.0, 4.6);
/// Halvings of the range, to about 1e-4 of it.
const STEPS: usize = 40;
/// The best class must be this many times as likely as the next.
const ODDS: f32 = 2.0;
/// How many standard deviations less alike than usual is unlike.
const DEVIATIONS: f32 = 3.0;
/// Fewer examples than this say nothing about what is usual.
const LEAST_EXAMPLES: usize = 5;

/// Why an answer is not to be relied upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsure {
    /// The two likeliest classes are near each other.
    Close,
    /// The photo is unlike everything that was learnt from.
    Unlike,
}

/// What is said of one photo.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Calibrated probabilities, one a class; they sum to 1.
    pub probabilities: Vec<f32>,
    /// The likeliest class.
    pub best: usize,
    /// Why not to rely on it, where there is a reason.
    pub unsure: Option<Unsure>,
}

/// What turns a method's logits into answers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// What logits are divided by.
    pub temperature: f32,
    /// How alike the examples are, where that is known.
    pub likeness: Option<Likeness>,
}

impl Default for Calibration {
    /// Logits as they are.
    fn default() -> Self {
        Self { temperature: 1.0, likeness: None }
    }
}

impl Calibration {
    /// The temperature by held-out `scores` of photos with these `labels`.
    pub fn fit(scores: &Scores, labels: &[usize]) -> Self {
        if labels.is_empty() {
            return Self::default();
        }
        let loss = |log: f64| negative_log_likelihood(scores, labels, log.exp());
        // Golden section: the loss has one minimum in the logarithm's neighbourhood of use.
        let golden = (5f64.sqrt() - 1.0) / 2.0;
        let (mut low, mut high) = RANGE;
        for _ in 0..STEPS {
            let (a, b) = (high - golden * (high - low), low + golden * (high - low));
            if loss(a) < loss(b) {
                high = b;
            } else {
                low = a;
            }
        }
        Self { temperature: f64::midpoint(low, high).exp() as f32, likeness: None }
    }

    /// The answer for a row of logits; `alike` is the photo's similarity to its nearest example, where that is known.
    pub fn answer(&self, logits: &[f32], alike: Option<f32>) -> Answer {
        let scaled: Vec<f32> = logits.iter().map(|logit| logit / self.temperature).collect();
        let probabilities = softmax(&scaled);
        let best = best(&probabilities);
        let next = (0..probabilities.len()).filter(|&class| class != best).map(|class| probabilities[class]);
        let close = probabilities[best] < ODDS * next.fold(0.0, f32::max);
        let unlike = self.likeness.zip(alike).is_some_and(|(likeness, alike)| alike < likeness.least());
        let unsure = match (unlike, close) {
            (true, _) => Some(Unsure::Unlike),
            (false, true) => Some(Unsure::Close),
            (false, false) => None,
        };
        Answer { probabilities, best, unsure }
    }
}

/// Mean over the photos of −log p by softened targets.
fn negative_log_likelihood(scores: &Scores, labels: &[usize], temperature: f64) -> f64 {
    let classes = scores.classes() as f64;
    let softening = 1.0 / (labels.len() + 1) as f64;
    let of_row = |(row, &label): (&[f32], &usize)| {
        let peak = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let shifted = |logit: f32| f64::from(logit - peak) / temperature;
        let total = row.iter().map(|&logit| shifted(logit).exp()).sum::<f64>().ln();
        let mean = row.iter().map(|&logit| shifted(logit)).sum::<f64>() / classes;
        total - (1.0 - softening) * shifted(row[label]) - softening * mean
    };
    scores.rows().zip(labels).map(of_row).sum::<f64>() / labels.len() as f64
}

/// How similar each example is to its nearest other example.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Likeness {
    mean: f32,
    deviation: f32,
}

impl Likeness {
    /// Of examples' unit features, row by row of `width`; nothing where there are too few.
    pub fn of(features: &[f32], width: usize) -> Option<Self> {
        let rows: Vec<&[f32]> = features.chunks_exact(width.max(1)).collect();
        if rows.len() < LEAST_EXAMPLES {
            return None;
        }
        let to_others = |at: usize| {
            let others = (0..rows.len()).filter(|&other| other != at);
            others.map(|other| dot(rows[at], rows[other])).fold(f32::NEG_INFINITY, f32::max)
        };
        let nearest: Vec<f32> = (0..rows.len()).map(to_others).collect();
        let n = nearest.len() as f32;
        let mean = nearest.iter().sum::<f32>() / n;
        let deviation = (nearest.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / (n - 1.0)).sqrt();
        Some(Self { mean, deviation })
    }

    /// The least similarity that is not unusual.
    fn least(self) -> f32 {
        self.mean - DEVIATIONS * self.deviation
    }
}

/// A unit feature's similarity to the nearest row of `examples`; nothing where there are none.
pub fn nearest(feature: &[f32], examples: &[f32]) -> Option<f32> {
    examples.chunks_exact(feature.len().max(1)).map(|example| dot(feature, example)).reduce(f32::max)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logits of which a known temperature is the right one: each outcome as often as its probability says.
    #[test]
    fn the_temperature_that_made_the_labels_is_found() {
        let temperature = 2.5_f32;
        let odds = [(0.9_f32, 900), (0.6, 600)];
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        for (probability, hits) in odds {
            let logit = temperature * (probability / (1.0 - probability)).ln();
            for photo in 0..1000 {
                values.extend([logit, 0.0]);
                labels.push(usize::from(photo >= hits));
            }
        }
        let found = Calibration::fit(&Scores::new(values, 2).unwrap(), &labels).temperature;
        assert!((found - temperature).abs() < 0.02, "{found}");
    }

    #[test]
    fn few_photos_that_are_all_right_do_not_make_it_certain() {
        let values = [[50.0, 0.0], [0.0, 50.0], [50.0, 0.0], [0.0, 50.0]].concat();
        let calibration = Calibration::fit(&Scores::new(values, 2).unwrap(), &[0, 1, 0, 1]);
        let answer = calibration.answer(&[50.0, 0.0], None);
        // One unknown photo among five, half of it wrong.
        assert!((answer.probabilities[0] - 0.9).abs() < 0.01, "{answer:?}");
    }

    #[test]
    fn wrong_confident_logits_are_flattened() {
        let values = [[9.0, 0.0], [9.0, 0.0], [9.0, 0.0], [9.0, 0.0]].concat();
        let calibration = Calibration::fit(&Scores::new(values, 2).unwrap(), &[0, 1, 1, 0]);
        let answer = calibration.answer(&[9.0, 0.0], None);
        assert!(answer.probabilities[0] < 0.6, "{answer:?}");
        assert_eq!(answer.unsure, Some(Unsure::Close));
    }

    #[test]
    fn what_is_unlike_the_examples_is_said_to_be() {
        // Six directions within a few degrees of the first axis.
        let examples: Vec<f32> = (0..6)
            .flat_map(|i| {
                let a = i as f32 * 0.02;
                [a.cos(), a.sin(), 0.0]
            })
            .collect();
        let likeness = Likeness::of(&examples, 3);
        assert!(likeness.is_some() && Likeness::of(&examples[..12], 3).is_none());
        let calibration = Calibration { temperature: 1.0, likeness };
        let ask = |feature: [f32; 3]| calibration.answer(&[5.0, 0.0], nearest(&feature, &examples)).unsure;
        assert_eq!(ask([1.0, 0.0, 0.0]), None);
        assert_eq!(ask([0.0, 0.0, 1.0]), Some(Unsure::Unlike));
        assert_eq!(nearest(&[1.0, 0.0, 0.0], &[]), None);
    }
}
