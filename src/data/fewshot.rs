//! Few-shot lists: exactly these images were learnt from.

use std::collections::{HashMap, HashSet};

use super::lists::{self, Lists};
use super::{Item, Split, quote, quote_some, wrong};
use crate::Result;

/// The images that a run learns from. Their order is kept, and an image may stand in `train` more than once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FewShot {
    /// Images to learn from.
    pub train: Vec<Item>,
    /// Images to choose settings by.
    pub val: Vec<Item>,
}

impl FewShot {
    /// Reads a list, `{"train": [[path, label, class name], …], "val": […]}`, and checks it against its data set.
    ///
    /// `place` names the file in errors. `"val"` may be absent. Returns notes to show beside the list.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) that names the entry: not JSON of this form; a label or a class name that
    /// is not the data set's; an image unknown to the data set, or of its test list; a `train` image that the data
    /// set does not train with. Images under `val` may be training or validation images.
    pub fn from_json(bytes: &[u8], place: &str, split: &Split) -> Result<(Self, Vec<String>)> {
        let mut lists = Lists::from_json(bytes, place)?;
        let fewshot = Self { train: lists.require("train")?, val: lists.take("val")?.unwrap_or_default() };
        let mut notes = fewshot.check(place, split)?;
        if let Some(left) = lists.left() {
            notes.push(format!("{place}: ignored the lists {left}: only train and val are read"));
        }
        Ok((fewshot, notes))
    }

    /// The list as a file, one entry a line: the same list makes the same bytes on every machine.
    pub fn to_json(&self) -> String {
        lists::to_json(&[("train", &self.train), ("val", &self.val)])
    }

    fn check(&self, place: &str, split: &Split) -> Result<Vec<String>> {
        let mut known = HashMap::new();
        for (list, items) in [("test", &split.test), ("val", &split.val), ("train", &split.train)] {
            known.extend(items.iter().map(|item| (item.path.as_str(), (list, item))));
        }
        for (list, items) in [("train", &self.train), ("val", &self.val)] {
            for (index, item) in items.iter().enumerate() {
                check_item(item, list, known.get(item.path.as_str()).copied(), split)
                    .map_err(|why| wrong(format!("{place}: {list}[{index}]"), why))?;
            }
        }
        let mut notes = Vec::new();
        let labels: HashSet<usize> = self.train.iter().map(|item| item.label).collect();
        let without = split.classes.iter().enumerate().filter(|(label, _)| !labels.contains(label));
        let without: Vec<&str> = without.map(|(_, name)| name.as_str()).collect();
        if !without.is_empty() {
            let (count, names) = (without.len(), quote_some(without.into_iter()));
            notes.push(format!("{place}: {count} of {} classes have no shots: {names}", split.classes.len()));
        }
        let train: HashSet<&str> = self.train.iter().map(|item| item.path.as_str()).collect();
        let shared: Vec<&str> =
            self.val.iter().map(|item| item.path.as_str()).filter(|path| train.contains(path)).collect();
        if !shared.is_empty() {
            let (count, names) = (shared.len(), quote_some(shared.into_iter()));
            notes.push(format!("{place}: {count} images are in both train and val: {names}"));
        }
        Ok(notes)
    }
}

/// Compares an entry with what the data set says about its image.
fn check_item(item: &Item, list: &str, known: Option<(&str, &Item)>, split: &Split) -> Result<(), String> {
    let path = quote(&item.path);
    let Some((home, original)) = known else {
        return Err(format!("the data set has no image {path}: check the path, or use the list with its own data set"));
    };
    match (list, home) {
        (_, "test") => return Err(format!("{path} is a test image: nothing may be learnt from it, remove it")),
        ("train", "val") => return Err(format!("{path} is a validation image: move it to \"val\"")),
        _ => {}
    }
    if item.label != original.label {
        let count = split.classes.len();
        return Err(format!(
            "label {} for {path}, but the data set ({count} classes) says {}",
            item.label, original.label
        ) + ": use the data set's labels");
    }
    if item.class != original.class {
        let (here, there) = (quote(&item.class), quote(&original.class));
        return Err(format!("{path} is called {here}, but the data set says {there}: use the data set's class names"));
    }
    Ok(())
}
