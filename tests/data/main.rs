//! Data sets: what is read, what is refused and in which words, and what the sampler draws.

// The helpers stand outside of test functions, where the lints do not know that they are tests.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[cfg(feature = "native")]
mod eurosat;
mod fewshot;
mod folder;
#[cfg(feature = "native")]
mod layouts;
mod sampler;
mod split;
mod table;

use lowshot::Result;
use lowshot::data::{Item, Split};

fn item(path: &str, label: usize, class: &str) -> Item {
    Item::new(path, label, class).unwrap()
}

/// A split whose class `name` has `train`, `val` and `test` images.
fn made(classes: &[(&str, [usize; 3])]) -> Split {
    let list = |list: usize, folder: &str| {
        let items = classes.iter().enumerate().flat_map(move |(label, (name, counts))| {
            (0..counts[list]).map(move |index| item(&format!("{folder}/{name}/{index}.jpg"), label, name))
        });
        items.collect::<Vec<_>>()
    };
    Split::new(list(0, "train"), list(1, "val"), list(2, "test"), "made").unwrap().0
}

/// The message of an error that must be of the caller's making and on one line.
fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
    let error = result.unwrap_err();
    assert!(error.is_usage(), "{error:?}");
    let message = error.to_string();
    assert!(!message.contains('\n'), "{message:?}");
    message
}

/// Asserts that `message` holds all of `words`.
fn assert_says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "no {word:?} in: {message}");
    }
}
