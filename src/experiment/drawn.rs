//! The pictures that a training through the towers learns from, and those of them that each step draws.

use std::path::Path;

use super::{Event, Observer, augmented, pictures::Place};
use crate::{
    Error, Result,
    adapter::tuning::TuningConfig,
    data::{Draws, Item},
};

/// A picture that a step wants: its name, its label and weight, and where it stands. The label of a view of a breaking picture
/// says nothing.
pub type Wanted<'a> = (&'a str, (usize, f32), Place);

/// The training images and the generated pictures beside them.
pub struct Drawn<'a> {
    shots: &'a [Item],
    preserving: Vec<Item>,
    preserving_weight: f32,
    /// Both views of each breaking picture.
    breaking: Vec<[String; 2]>,
    /// Breaking pictures of each step.
    views: usize,
}

impl<'a> Drawn<'a> {
    /// The images of `train`, and what the folder `generated` has for them, as far as the settings want it.
    ///
    /// # Errors
    /// No image at all; none of a kind that is wanted.
    pub fn find(
        config: &TuningConfig,
        train: &'a [Item],
        generated: &Path,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let preserving = match config.preserving {
            0 => Vec::new(),
            most => {
                let dropped = augmented::dropped(generated)?;
                if !dropped.is_empty() {
                    let count = dropped.len();
                    let note = format!("{count} label-preserving images that were dropped are not used");
                    observer.observe(&Event::note(note));
                }
                augmented::preserving(generated, train, most, &dropped)?
            }
        };
        if train.is_empty() && preserving.is_empty() {
            let why = "no images to learn from: give at least one, or use zero-shot".into();
            return Err(Error::Data { place: "shots".into(), why });
        }
        let breaking = match config.breaking {
            Some(breaking) => augmented::breaking(generated, train, breaking.pair)?,
            None => Vec::new(),
        };
        let views = config.batch.min(breaking.len());
        Ok(Self { shots: train, preserving, preserving_weight: config.preserving_weight as f32, breaking, views })
    }

    /// How many pictures there are to read.
    pub fn count(&self) -> usize {
        self.labelled() + 2 * self.breaking.len()
    }

    /// How many of them have a label.
    fn labelled(&self) -> usize {
        self.shots.len() + self.preserving.len()
    }

    /// Breaking pictures of each step, which sees two views of each.
    pub fn views(&self) -> usize {
        self.views
    }

    /// Whether pictures differ in their weight.
    pub fn weighted(&self) -> bool {
        self.preserving_weight != 1.0 && !self.preserving.is_empty()
    }

    /// What the steps from `done` on want, step by step: the batch, then the first view of each breaking picture, then the second.
    pub fn from_step(&self, done: usize, config: &TuningConfig, seed: u64) -> impl Iterator<Item = Wanted<'_>> {
        let views = self.views;
        let draws = Draws::new(config.draw, self.labelled(), config.batch, seed);
        // Another seed, so that the pairs do not follow the batch where both have the same number of pictures.
        let pairs = Draws::new(config.draw, self.breaking.len().max(1), views.max(1), !seed);
        let steps = (done..config.steps).zip(draws.batches(done).zip(pairs.batches(done)));
        steps.flat_map(move |(step, (batch, pairs))| {
            let pairs = if self.breaking.is_empty() { Vec::new() } else { pairs };
            let [first, second] = [0, 1].map(|view| self.views_of(&pairs, view));
            // A view's place says which of the two it is, whatever the size of the batch.
            let batch = batch.into_iter().map(|index| self.labelled_picture(index)).enumerate();
            let placed = batch.chain((views..).zip(first)).chain((2 * views..).zip(second));
            placed.map(|(index, (name, target))| (name, target, Place { step, index })).collect::<Vec<_>>()
        })
    }

    fn labelled_picture(&self, index: usize) -> (&str, (usize, f32)) {
        let (item, weight) = match self.shots.get(index) {
            Some(item) => (item, 1.0),
            None => (&self.preserving[index - self.shots.len()], self.preserving_weight),
        };
        (item.path.as_str(), (item.label, weight))
    }

    fn views_of(&self, pairs: &[usize], view: usize) -> Vec<(&str, (usize, f32))> {
        pairs.iter().map(|&index| (self.breaking[index][view].as_str(), (0, 1.0))).collect()
    }
}
