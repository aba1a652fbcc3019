//! Folders of class folders, from a listing.
//!
//! What counts, in both layouts:
//! - a class is a folder, and every image inside it at any depth belongs to it;
//! - an image is a file that ends in one of [`IMAGE_EXTENSIONS`], in capitals or not; other files are left out and
//!   noted;
//! - anything whose name, or a folder of whose path, starts with `.` is left out silently, as `__MACOSX` is;
//! - an image that lies beside the class folders has no class: it is left out and noted;
//! - classes are numbered in the byte order of their names, as in torchvision's `ImageFolder`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::item::relative_path;
use super::sampler::divide;
use super::{Item, Split, quote, quote_some, wrong};
use crate::Result;

/// The file names that are taken for images.
pub const IMAGE_EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"];

/// The seed by which an undivided data set is divided, fixed so that everybody gets the same test images.
pub const DIVISION_SEED: u64 = 1;

/// Makes a split of a folder of class folders.
///
/// `listing` holds the paths of all files in the folder, relative to it, with `/` between the parts, and those of
/// its folders, which end in `/`; in any order. `place` names the folder in errors. Two layouts:
/// - `train/<class>/…` with `val/<class>/…` (or `valid`, `validation`), `test/<class>/…` or both. With `val` alone, as
///   `ImageNet` comes, that is the test list and there is no validation list;
/// - `<class>/…`, divided by [`divide`] with [`DIVISION_SEED`].
///
/// Returns the split and notes to show.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data): a class folder without images (named), fewer than two classes, or a file name
/// that [`relative_path`] refuses.
pub fn from_listing(listing: &[String], place: &str) -> Result<(Split, Vec<String>)> {
    let mut notes = Vec::new();
    let shown = listing.iter().filter(|path| !is_hidden(path)).map(|path| {
        let end = if path.ends_with('/') { "/" } else { "" };
        let plain = relative_path(path).map_err(|why| wrong(place, why))? + end;
        // Nearly all are in that form already, and need not be held twice.
        Ok(if plain == *path { Cow::Borrowed(path.as_str()) } else { Cow::Owned(plain) })
    });
    let listing = shown.collect::<Result<Vec<Cow<'_, str>>>>()?;
    let paths: Vec<&str> = listing.iter().map(AsRef::as_ref).collect();
    let tops: BTreeSet<&str> = paths.iter().filter_map(|path| Some(path.split_once('/')?.0)).collect();
    let val = ["val", "valid", "validation"].into_iter().find(|name| tops.contains(name));
    let divided = tops.contains("train") && (val.is_some() || tops.contains("test"));
    if !divided {
        let folders = class_folders(&paths, "", place, &mut notes)?;
        let split = divided_by_seed(&numbered(&folders, place)?, place, &mut notes)?;
        return Ok((split, notes));
    }
    let others = tops.iter().copied().filter(|top| !["train", "test"].contains(top) && Some(*top) != val);
    let others: Vec<&str> = others.collect();
    if !others.is_empty() {
        let names = quote_some(others.into_iter());
        notes.push(format!("{place}: left out {names}: beside train/, only val/ and test/ are read"));
    }
    let mut part = |top: Option<&str>| match top {
        Some(top) => class_folders(&paths, &format!("{top}/"), place, &mut notes),
        None => Ok(BTreeMap::new()),
    };
    let (train, mut val_part, mut test) = (part(Some("train"))?, part(val)?, part(tops.get("test").copied())?);
    if !tops.contains("test") {
        std::mem::swap(&mut val_part, &mut test);
        let val = val.unwrap_or("val");
        notes.push(format!("{place}: no test/ folder: {val}/ is the test list, and there is no validation list"));
    }
    let names: BTreeSet<&str> = [&train, &val_part, &test].into_iter().flat_map(|part| part.keys().copied()).collect();
    enough_classes(names.len(), place)?;
    let labels: BTreeMap<&str, usize> = names.into_iter().zip(0..).collect();
    let items = |part: &BTreeMap<&str, Vec<&str>>| -> Result<Vec<Item>> {
        let lists = part.iter().map(|(class, paths)| class_items(class, labels[class], paths, place));
        Ok(lists.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    };
    let (split, more) = Split::new(items(&train)?, items(&val_part)?, items(&test)?, place)?;
    notes.extend(more);
    Ok((split, notes))
}

/// Divides items that come without lists, class by class, and notes that it did.
///
/// # Errors
/// As [`Split::new`].
pub fn divided_by_seed(items: &[Item], place: &str, notes: &mut Vec<String>) -> Result<Split> {
    let mut classes: BTreeMap<(usize, &str), Vec<&Item>> = BTreeMap::new();
    for item in items {
        classes.entry((item.label, &item.class)).or_default().push(item);
    }
    let mut lists: [Vec<Item>; 3] = Default::default();
    let mut untested = Vec::new();
    for ((_, class), items) in classes {
        let parts = divide(&items, class, DIVISION_SEED);
        if parts[2].is_empty() {
            untested.push(class);
        }
        lists.iter_mut().zip(parts).for_each(|(list, part)| list.extend(part));
    }
    let [train, val, test] = lists;
    let (trains, vals, tests) = (train.len(), val.len(), test.len());
    notes.push(format!(
        "{place}: comes undivided: divided by class with seed {DIVISION_SEED} into {trains} train, {vals} val and \
         {tests} test images (50/20/30 %)"
    ));
    if !untested.is_empty() {
        let (count, names) = (untested.len(), quote_some(untested.into_iter()));
        notes.push(format!("{place}: {count} classes have one image only, so none to test with: {names}"));
    }
    let (split, more) = Split::new(train, val, test, place)?;
    notes.extend(more);
    Ok(split)
}

fn is_hidden(path: &str) -> bool {
    let hidden = |part: &str| (part.starts_with('.') && part != "." && part != "..") || part == "__MACOSX";
    path.split('/').any(hidden)
}

fn is_image(path: &str) -> bool {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    extension.is_some_and(|extension| IMAGE_EXTENSIONS.contains(&extension.as_str()))
}

/// The images of each class folder directly under `base` (empty, or with a `/` at its end).
fn class_folders<'a>(
    paths: &[&'a str],
    base: &str,
    place: &str,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<&'a str, Vec<&'a str>>> {
    let mut folders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let (mut classless, mut others) = (Vec::new(), Vec::new());
    for &path in paths {
        let Some(inside) = path.strip_prefix(base).filter(|inside| !inside.is_empty()) else { continue };
        match inside.split_once('/') {
            Some((class, "")) => _ = folders.entry(class).or_default(),
            Some((class, _)) => {
                let images = folders.entry(class).or_default();
                if is_image(path) {
                    images.push(path);
                } else if !path.ends_with('/') {
                    others.push(path);
                }
            }
            None if is_image(path) => classless.push(path),
            None => others.push(path),
        }
    }
    let ends = IMAGE_EXTENSIONS.join(", ");
    if let Some((class, _)) = folders.iter().find(|(_, images)| images.is_empty()) {
        let folder = quote(&format!("{base}{class}"));
        return Err(wrong(place, format!("the class folder {folder} holds no image ({ends}): add some, or remove it")));
    }
    for (list, why) in [
        (&mut classless, "images outside of class folders".to_owned()),
        (&mut others, format!("files whose names do not end as an image's ({ends})")),
    ] {
        if !list.is_empty() {
            list.sort_unstable();
            notes.push(format!("{place}: left out {} {why}: {}", list.len(), quote_some(list.iter().copied())));
        }
    }
    Ok(folders)
}

fn numbered(folders: &BTreeMap<&str, Vec<&str>>, place: &str) -> Result<Vec<Item>> {
    enough_classes(folders.len(), place)?;
    let lists = folders.iter().zip(0..).map(|((class, paths), label)| class_items(class, label, paths, place));
    Ok(lists.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

fn class_items(class: &str, label: usize, paths: &[&str], place: &str) -> Result<Vec<Item>> {
    let item = |path: &&str| Item::new(path, label, class).map_err(|why| wrong(place, why));
    let mut items = paths.iter().map(item).collect::<Result<Vec<_>>>()?;
    items.sort();
    Ok(items)
}

fn enough_classes(count: usize, place: &str) -> Result<()> {
    if count >= 2 {
        return Ok(());
    }
    let found = if count == 0 { "no class folders" } else { "one class folder only" };
    Err(wrong(place, format!("{found}: put the images of each class into a folder of its own, two classes or more")))
}
