//! Class names that stand in a file of their own: `label_map.json`.

use std::collections::HashMap;

use serde_json::Value;

use super::{quote, utf8, wrong};
use crate::Result;

/// Reads the words of the classes, in the order of the labels.
///
/// The split files of the LITE benchmark (Zhang et al., *Low-Resource Vision Challenges for Foundation Models*, 2024)
/// name their classes "0", "1", …; a file beside them says what these mean: `{"0": "words", …}`, the other way round
/// `{"words": 0, …}`, or a list of words. `classes` are the numbers as the split has them; words for other numbers
/// are unused.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data): not JSON of these forms, or no words for a class, which is named.
pub fn from_label_map(bytes: &[u8], place: &str, classes: &[String]) -> Result<Vec<String>> {
    const FORM: &str = "write {\"0\": \"words\", \"1\": \"words\", …}";
    let value: Value = serde_json::from_str(utf8(bytes, place)?)
        .map_err(|error| wrong(place, format!("not JSON: {error}: write it again, or copy it anew")))?;
    let mut words: HashMap<String, String> = HashMap::new();
    match value {
        Value::Array(list) => {
            for (number, name) in list.iter().enumerate() {
                let name = name.as_str().ok_or_else(|| wrong(place, format!("entry {number} is not text: {FORM}")))?;
                words.insert(number.to_string(), name.to_owned());
            }
        }
        Value::Object(map) => {
            for (key, value) in &map {
                let (number, name) = match value {
                    Value::Number(number) => (number.to_string(), key),
                    Value::String(number) if is_number(number) && !is_number(key) => (number.clone(), key),
                    Value::String(name) if is_number(key) => (key.clone(), name),
                    _ => return Err(wrong(place, format!("{} is not a number and its words: {FORM}", quote(key)))),
                };
                if let Some(other) = words.insert(number.clone(), name.clone()) {
                    let (one, other) = (quote(&other), quote(name));
                    return Err(wrong(place, format!("{number} means both {one} and {other}: keep one of the two")));
                }
            }
        }
        _ => return Err(wrong(place, format!("neither an object nor a list: {FORM}"))),
    }
    let name_of = |class: &String| match words.remove(class) {
        Some(name) if name.trim().is_empty() || name.chars().any(char::is_control) => {
            Err(wrong(place, format!("the words {} for class {class} are not a name: write some", quote(&name))))
        }
        Some(name) => Ok(name),
        None => Err(wrong(place, format!("no words for class {}: add them", quote(class)))),
    };
    classes.iter().map(name_of).collect()
}

fn is_number(text: &str) -> bool {
    text.parse::<u64>().is_ok()
}
