//! The JSON form that splits and few-shot lists share: `{"train": [["path", 0, "class"], …], …}`.
//!
//! It is the form of CoOp (Zhou et al., *Learning to Prompt for Vision-Language Models*, 2022), in which the few-shot
//! literature exchanges its splits.

use std::fmt;

use serde_json::{Map, Value};

use super::{Item, quote, utf8, wrong};
use crate::Result;

/// A parsed file: named lists of items.
#[derive(Debug)]
pub struct Lists {
    place: String,
    lists: Map<String, Value>,
}

impl Lists {
    /// Parses a file. `place` names it in errors.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) where the bytes are not JSON, or not an object.
    pub fn from_json(bytes: &[u8], place: &str) -> Result<Self> {
        match serde_json::from_str(utf8(bytes, place)?) {
            Ok(Value::Object(lists)) => Ok(Self { place: place.to_owned(), lists }),
            Ok(_) => Err(wrong(place, "not an object of lists: write {\"train\": [[\"path\", 0, \"class\"], …], …}")),
            Err(error) => Err(wrong(place, format!("not JSON: {error}: write it again, or copy it anew"))),
        }
    }

    /// Takes the list called `name` out; `None` where the file has none.
    ///
    /// A label may be a number or a number in quotation marks, a class name also a bare number: both occur in
    /// published files.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) that names the entry, as `train[17]`.
    pub fn take(&mut self, name: &str) -> Result<Option<Vec<Item>>> {
        match self.lists.shift_remove(name) {
            None => Ok(None),
            Some(Value::Array(entries)) => {
                let item = |(index, entry)| {
                    item_from(entry).map_err(|why| wrong(format!("{}: {name}[{index}]", self.place), why))
                };
                entries.iter().enumerate().map(item).collect::<Result<_>>().map(Some)
            }
            Some(_) => Err(wrong(format!("{}: {name}", self.place), "not a list: write [[\"path\", 0, \"class\"], …]")),
        }
    }

    /// Takes a list that must be there.
    ///
    /// # Errors
    /// As [`Lists::take`], and where the list is absent.
    pub fn require(&mut self, name: &str) -> Result<Vec<Item>> {
        self.take(name)?.ok_or_else(|| wrong(&self.place, format!("no list {name:?}: add it (it may be empty)")))
    }

    /// The names of the lists not taken, for a note.
    pub fn left(&self) -> Option<String> {
        (!self.lists.is_empty()).then(|| super::quote_some(self.lists.keys().map(String::as_str)))
    }
}

fn item_from(entry: &Value) -> Result<Item, String> {
    let Value::Array(fields) = entry else {
        return Err(format!("{} is not a list: write [\"path\", label, \"class name\"]", quote(&entry.to_string())));
    };
    let [path, label, class] = fields.as_slice() else {
        return Err(format!("{} fields: write [\"path\", label, \"class name\"]", fields.len()));
    };
    let Value::String(path) = path else {
        return Err(format!("the path {} is not text: put it in quotation marks", quote(&path.to_string())));
    };
    let number = match label {
        Value::Number(number) => number.as_u64(),
        Value::String(digits) => digits.parse().ok(),
        _ => None,
    };
    let Some(number) = number.and_then(|number| usize::try_from(number).ok()) else {
        let label = quote(&label.to_string());
        return Err(format!("the label {label} is not a whole number from 0: number the classes 0, 1, 2, …"));
    };
    match class {
        Value::String(class) => Item::new(path, number, class),
        Value::Number(class) => Item::new(path, number, &class.to_string()),
        _ => Err(format!("the class name {} is not text: put it in quotation marks", quote(&class.to_string()))),
    }
}

/// Lists as text, one entry a line, in the order given: the same lists make the same bytes on every machine.
pub fn to_json(lists: &[(&str, &[Item])]) -> String {
    let mut text = String::new();
    // Writing to a text does not fail.
    let _ = write_json(lists, &mut text);
    text
}

/// The same, written piece by piece: the lists may be long.
///
/// # Errors
/// `out` takes no more.
pub fn write_json(lists: &[(&str, &[Item])], out: &mut impl fmt::Write) -> fmt::Result {
    out.write_str("{")?;
    for (index, (name, items)) in lists.iter().enumerate() {
        write!(out, "{}\n  {}: [", if index > 0 { "," } else { "" }, Value::from(*name))?;
        for (index, item) in items.iter().enumerate() {
            let (path, class) = (Value::from(item.path.as_str()), Value::from(item.class.as_str()));
            write!(out, "{}\n    [{path}, {}, {class}]", if index > 0 { "," } else { "" }, item.label)?;
        }
        out.write_str(if items.is_empty() { "]" } else { "\n  ]" })?;
    }
    out.write_str("\n}\n")
}
