use std::collections::BTreeMap;

use lowshot::data::{Split, folder};
use proptest::prelude::*;

use crate::{assert_says, item, message};

fn read(listing: &[&str]) -> lowshot::Result<(Split, Vec<String>)> {
    folder::from_listing(&listing.iter().map(|&path| path.to_owned()).collect::<Vec<_>>(), "photos")
}

fn per_class(items: &[lowshot::data::Item]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item.class.as_str()).or_default() += 1;
    }
    counts
}

#[test]
fn divided_folders_are_read() {
    let (split, notes) = read(&[
        "train/",
        "train/bee/",
        "train/ant/",
        "test/",
        "test/ant/",
        "valid/bee/3.JPEG",
        "train/bee/2.png",
        "train/bee/1.jpg",
        "train/ant/deep/er/1.webp",
        "test/ant/9.jpg",
        "test/ant/.hidden.jpg",
        ".git/x/1.jpg",
    ])
    .unwrap();
    assert_eq!(split.classes, ["ant", "bee"]);
    let train = [
        item("train/ant/deep/er/1.webp", 0, "ant"),
        item("train/bee/1.jpg", 1, "bee"),
        item("train/bee/2.png", 1, "bee"),
    ];
    assert_eq!(split.train, train);
    assert_eq!(split.val, [item("valid/bee/3.JPEG", 1, "bee")]);
    assert_eq!(split.test, [item("test/ant/9.jpg", 0, "ant")]);
    assert!(notes.is_empty(), "{notes:?}");
}

#[test]
fn a_listing_may_start_at_the_dot() {
    let (dotted, plain) = (read(&["./cat/1.jpg", "./dog//1.jpg"]), read(&["cat/1.jpg", "dog/1.jpg"]));
    assert_eq!(dotted.unwrap().0, plain.unwrap().0);
}

#[test]
fn validation_alone_is_the_test() {
    let (split, notes) = read(&["train/a/1.jpg", "train/b/1.jpg", "val/a/2.jpg", "val/b/2.jpg"]).unwrap();
    assert_eq!((split.train.len(), split.val.len(), split.test.len()), (2, 0, 2));
    assert_says(&notes[0], &["no test/", "val/ is the test list"]);
}

#[test]
fn what_is_left_out_is_noted() {
    let (split, notes) =
        read(&["cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/notes.txt", "list.csv", "stray.png", "__MACOSX/cat/1.jpg"])
            .unwrap();
    assert_eq!(split.classes, ["cat", "dog"]);
    let notes = notes.join("; ");
    assert_says(&notes, &["1 images outside", "stray.png", "2 files", "dog/notes.txt", "list.csv"]);
    assert_says(&notes, &["50/20/30", "seed 1", "one image only", "\"dog\""]);
    let (_, notes) = read(&["train/a/1.jpg", "train/b/1.jpg", "test/a/2.jpg", "old/b/3.jpg"]).unwrap();
    assert_says(&notes.join("; "), &["left out \"old\""]);
}

#[test]
fn plain_folders_are_divided_in_the_proportions_of_coop() {
    let sizes = [("one", 1), ("two", 2), ("three", 3), ("five", 5), ("ten", 10), ("hundred", 100)];
    let listing: Vec<String> =
        sizes.iter().flat_map(|(class, size)| (0..*size).map(move |index| format!("{class}/{index}.jpg"))).collect();
    let (split, _) = folder::from_listing(&listing, "photos").unwrap();
    let (train, val, test) = (per_class(&split.train), per_class(&split.val), per_class(&split.test));
    let parts = |class: &str| [&train, &val, &test].map(|part| part.get(class).copied().unwrap_or(0));
    assert_eq!(parts("one"), [1, 0, 0]);
    assert_eq!(parts("two"), [1, 0, 1]);
    assert_eq!(parts("three"), [2, 0, 1]);
    assert_eq!(parts("five"), [3, 1, 1]);
    assert_eq!(parts("ten"), [5, 2, 3]);
    assert_eq!(parts("hundred"), [50, 20, 30]);
    let mut turned = listing.clone();
    turned.reverse();
    assert_eq!(folder::from_listing(&turned, "photos").unwrap().0, split);
}

#[test]
fn a_class_called_train_is_a_class() {
    let (split, _) = read(&["train/1.jpg", "plane/1.jpg"]).unwrap();
    assert_eq!(split.classes, ["plane", "train"]);
}

#[test]
fn unusable_folders_are_refused() {
    for (listing, words) in [
        (&["cat/1.jpg", "dog/"][..], &["photos", "\"dog\"", "no image", "jpg"][..]),
        (&["cat/1.jpg", "dog/readme.md"], &["\"dog\"", "no image"]),
        (&["train/a/1.jpg", "train/b/1.jpg", "test/b/"], &["\"test/b\"", "no image"]),
        (&["1.jpg", "2.jpg"], &["photos", "no class folders"]),
        (&["cat/1.jpg"], &["one class folder only"]),
        (&[], &["no class folders"]),
        (&["cat/1.jpg", "dog/../1.jpg"], &["leaves"]),
    ] {
        assert_says(&message(read(listing)), words);
    }
}

proptest! {
    #[test]
    fn no_listing_panics(listing in prop::collection::vec("(train|test|val|a|b|\\.\\.|/|\\.jpg|é){0,6}", 0..8)) {
        let _ = folder::from_listing(&listing, "photos");
    }
}
