//! The few-shot sampler: K images a class, by a seed.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::generator::ClassGenerator;
use super::item::by_class;
use super::{FewShot, Item, Split, quote, quote_some};
use crate::{Error, Result};

/// At most this many validation images a class, as in CoOp (Zhou et al., 2022): a person who has K shots to learn
/// from has not many more to choose settings by.
pub const VAL_SHOTS: usize = 4;

/// More shots than any few-shot study uses; a typing error must not fill the memory with repeated images.
pub const MAX_SHOTS: usize = 10_000;

/// How many images of each class to learn from. In files a number or `"all"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Value", try_from = "Value")]
pub enum Shots {
    /// This many.
    PerClass(usize),
    /// All of the training and the validation list.
    All,
}

impl From<Shots> for Value {
    fn from(shots: Shots) -> Self {
        match shots {
            Shots::PerClass(shots) => shots.into(),
            Shots::All => "all".into(),
        }
    }
}

impl TryFrom<Value> for Shots {
    type Error = Error;

    fn try_from(value: Value) -> Result<Self> {
        value.as_str().map_or_else(|| value.to_string(), str::to_owned).parse()
    }
}

impl fmt::Display for Shots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PerClass(shots) => write!(f, "{shots}"),
            Self::All => f.write_str("all"),
        }
    }
}

impl FromStr for Shots {
    type Err = Error;

    /// Reads a number or `all`.
    fn from_str(text: &str) -> Result<Self> {
        match (text, text.parse()) {
            ("all", _) => Ok(Self::All),
            (_, Ok(shots)) if shots <= MAX_SHOTS => Ok(Self::PerClass(shots)),
            _ => {
                let text = quote(text);
                Err(Error::Usage(format!("{text} shots: give a number from 0 to {MAX_SHOTS}, or \"all\"")))
            }
        }
    }
}

/// Draws K training images and up to min(K, [`VAL_SHOTS`]) validation images of each class, grouped by class in the
/// order of the labels. Returns notes to show beside them.
///
/// The draw depends on the seed, the class names and the paths, never on the order of `split`. A class with fewer
/// than K training images gives each of them once and then repeats, drawn with replacement; validation images are
/// never repeated, because counting an image twice measures nothing. Both are noted.
///
/// # Errors
/// [`Error::Data`] where a class has no training image; [`Error::Usage`] for more than [`MAX_SHOTS`].
pub fn sample(split: &Split, shots: Shots, seed: u64) -> Result<(FewShot, Vec<String>)> {
    let shots = match shots {
        Shots::PerClass(shots) if shots > MAX_SHOTS => {
            return Err(Error::Usage(format!("{shots} shots: at most {MAX_SHOTS}, or \"all\"")));
        }
        Shots::PerClass(0) => return Ok((FewShot::default(), Vec::new())),
        Shots::PerClass(shots) => Some(shots),
        Shots::All => None,
    };
    let train = by_class(&split.train, split.classes.len());
    let val = by_class(&split.val, split.classes.len());
    let empty = names_where(split, |label| train[label].is_empty());
    if !empty.is_empty() {
        let names = quote_some(empty.into_iter());
        return Err(super::wrong(
            "the training images",
            format!("none of class {names}: add some, or leave the class out"),
        ));
    }
    let Some(shots) = shots else {
        return Ok((FewShot { train: split.train.clone(), val: split.val.clone() }, Vec::new()));
    };

    let mut drawn = FewShot::default();
    let mut short = Vec::new();
    for (label, class) in split.classes.iter().enumerate() {
        // Training and validation each begin a generator, so that neither depends on the size of the other.
        let mut generator = ClassGenerator::new(seed, class);
        let images = generator.shuffled(&train[label]);
        if images.len() < shots {
            short.push(format!("{} has {}", quote(class), images.len()));
        }
        drawn.train.extend(images.iter().copied().take(shots).cloned());
        let repeats = shots.saturating_sub(images.len());
        drawn.train.extend((0..repeats).map(|_| images[generator.below(images.len())].clone()));

        let images = ClassGenerator::new(seed, class).shuffled(&val[label]);
        drawn.val.extend(images.into_iter().take(shots.min(VAL_SHOTS)).cloned());
    }
    let mut notes = Vec::new();
    if !short.is_empty() {
        let (count, list) = (short.len(), short.join(", "));
        notes.push(format!(
            "{shots} shots asked, but {count} of {} classes have fewer training images ({list}): theirs are repeated, \
             drawn with replacement",
            split.classes.len()
        ));
    }
    let without = names_where(split, |label| val[label].is_empty());
    if !split.val.is_empty() && !without.is_empty() {
        let (count, names) = (without.len(), quote_some(without.into_iter()));
        notes.push(format!("{count} of {} classes have no validation image: {names}", split.classes.len()));
    }
    Ok((drawn, notes))
}

/// Up to `most` different images of each class among `items`, drawn by `seed` and grouped by class in the order of the labels:
/// a few for whatever does not grow with the data set.
pub fn at_most(items: &[Item], classes: &[String], most: usize, seed: u64) -> Vec<Item> {
    let lists = by_class(items, classes.len());
    let drawn = lists.iter().zip(classes).flat_map(|(images, class)| {
        let images = ClassGenerator::new(seed, class).shuffled(images);
        images.into_iter().take(most).cloned().collect::<Vec<_>>()
    });
    drawn.collect()
}

fn names_where(split: &Split, is_so: impl Fn(usize) -> bool) -> Vec<&str> {
    split.classes.iter().enumerate().filter(|(label, _)| is_so(*label)).map(|(_, name)| name.as_str()).collect()
}

/// Divides the images of one class for a data set that comes undivided: 50 % train, 20 % val, 30 % test, as CoOp's
/// own splits were made. Parts are rounded down in favour of train, but a class of two or more has a test image.
///
/// Returns train, val and test, each sorted by path.
pub fn divide(items: &[&Item], class: &str, seed: u64) -> [Vec<Item>; 3] {
    let images = ClassGenerator::new(seed, class).shuffled(items);
    let count = images.len();
    let test = (count * 3 / 10).max(usize::from(count >= 2));
    let val = count / 5;
    let part = |from: usize, to: usize| {
        let mut part: Vec<Item> = images[from..to].iter().copied().cloned().collect();
        part.sort();
        part
    };
    [part(test + val, count), part(test, test + val), part(0, test)]
}
