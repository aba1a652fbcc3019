//! The numbers that describe a result: accuracies, an interval, the confusion between classes.
//!
//! Everything here stands on one ranking: higher logit first, and of equal logits the lower class index first.

use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Logits of some images, on the host.
#[derive(Clone, Debug)]
pub struct Scores {
    values: Vec<f32>,
    classes: usize,
}

/// What is predicted for one image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Index of the class with the highest logit.
    pub class: usize,
    /// Its softmax probability, 0..1.
    pub confidence: f32,
}

impl Scores {
    /// Takes logits row by row: `values` holds `rows · classes` numbers.
    ///
    /// # Errors
    /// [`Error::Failed`] when they do not fill whole rows or one of them is not finite.
    pub fn new(values: Vec<f32>, classes: usize) -> Result<Self> {
        if classes == 0 || !values.len().is_multiple_of(classes) {
            return Err(Error::Failed(format!("{} logits do not fill rows of {classes} classes", values.len())));
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(Error::Failed(format!(
                "the logit of image {} for class {} is {}: the weights or the image features are not finite",
                at / classes,
                at % classes,
                values[at]
            )));
        }
        Ok(Self { values, classes })
    }

    /// Reads logits `[n, classes]` back from the device.
    ///
    /// # Errors
    /// [`Error::Failed`] when the device fails or a logit is not finite.
    pub async fn read<B: Backend>(logits: Tensor<B, 2>) -> Result<Self> {
        let classes = logits.dims()[1];
        Self::new(super::read(logits).await?, classes)
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The logits of each image in turn, `[classes]` each.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.classes)
    }

    /// The prediction for each image.
    pub fn predictions(&self) -> impl ExactSizeIterator<Item = Prediction> {
        self.rows().map(|row| {
            let class = best(row);
            Prediction { class, confidence: softmax(row)[class] }
        })
    }
}

/// Index of the greatest value, the first of equals; 0 for no values.
pub fn best(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best })
}

/// How many classes stand before `class` in a row of logits.
pub fn rank(row: &[f32], class: usize) -> usize {
    let own = row[class];
    row.iter().enumerate().filter(|&(other, &logit)| logit > own || (logit == own && other < class)).count()
}

/// Softmax probabilities of a row of logits, `[classes]`. Accumulated in `f64`.
pub fn softmax(row: &[f32]) -> Vec<f32> {
    let peak = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = row.iter().map(|&logit| f64::from(logit - peak).exp()).collect();
    let total: f64 = powers.iter().sum();
    powers.into_iter().map(|power| (power / total) as f32).collect()
}

/// How a set of images was classified. Fractions are 0..1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Number of images.
    pub n: usize,
    /// Fraction whose highest logit is the label's.
    pub top1: f64,
    /// Fraction whose label is among the five highest logits.
    pub top5: f64,
    /// Mean of the accuracies of the classes that have images here.
    #[serde(rename = "macro")]
    pub macro_accuracy: f64,
    /// 95 % interval of `top1` ([`wilson`]).
    pub ci95: [f64; 2],
    /// Each class: images and accuracy.
    pub per_class: Vec<ClassAccuracy>,
    /// `[label][prediction]`, counts.
    pub confusion: Vec<Vec<usize>>,
}

/// One class in [`Metrics`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassAccuracy {
    /// Images with this label.
    pub n: usize,
    /// Fraction of them with this prediction; nothing where there are no images.
    pub accuracy: Option<f64>,
}

impl Metrics {
    /// Compares `scores` with the images' `labels`.
    ///
    /// # Errors
    /// [`Error::Data`] when there are no images, the numbers of rows and labels differ, or a label names no class.
    pub fn new(scores: &Scores, labels: &[usize]) -> Result<Self> {
        let mut tally = Tally::new(scores.classes());
        tally.add(scores, labels)?;
        tally.metrics()
    }
}

/// [`Metrics`] of images that come in portions.
#[derive(Clone, Debug)]
pub struct Tally {
    /// `[label][prediction]`.
    confusion: Vec<Vec<usize>>,
    among_five: usize,
}

impl Tally {
    /// No images yet, of `classes` classes.
    pub fn new(classes: usize) -> Self {
        Self { confusion: vec![vec![0; classes]; classes], among_five: 0 }
    }

    /// Compares the `scores` of more images with their `labels`.
    ///
    /// # Errors
    /// [`Error::Data`] when the numbers of rows and labels differ, or a label names no class.
    pub fn add(&mut self, scores: &Scores, labels: &[usize]) -> Result<()> {
        check_labels("evaluation", labels, scores.rows().len(), self.confusion.len())?;
        for (row, &label) in scores.rows().zip(labels) {
            self.confusion[label][best(row)] += 1;
            self.among_five += usize::from(rank(row, label) < 5);
        }
        Ok(())
    }

    /// What they come to.
    ///
    /// # Errors
    /// [`Error::Data`] when there were no images.
    pub fn metrics(self) -> Result<Metrics> {
        let Self { confusion, among_five } = self;
        let per_class: Vec<ClassAccuracy> = confusion
            .iter()
            .enumerate()
            .map(|(class, row)| {
                let n = row.iter().sum();
                ClassAccuracy { n, accuracy: (n > 0).then(|| row[class] as f64 / n as f64) }
            })
            .collect();
        let n: usize = per_class.iter().map(|class| class.n).sum();
        if n == 0 {
            return Err(Error::Data { place: "evaluation".into(), why: "no images: give at least one".into() });
        }
        let correct: usize = confusion.iter().enumerate().map(|(class, row)| row[class]).sum();
        let present: Vec<f64> = per_class.iter().filter_map(|class| class.accuracy).collect();
        Ok(Metrics {
            n,
            top1: correct as f64 / n as f64,
            top5: among_five as f64 / n as f64,
            macro_accuracy: present.iter().sum::<f64>() / present.len() as f64,
            ci95: wilson(correct, n),
            per_class,
            confusion,
        })
    }
}

