//! Generated images beside the training images: label-preserving and label-breaking ones.
//!
//! For a training image `some/image.jpg` under the data set's image folder they are `label_preserving/some/image/K.png`,
//! `label_breaking/some/image/K.png`, and, for the second view of the latter, `label_breaking_view/some/image/K.png`, with K from
//! 0 on. What the manifest beside them calls dropped is not used, whether its file is still there or not.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::{
    Error, Result,
    adapter::tuning::BreakingPair,
    augment::{manifest::Manifest, origin::Kind, plan},
    data::{Item, item::distinct, quote},
};

/// The paths of the images that the manifest in `root` calls dropped.
///
/// # Errors
/// It is there and cannot be read.
pub fn dropped(root: &Path) -> Result<BTreeSet<String>> {
    let entries = Manifest::of(root).read()?.by_picture;
    Ok(entries.into_iter().filter(|(_, entry)| entry.dropped.is_some()).map(|(picture, _)| picture).collect())
}

/// The generated images of one kind for one training image, by their paths relative to `root`, in order.
fn images(root: &Path, kind: Kind, item: &Item) -> Vec<String> {
    let folder = PathBuf::from(plan::folder(kind, item));
    let mut found: Vec<(usize, String)> = std::fs::read_dir(root.join(&folder))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = PathBuf::from(entry.file_name());
            let number = name.file_stem()?.to_str()?.parse().ok()?;
            let path = folder.join(&name);
            Some((number, path.to_str()?.replace('\\', "/")))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

/// Where an image of `root` lies, for a reader of pictures that may begin at another folder.
fn place(root: &Path, path: &str) -> String {
    root.join(path).to_string_lossy().into_owned()
}

/// Up to `most` label-preserving images of each training image that are not among the `dropped`, with its label. An image that was
/// drawn several times has them once. Their paths begin with `root`, which is best an absolute one.
///
/// # Errors
/// [`Error::Data`] where there is none at all.
pub fn preserving(root: &Path, train: &[Item], most: usize, dropped: &BTreeSet<String>) -> Result<Vec<Item>> {
    let items: Vec<Item> = distinct(train)
        .flat_map(|item| {
            let all = images(root, Kind::LabelPreserving, item).into_iter();
            let paths = all.filter(|path| !dropped.contains(path)).take(most);
            paths.map(|path| Item { path: place(root, &path), ..item.clone() }).collect::<Vec<_>>()
        })
        .collect();
    if items.is_empty() {
        return Err(none(
            root,
            Kind::LabelPreserving,
            train,
            "make them with 'lowshot augment', or leave --preserving out",
        ));
    }
    Ok(items)
}

/// Two views of each label-breaking image of the training images, by their paths as above. They carry no label.
///
/// # Errors
/// [`Error::Data`] where there is no image at all, or no second view.
pub fn breaking(root: &Path, train: &[Item], pair: BreakingPair) -> Result<Vec<[String; 2]>> {
    let mut pairs: Vec<[String; 2]> = Vec::new();
    let mut any = false;
    for item in distinct(train) {
        let first = images(root, Kind::LabelBreaking, item);
        any |= !first.is_empty();
        match pair {
            BreakingPair::Regenerated => {
                let second = images(root, Kind::LabelBreakingView, item);
                let of = |path: &String| path.rsplit('/').next().map(str::to_owned);
                for path in first {
                    if let Some(view) = second.iter().find(|view| of(view) == of(&path)) {
                        pairs.push([path, view.clone()]);
                    }
                }
            }
            BreakingPair::Independent if first.len() > 1 => {
                let next = first.iter().cycle().skip(1);
                pairs.extend(first.iter().zip(next).map(|(one, other)| [one.clone(), other.clone()]));
            }
            BreakingPair::Independent => {}
        }
    }
    if !any {
        let advice = "make them with 'lowshot augment --kind breaking', or leave the breaking loss out";
        return Err(none(root, Kind::LabelBreaking, train, advice));
    }
    if pairs.is_empty() {
        let (kind, advice) = match pair {
            BreakingPair::Regenerated => {
                (Kind::LabelBreakingView, "make them with 'lowshot augment', or give --breaking-pair independent")
            }
            BreakingPair::Independent => (Kind::LabelBreaking, "two of each image are needed for a pair"),
        };
        return Err(none(root, kind, train, advice));
    }
    Ok(pairs.into_iter().map(|pair| pair.map(|path| place(root, &path))).collect())
}

fn none(root: &Path, kind: Kind, train: &[Item], advice: &str) -> Error {
    let example = train
        .first()
        .map_or_else(String::new, |item| format!(" (looked for {}, among others)", quote(&plan::path(kind, item, 0))));
    let why = format!("nothing there for the training images{example}: {advice}");
    Error::Data { place: root.join(kind.folder()).display().to_string(), why }
}
