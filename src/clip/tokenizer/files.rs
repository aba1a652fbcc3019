//! The tokenizer's files: vocabulary, merges, and the letters that stand for bytes in them.

use std::collections::HashMap;

use serde_json::Value;

use crate::{Error, Result};

/// The printable letter that stands for each byte in vocabulary files: itself where it is printable in Latin-1, else the
/// next free one from U+0100.
pub(super) fn byte_letters() -> [char; 256] {
    let mut letters = ['\0'; 256];
    let mut free = 0x100..;
    for byte in 0..=255_u8 {
        letters[byte as usize] = match byte {
            b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => byte.into(),
            _ => free.next().and_then(char::from_u32).unwrap_or_default(),
        };
    }
    letters
}

/// The same letters in the vocabulary's order: those that stand for themselves first.
pub(super) fn byte_letters_in_order() -> Vec<char> {
    let mut letters = byte_letters().to_vec();
    letters.sort_unstable();
    letters
}

pub(super) fn parse_vocabulary(json: &Value, file: &str) -> Result<HashMap<String, u32>> {
    let entries =
        json.as_object().ok_or_else(|| config(file, "no vocabulary (an object of token: id): fetch the file again"))?;
    let entry = |(token, id): (&String, &Value)| {
        let wrong = || config(file, format!("token {token:?} has no usable id: fetch the file again"));
        let id = id.as_u64().and_then(|id| u32::try_from(id).ok()).filter(|&id| id <= i32::MAX as u32);
        Ok((token.clone(), id.ok_or_else(wrong)?))
    };
    entries.iter().map(entry).collect()
}

/// Merges in either of the forms that Hugging Face has written: `"left right"` or `["left", "right"]`.
pub(super) fn parse_merges_json(json: &Value, file: &str) -> Result<Vec<(String, String)>> {
    let wrong = |rank: usize| config(file, format!("merge {} is not a pair of tokens: fetch the file again", rank + 1));
    let merges = json.as_array().ok_or_else(|| config(file, "no list of merges: fetch the file again"))?;
    let pair = |(rank, merge): (usize, &Value)| {
        let pair = match (merge.as_str(), merge.as_array().map(Vec::as_slice)) {
            (Some(text), _) => text.split_once(' '),
            (_, Some([left, right])) => left.as_str().zip(right.as_str()),
            _ => None,
        };
        pair.map(|(left, right)| (left.into(), right.into())).ok_or_else(|| wrong(rank))
    };
    merges.iter().enumerate().map(pair).collect()
}

pub(super) fn parse_merges_text(bytes: &[u8], file: &str) -> Result<Vec<(String, String)>> {
    let text = std::str::from_utf8(bytes).map_err(|_| config(file, "not UTF-8 text: fetch the file again"))?;
    let lines = text
        .lines()
        .enumerate()
        .filter(|(number, line)| !(line.is_empty() || *number == 0 && line.starts_with("#version")));
    let pair = |(number, line): (usize, &str)| {
        let wrong =
            || config(file, format!("line {} is not two tokens and a space between: fetch the file again", number + 1));
        line.split_once(' ').map(|(left, right)| (left.into(), right.into())).ok_or_else(wrong)
    };
    lines.map(pair).collect()
}

/// The pattern of the first `Split` step, wherever it stands.
pub(super) fn split_pattern(pre_tokenizer: &Value) -> Option<&str> {
    let steps = pre_tokenizer["pretokenizers"].as_array().map_or(std::slice::from_ref(pre_tokenizer), Vec::as_slice);
    steps.iter().find(|step| step["type"] == "Split").and_then(|step| step["pattern"]["Regex"].as_str())
}

/// Refuses a `tokenizer.json` that normalises otherwise than the tokenizer does.
pub(super) fn check_normaliser(normaliser: &Value, file: &str) -> Result<()> {
    let steps = normaliser["normalizers"].as_array().map_or(std::slice::from_ref(normaliser), Vec::as_slice);
    let kinds: Vec<&str> = steps.iter().filter_map(|step| step["type"].as_str()).collect();
    if kinds == ["NFC", "Replace", "Lowercase"] {
        return Ok(());
    }
    let found = if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") };
    Err(config(
        file,
        format!(
            "its normalizer is {found}, CLIP's is NFC, Replace, Lowercase: take the tokenizer.json of a CLIP model"
        ),
    ))
}

pub(super) fn config(file: &str, why: impl Into<String>) -> Error {
    Error::Config { file: file.into(), why: why.into() }
}

pub(super) fn not_json(file: &str, error: &serde_json::Error) -> Error {
    config(file, format!("not valid JSON ({error}): fetch the file again"))
}