/// Refuses labels that do not go with `rows` rows and `classes` classes.
pub(crate) fn check_labels(place: &str, labels: &[usize], rows: usize, classes: usize) -> Result<()> {
    let why = if labels.len() != rows {
        format!("{rows} rows of features with {} labels: give one label a row", labels.len())
    } else if let Some(at) = labels.iter().position(|&label| label >= classes) {
        format!("label {} of row {at} names no class: there are {classes}, counted from 0", labels[at])
    } else {
        return Ok(());
    };
    Err(Error::Data { place: place.into(), why })
}

/// 95 % interval of a fraction `correct / n` (Wilson, "Probable inference, the law of succession, and statistical
/// inference", 1927; without continuity correction). All of 0..1 when nothing was counted.
pub fn wilson(correct: usize, n: usize) -> [f64; 2] {
    const Z: f64 = 1.959_963_984_540_054;
    if n == 0 {
        return [0.0, 1.0];
    }
    let count = n as f64;
    let fraction = correct as f64 / count;
    let centre = fraction + Z * Z / (2.0 * count);
    let half = Z * (fraction * (1.0 - fraction) / count + Z * Z / (4.0 * count * count)).sqrt();
    let width = 1.0 + Z * Z / count;
    [((centre - half) / width).max(0.0), ((centre + half) / width).min(1.0)]
}

/// Harmonic mean of two accuracies, as base-to-novel generalisation reports it (Xian and others, "Zero-shot learning: a
/// comprehensive evaluation", 2018, equation 9); 0 when both are 0.
pub fn harmonic_mean(base: f64, novel: f64) -> f64 {
    if base + novel > 0.0 { 2.0 * base * novel / (base + novel) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_logits_are_ranked_by_class_index() {
        let row = [1.0, 3.0, 3.0, 2.0];
        assert_eq!(best(&row), 1);
        assert_eq!([0, 1, 2, 3].map(|class| rank(&row, class)), [3, 0, 1, 2]);
        assert_eq!(best(&[-0.0, 0.0]), 0);
    }

    #[test]
    fn metrics_of_a_case_counted_by_hand() {
        // Seven classes, so that five of them can miss one; class 2 has no images, class 6 is last of seven once.
        let mut values = Vec::new();
        for top in [0, 1, 1, 0] {
            values.extend((0..7).map(|class| if class == top { 9.0 } else { -(class as f32) }));
        }
        let scores = Scores::new(values, 7).unwrap();
        let metrics = Metrics::new(&scores, &[0, 0, 1, 6]).unwrap();
        assert_eq!((metrics.n, metrics.top1, metrics.top5), (4, 0.5, 0.75));
        assert!((metrics.macro_accuracy - (0.5 + 1.0 + 0.0) / 3.0).abs() < 1e-12);
        assert_eq!(metrics.per_class[0], ClassAccuracy { n: 2, accuracy: Some(0.5) });
        assert_eq!(metrics.per_class[2], ClassAccuracy { n: 0, accuracy: None });
        assert_eq!(metrics.confusion[0][..2], [1, 1]);
        assert_eq!(metrics.confusion[6][0], 1);
        assert_eq!(metrics.confusion.iter().flatten().sum::<usize>(), 4);
        let json = serde_json::to_value(&metrics).unwrap();
        assert_eq!(json["macro"], 0.5);
    }

    #[test]
    fn wilson_agrees_with_published_values() {
        // Newcombe 1998, table I: 81/263 and 0/20.
        for ((correct, n), [low, high]) in
            [((81, 263), [0.2553, 0.3662]), ((0, 20), [0.0, 0.1611]), ((20, 20), [0.8389, 1.0])]
        {
            let [a, b] = wilson(correct, n);
            assert!((a - low).abs() < 5e-5 && (b - high).abs() < 5e-5, "{correct}/{n}: {a} {b}");
        }
        assert_eq!(wilson(0, 0), [0.0, 1.0]);
    }

    #[test]
    fn confidence_is_a_softmax_that_does_not_overflow() {
        let scores = Scores::new(vec![1000.0, 1000.0 + 3f32.ln(), -1000.0], 3).unwrap();
        let prediction = scores.predictions().next().unwrap();
        assert_eq!(prediction.class, 1);
        assert!((prediction.confidence - 0.75).abs() < 1e-4, "{prediction:?}");
    }

    #[test]
    fn harmonic_mean_leans_to_the_lower() {
        assert!((harmonic_mean(0.9, 0.45) - 0.6).abs() < 1e-12);
        assert_eq!(harmonic_mean(0.0, 0.0), 0.0);
    }

    #[test]
    fn what_cannot_be_scored_is_refused() {
        assert!(Scores::new(vec![0.0, f32::NAN], 2).unwrap_err().to_string().contains("image 0 for class 1"));
        assert!(Scores::new(vec![0.0; 3], 2).is_err());
        assert!(Scores::new(vec![], 0).is_err());
        let scores = Scores::new(vec![0.0; 4], 2).unwrap();
        assert!(Metrics::new(&scores, &[0]).unwrap_err().to_string().contains("2 rows of features with 1 labels"));
        assert!(Metrics::new(&scores, &[0, 2]).unwrap_err().to_string().contains("label 2 of row 1"));
        assert!(Metrics::new(&Scores::new(vec![], 2).unwrap(), &[]).is_err());
    }
}
