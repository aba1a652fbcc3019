//! Parts of a data set by class: the base and the novel half, or any choice of classes.
//!
//! Base-to-novel generalisation (Zhou et al., *Conditional Prompt Learning for Vision-Language Models*, 2022) learns on
//! the first half of the classes and measures on the rest, which training never saw.

use std::collections::HashMap;
use std::ops::Range;

use super::{FewShot, Item, Split};
use crate::{Error, Result};

/// The labels of the base half: the first `ceil(classes / 2)`.
pub fn base_classes(classes: usize) -> Range<usize> {
    0..classes.div_ceil(2)
}

/// The labels of the novel half: those after [`base_classes`].
pub fn novel_classes(classes: usize) -> Range<usize> {
    classes.div_ceil(2)..classes
}

impl Split {
    /// The split of the classes `labels` alone, renumbered `0, 1, …` in the order given.
    ///
    /// # Errors
    /// [`Error::Usage`] where a label is not in the split or occurs twice.
    pub fn restrict(&self, labels: impl IntoIterator<Item = usize>) -> Result<Self> {
        let (classes, renumbered) = renumber(&self.classes, labels)?;
        Ok(Self {
            classes,
            train: keep(&self.train, &renumbered),
            val: keep(&self.val, &renumbered),
            test: keep(&self.test, &renumbered),
        })
    }
}

impl FewShot {
    /// The shots of the classes `labels` alone, renumbered as by [`Split::restrict`]. `classes` are the names of all
    /// classes, in the order of the present labels.
    ///
    /// # Errors
    /// [`Error::Usage`] where a label is not in `classes` or occurs twice.
    pub fn restrict(&self, classes: &[String], labels: impl IntoIterator<Item = usize>) -> Result<Self> {
        let (_, renumbered) = renumber(classes, labels)?;
        Ok(Self { train: keep(&self.train, &renumbered), val: keep(&self.val, &renumbered) })
    }
}

/// The chosen names, and the new number of each old one.
fn renumber(
    classes: &[String],
    labels: impl IntoIterator<Item = usize>,
) -> Result<(Vec<String>, HashMap<usize, usize>)> {
    let mut names = Vec::new();
    let mut renumbered = HashMap::new();
    for label in labels {
        let Some(name) = classes.get(label) else {
            let count = classes.len();
            return Err(Error::Usage(format!(
                "class {label} is asked for, but there are {count}: use 0 to {count} − 1"
            )));
        };
        if renumbered.insert(label, names.len()).is_some() {
            return Err(Error::Usage(format!("class {label} is asked for twice: name each class once")));
        }
        names.push(name.clone());
    }
    Ok((names, renumbered))
}

fn keep(items: &[Item], renumbered: &HashMap<usize, usize>) -> Vec<Item> {
    let kept = |item: &Item| Some(Item { label: *renumbered.get(&item.label)?, ..item.clone() });
    items.iter().filter_map(kept).collect()
}
