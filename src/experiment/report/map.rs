//! A map of the test images: neighbours in the plane have similar features.

use sha2::{Digest, Sha256};

use super::runs::Prediction;
use crate::train::tsne::{self, Point};

/// At most so many images are on a map.
pub const MOST: usize = 1000;

/// Images with their places.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureMap {
    /// Indices into the predictions of the runs that are shown.
    pub images: Vec<usize>,
    /// Where each is: both axes start at 0, and the longer one ends at 1.
    pub places: Vec<Point>,
}

impl FeatureMap {
    /// Lays out `images` by their features, row by row of `values`, each row `width` long.
    pub fn new(images: Vec<usize>, values: &[f32], width: usize) -> Self {
        let rows: Vec<Vec<f64>> =
            values.chunks_exact(width.max(1)).map(|row| row.iter().map(|value| f64::from(*value)).collect()).collect();
        let points = tsne::embed(&rows);
        let range = |axis: usize| {
            let values = points.iter().map(|point| point[axis]);
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
        };
        let ranges = [range(0), range(1)];
        // One scale for both axes: distances mean the same in every direction.
        let span = ranges.iter().map(|(low, high)| high - low).fold(f64::MIN_POSITIVE, f64::max);
        let place = |point: &Point| [0, 1].map(|axis| (point[axis] - ranges[axis].0) / span);
        Self { images, places: points.iter().map(place).collect() }
    }

    /// Width and height that hold all places.
    pub fn extent(&self) -> [f64; 2] {
        [0, 1].map(|axis| self.places.iter().map(|place| place[axis]).fold(0.0, f64::max))
    }
}

/// Which images are on the map: at most [`MOST`], from each class as many as from the others where it has them, chosen by the
/// SHA-256 of their paths, which has nothing to do with what is in them. In the order of `predictions`.
pub fn sample(predictions: &[Prediction], classes: usize) -> Vec<usize> {
    let mut by_class: Vec<Vec<usize>> = vec![Vec::new(); classes];
    for (index, line) in predictions.iter().enumerate() {
        by_class[line.label].push(index);
    }
    for list in &mut by_class {
        list.sort_by_cached_key(|&index| Sha256::digest(&predictions[index].path));
    }
    // The smallest classes first, so that what they cannot fill goes to the others.
    by_class.sort_by_key(Vec::len);
    let mut sampled = Vec::new();
    for (position, list) in by_class.iter().enumerate() {
        let share = (MOST - sampled.len()) / (classes - position);
        sampled.extend(list.iter().take(share));
    }
    sampled.sort_unstable();
    sampled
}
