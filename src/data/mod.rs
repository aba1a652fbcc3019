//! Data sets, splits, few-shot lists and the sampler: bytes in, structures out.
//!
//! Nothing here opens a file. A caller that can (the command line, a page) hands over bytes or a listing of a folder,
//! together with a label that says where they came from; every error starts with that label. Questionable but usable
//! input is not refused: what is questionable comes back as *notes*, lines for the caller to show.

pub mod aircraft;
pub mod class_names;
pub mod crop_flip;
pub mod decode;
pub mod draws;
pub mod fewshot;
pub mod folder;
pub mod generator;
pub mod item;
mod jpeg;
pub mod lists;
pub mod registry;
pub mod sampler;
pub mod split;
pub mod subset;
pub mod table;
pub mod templates;

pub use draws::{Draw, Draws};
pub use fewshot::FewShot;
pub use item::Item;
pub use sampler::{Shots, sample};
pub use split::Split;
pub use subset::{base_classes, novel_classes};

use crate::Error;

/// The error of this module: `place` is a file or folder, with the entry where there is one.
pub(crate) fn wrong(place: impl Into<String>, why: impl Into<String>) -> Error {
    Error::Data { place: place.into(), why: why.into() }
}

/// `text` in quotation marks, on one line and short enough for a message.
pub(crate) fn quote(text: &str) -> String {
    const LONGEST: usize = 120;
    if text.chars().count() <= LONGEST {
        format!("{text:?}")
    } else {
        let start: String = text.chars().take(LONGEST).collect();
        format!("{start:?}…")
    }
}

/// The first few of `names` in quotation marks, and how many more there are.
pub(crate) fn quote_some<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 5;
    let hidden = names.len().saturating_sub(SHOWN);
    let shown = names.take(SHOWN).map(quote).collect::<Vec<_>>().join(", ");
    if hidden == 0 { shown } else { format!("{shown} and {hidden} more") }
}

/// `bytes` as text, without the byte order mark that some editors write.
pub(crate) fn utf8<'a>(bytes: &'a [u8], place: &str) -> crate::Result<&'a str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let why = format!("not UTF-8 text (byte {}): save it as UTF-8", error.valid_up_to());
            Err(wrong(place, why))
        }
    }
}
