//! A model's tokenizer from the files beside its weights.

use serde_json::Value;

use super::ModelFiles;
use crate::{Error, Result, clip::Tokenizer};

/// `vocab.json` + `merges.txt` (a quarter of `tokenizer.json`), `tokenizer.json`, or without either CLIP's own vocabulary.
///
/// # Errors
/// One of them is damaged, or no tokenizer of CLIP's kind.
pub fn find(files: &dyn ModelFiles) -> Result<Tokenizer> {
    if let (Some(vocabulary), Some(merges)) = (files.open("vocab.json")?, files.open("merges.txt")?) {
        let label = format!("{}/vocab.json", files.label());
        let merges_label = format!("{}/merges.txt", files.label());
        return Tokenizer::from_vocab_merges(vocabulary.bytes(), merges.bytes(), &label, &merges_label);
    }
    match files.open("tokenizer.json")? {
        Some(bytes) => Tokenizer::from_tokenizer_json(bytes.bytes(), &format!("{}/tokenizer.json", files.label())),
        None => Tokenizer::clip(),
    }
}

/// The same with the padding token of `tokenizer_config.json` and `special_tokens_map.json`, which counts where a text's padding is
/// seen: Stable Diffusion 1 pads with the end token, Stable Diffusion 2 with `!`.
///
/// # Errors
/// As [`find`]; nothing there; a padding token that the vocabulary lacks.
pub fn find_padded(files: &dyn ModelFiles) -> Result<Tokenizer> {
    if files.open("merges.txt")?.is_none() && files.open("tokenizer.json")?.is_none() {
        let why = "there is neither tokenizer.json nor vocab.json with merges.txt here; download them".into();
        return Err(Error::Config { file: files.label(), why });
    }
    let mut tokenizer = find(files)?;
    let config = json(files, "tokenizer_config.json")?;
    // transformers reads the map only where the config does not list the added tokens itself.
    let map =
        if config["added_tokens_decoder"].is_object() { Value::Null } else { json(files, "special_tokens_map.json")? };
    let token = |source: &Value| match &source["pad_token"] {
        Value::String(token) => Some(token.clone()),
        token => token["content"].as_str().map(str::to_owned),
    };
    match token(&map).or_else(|| token(&config)) {
        Some(padding) if !tokenizer.pad_with(&padding) => {
            let why =
                format!("the padding token '{padding}' is not in the vocabulary; the files do not belong together");
            Err(Error::Config { file: files.label(), why })
        }
        _ => Ok(tokenizer),
    }
}

fn json(files: &dyn ModelFiles, name: &str) -> Result<Value> {
    let Some(blob) = files.open(name)? else { return Ok(Value::Null) };
    serde_json::from_slice(blob.bytes()).map_err(|error| {
        let why = format!("not valid JSON ({error}): fetch the file again");
        Error::Config { file: files.place(name), why }
    })
}
