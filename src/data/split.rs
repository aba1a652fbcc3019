//! A data set's division into training, validation and test images.

use std::collections::BTreeMap;
use std::collections::hash_map::{Entry, HashMap};
use std::fmt;

use sha2::{Digest, Sha256};

use super::lists::{self, Lists};
use super::{Item, quote, quote_some, wrong};
use crate::Result;

/// Which images train, which choose settings and which only measure.
///
/// A value made by this module is sound: labels are `0..classes.len()`, each item bears the name of its class, and no
/// test image stands in another list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// Class names; the index is the label.
    pub classes: Vec<String>,
    /// Images to learn from.
    pub train: Vec<Item>,
    /// Images to choose settings by; may be empty or lack classes.
    pub val: Vec<Item>,
    /// Images for the one final measurement; may lack classes.
    pub test: Vec<Item>,
}

impl Split {
    /// Reads a split in CoOp's JSON form, `{"train"|"val"|"test": [[path, label, class name], …]}`.
    ///
    /// `place` names the file in errors. `"val"` may be absent. Returns the split and notes to show.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data): not JSON of this form, a path that leaves the folder, or what
    /// [`Split::new`] refuses.
    pub fn from_json(bytes: &[u8], place: &str) -> Result<(Self, Vec<String>)> {
        let mut lists = Lists::from_json(bytes, place)?;
        let train = lists.require("train")?;
        let val = lists.take("val")?.unwrap_or_default();
        let test = lists.require("test")?;
        let (split, mut notes) = Self::new(train, val, test, place)?;
        if let Some(left) = lists.left() {
            notes.push(format!("{place}: ignored the lists {left}: only train, val and test are read"));
        }
        Ok((split, notes))
    }

    /// Puts a split together and checks it. Returns notes to show beside it.
    ///
    /// An image in both train and test, or in val and test, is an error, because whatever is measured afterwards would
    /// be wrong; one in both train and val, or twice in a list, is only noted.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data): no items; labels with a gap (the missing label is named); two names for a
    /// label; two labels for an image; a test image in another list.
    pub fn new(train: Vec<Item>, val: Vec<Item>, test: Vec<Item>, place: &str) -> Result<(Self, Vec<String>)> {
        let classes = classes_of([&train, &val, &test], place)?;
        let mut notes = Vec::new();
        if let Some((first, second)) = same_name(&classes) {
            let name = quote(&classes[first]);
            notes.push(format!(
                "{place}: labels {first} and {second} are both called {name}: text cannot tell them apart"
            ));
        }
        check_images(&train, &val, &test, place, &mut notes)?;
        Ok((Self { classes, train, val, test }, notes))
    }

    /// The split in CoOp's JSON form, one entry a line.
    pub fn to_json(&self) -> String {
        lists::to_json(&self.lists())
    }

    /// SHA-256 of [`Split::to_json`], in hexadecimal: equal for equal splits, however their files are laid out.
    pub fn sha256(&self) -> String {
        let mut hash = Hashed(Sha256::new());
        // Hashing does not fail.
        let _ = lists::write_json(&self.lists(), &mut hash);
        format!("{:x}", hash.0.finalize())
    }

    fn lists(&self) -> [(&'static str, &[Item]); 3] {
        [("train", &self.train), ("val", &self.val), ("test", &self.test)]
    }

    /// All items: train, val, test.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.train.iter().chain(&self.val).chain(&self.test)
    }

    /// Gives the classes other names, in the order of the labels. Names beyond the number of classes are unused, and
    /// a class without one keeps its own.
    #[must_use]
    pub fn rename(mut self, names: &[String]) -> Self {
        for (class, name) in self.classes.iter_mut().zip(names) {
            class.clone_from(name);
        }
        for item in self.train.iter_mut().chain(&mut self.val).chain(&mut self.test) {
            item.class.clone_from(&self.classes[item.label]);
        }
        self
    }
}

/// The hash of what is written to it.
struct Hashed(Sha256);

impl fmt::Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text);
        Ok(())
    }
}

/// The class names in the order of their labels.
fn classes_of(lists: [&[Item]; 3], place: &str) -> Result<Vec<String>> {
    let mut names: BTreeMap<usize, &str> = BTreeMap::new();
    for item in lists.into_iter().flatten() {
        let name = *names.entry(item.label).or_insert(&item.class);
        if name != item.class {
            let (first, second, path) = (quote(name), quote(&item.class), quote(&item.path));
            let why = format!("label {} is called {first}, and {second} at {path}: use one name", item.label);
            return Err(wrong(place, why));
        }
    }
    let Some((&last, _)) = names.last_key_value() else {
        return Err(wrong(place, "no images in it: list some under \"train\" and \"test\""));
    };
    if let Some(missing) = (0..last).find(|label| !names.contains_key(label)) {
        let why = format!("no image has label {missing}, but labels go up to {last}: number the classes without gaps");
        return Err(wrong(place, why));
    }
    Ok(names.into_values().map(str::to_owned).collect())
}

/// The first two labels that bear one name.
fn same_name(classes: &[String]) -> Option<(usize, usize)> {
    let mut first_label = HashMap::new();
    classes.iter().enumerate().find_map(|(label, name)| match first_label.entry(name) {
        Entry::Occupied(first) => Some((*first.get(), label)),
        Entry::Vacant(slot) => {
            slot.insert(label);
            None
        }
    })
}

/// Looks for images that stand in more than one place.
fn check_images(train: &[Item], val: &[Item], test: &[Item], place: &str, notes: &mut Vec<String>) -> Result<()> {
    let mut seen: HashMap<&str, (&str, &Item)> = HashMap::new();
    let mut shared = Vec::new();
    for (list, items) in [("train", train), ("val", val), ("test", test)] {
        let mut repeated = Vec::new();
        for item in items {
            let Some((earlier, first)) = seen.insert(&item.path, (list, item)) else { continue };
            let path = quote(&item.path);
            if first.label != item.label {
                let (one, other) = (quote(&first.class), quote(&item.class));
                return Err(wrong(place, format!("{path} is labelled both {one} and {other}: keep one of the two")));
            }
            match (earlier, list) {
                (_, "test") if earlier != list => {
                    let why = format!("{path} is in both {earlier} and test: remove it from one of them");
                    return Err(wrong(place, why));
                }
                _ if earlier == list => repeated.push(item.path.as_str()),
                _ => shared.push(item.path.as_str()),
            }
        }
        if !repeated.is_empty() {
            let (count, names) = (repeated.len(), quote_some(repeated.into_iter()));
            notes.push(format!("{place}: {count} repeated entries in {list}: {names}"));
        }
    }
    if !shared.is_empty() {
        let (count, names) = (shared.len(), quote_some(shared.into_iter()));
        notes.push(format!("{place}: {count} images are in both train and val: {names}"));
    }
    Ok(())
}
