//! Which pictures are wanted, and all that decides each of them.

use std::{collections::HashMap, path::Path};

use sha2::{Digest, Sha256};

use super::origin::{Kind, Origin, Record};
use crate::{
    Error, Result,
    data::{Item, item, quote, templates},
    diffusion::schedule::SchedulerKind,
};

/// What is wanted of every training image.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The kinds wanted, each with its strength, in the order of [`Kind::ALL`].
    pub kinds: Vec<(Kind, f64)>,
    /// Pictures of each kind.
    pub per_image: usize,
    /// What all seeds are derived from.
    pub seed: u64,
    /// Steps of the whole schedule.
    pub steps: usize,
    /// Whether the first step is the original code's, one later than diffusers'.
    pub original_strength: bool,
    /// Weight of the prompt.
    pub guidance: f64,
    /// The scheduler.
    pub scheduler: SchedulerKind,
    /// Side of the square pictures, in pixels.
    pub size: u32,
    /// The prompt, with `{}` for the class.
    pub prompt: String,
    /// What pictures shall not show.
    pub negative: String,
    /// What the model is called.
    pub model: String,
    /// SHA-256 of the model.
    pub model_sha256: String,
    /// The device that computes.
    pub device: String,
}

impl Plan {
    /// Strength of label-preserving pictures and of second views.
    pub const PRESERVING: f64 = 0.3;
    /// Strength of label-breaking pictures.
    pub const BREAKING: f64 = 0.6;

    /// Refuses what makes no sense, before anything is computed.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the setting.
    pub fn check(&self) -> Result<()> {
        let wrong = |why: String| Err(Error::Usage(why));
        if self.per_image == 0 {
            return wrong("--per-image 0 asks for no pictures: give at least 1".into());
        }
        if self.steps == 0 {
            return wrong("--steps 0: give at least 1".into());
        }
        for &(_, strength) in &self.kinds {
            if !(strength > 0.0 && strength <= 1.0) {
                return wrong(format!("a strength of {strength} makes no sense: give more than 0 and at most 1"));
            }
            if self.taken(strength) == 0 {
                let least = 1.0 / self.steps as f64;
                let why = format!("{} steps at strength {strength} leave none to take", self.steps);
                return wrong(format!("{why}: give more steps, or a strength of {least:.3} or more"));
            }
        }
        if self.original_strength && self.scheduler != SchedulerKind::Ddim {
            let scheduler = self.scheduler;
            return wrong(format!(
                "--original-strength is that of the scheduler ddim, not of {scheduler}: leave it out"
            ));
        }
        if self.size == 0 {
            return wrong("--size 0: give the pictures' side in pixels".into());
        }
        if !self.guidance.is_finite() || self.guidance < 0.0 {
            return wrong(format!("--guidance {}: give 0 or more", self.guidance));
        }
        templates::check(&self.prompt).map_err(|why| Error::Usage(format!("--prompt: {why}")))
    }

    /// Denoising steps that a picture of a strength takes, as diffusers counts them.
    pub fn taken(&self, strength: f64) -> usize {
        ((self.steps as f64 * strength) as usize).min(self.steps)
    }

    /// The strength of a kind, where it is wanted.
    pub fn strength(&self, kind: Kind) -> Option<f64> {
        self.kinds.iter().find(|(other, _)| *other == kind).map(|&(_, strength)| strength)
    }

    /// The record of a picture as it is to be. `source` is what it is made from, `item` the training image that it belongs to.
    pub fn record(&self, (kind, strength): (Kind, f64), item: &Item, index: usize, source: Source<'_>) -> Record {
        let origin = Origin {
            kind,
            index,
            source: source.path.to_owned(),
            source_sha256: source.sha256.to_owned(),
            strength,
            steps: self.steps,
            original_strength: self.original_strength,
            guidance: self.guidance,
            scheduler: self.scheduler.name().to_owned(),
            size: self.size,
            prompt: templates::prompt(&self.prompt, &item.class),
            negative: self.negative.clone(),
            seed: seed(self.seed, &item.path, kind, index),
            model_sha256: self.model_sha256.clone(),
        };
        Record {
            picture: path(kind, item, index),
            origin,
            model: self.model.clone(),
            device: self.device.clone(),
            lowshot: env!("CARGO_PKG_VERSION").into(),
        }
    }
}

/// What a picture is made from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its path, as [`Origin::source`] gives it.
    pub path: &'a str,
    /// SHA-256 of its file.
    pub sha256: &'a str,
}

/// A generated picture's path, relative to the folder of all.
pub fn path(kind: Kind, item: &Item, index: usize) -> String {
    format!("{}/{index}.png", folder(kind, item))
}

/// The folder of an image's pictures of a kind.
pub fn folder(kind: Kind, item: &Item) -> String {
    format!("{}/{}", kind.folder(), stem(&item.path))
}

/// An image's path without its extension.
fn stem(path: &str) -> String {
    Path::new(path).with_extension("").display().to_string()
}

/// A picture's seed: the first 53 bits of the SHA-256 of all that tells it from others. Every reader of JSON keeps 53 bits.
pub fn seed(seed: u64, image: &str, kind: Kind, index: usize) -> u64 {
    let hash = Sha256::digest(format!("{seed}/{}/{index}/{image}", kind.folder()));
    hash[..8].iter().fold(0, |value, &byte| value << 8 | u64::from(byte)) >> 11
}

/// Each image once, in the order of the list.
///
/// # Errors
/// [`Error::Data`] where two images differ only in their extension, so that their pictures would have the same names.
pub fn distinct(items: &[Item]) -> Result<Vec<Item>> {
    let items: Vec<Item> = item::distinct(items).cloned().collect();
    let mut stems = HashMap::new();
    for item in &items {
        if let Some(other) = stems.insert(stem(&item.path), &item.path) {
            let (one, two) = (quote(other), quote(&item.path));
            let why = format!("and {two} differ only in their extension, so their pictures would have the same names");
            return Err(Error::Data { place: one, why: format!("{why}: rename one") });
        }
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn item(path: &str) -> Item {
        Item::new(path, 0, "River").unwrap()
    }

    #[test]
    fn seeds_differ_in_everything_and_never_change() {
        let all = [
            seed(1, "a.jpg", Kind::LabelPreserving, 0),
            seed(2, "a.jpg", Kind::LabelPreserving, 0),
            seed(1, "b.jpg", Kind::LabelPreserving, 0),
            seed(1, "a.jpg", Kind::LabelBreaking, 0),
            seed(1, "a.jpg", Kind::LabelPreserving, 1),
        ];
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        // printf %s 1/label_preserving/0/a.jpg | sha256sum
        assert_eq!(all[0], SHA256_OF_THE_FIRST >> 11);
        assert!(all.iter().all(|&seed| seed < 1 << 53));
    }

    const SHA256_OF_THE_FIRST: u64 = 0x0c72ff6d9e9de351;

    #[test]
    fn images_of_one_stem_are_refused_and_repeated_ones_are_one() {
        let paths: Vec<String> = distinct(&[item("a/1.jpg"), item("a/1.jpg"), item("b/1.jpg")])
            .unwrap()
            .into_iter()
            .map(|i| i.path)
            .collect();
        assert_eq!(paths, ["a/1.jpg", "b/1.jpg"]);
        let error = distinct(&[item("a/1.jpg"), item("a/1.png")]).unwrap_err().to_string();
        assert!(error.contains("a/1.jpg") && error.contains("a/1.png") && error.contains("rename"), "{error}");
    }
}
