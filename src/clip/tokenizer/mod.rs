//! CLIP's tokenizer: lower-cased, white-space-cleaned, byte-level byte-pair encoding.
//!
//! The contract is Hugging Face's `CLIPTokenizerFast`: the same ids for the same text, special tokens inside the text
//! included. Text goes through five steps: specials are cut out, the rest is normalised (NFC, runs of white space to one
//! space, lower case), split into words, each word's UTF-8 bytes become symbols (the last one marked `</w>`), and
//! neighbouring symbols are merged in the order of the merges file (Sennrich et al. 2016, algorithm 1; Radford et al. 2021,
//! section 2.4).

mod encode;
mod files;

use std::collections::HashMap;

use regex::Regex;
use serde_json::Value;

use crate::Result;
use files::{
    byte_letters, byte_letters_in_order, check_normaliser, config, not_json, parse_merges_json, parse_merges_text,
    parse_vocabulary, split_pattern,
};

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";
const END_OF_WORD: &str = "</w>";

/// How CLIP cuts normalised text into words; white space matches nothing and so disappears.
const WORDS: &str = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// The second cut, which the byte-level step makes inside each word. It only matters where a word of [`WORDS`] is a
/// special token's text (an upper-case one, which is not recognised as special): its letters and signs come apart.
const BYTE_LEVEL_WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}+|[^\s\p{L}\p{N}]+";

/// The merges of the vocabulary that every published CLIP uses.
const CLIP_MERGES: &[u8] = include_bytes!("../../../models/demo-clip/merges.txt");

/// Turns text into token ids.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    /// The id that fills a text up to the context length: 0 in OpenAI's and `OpenCLIP`'s code, the padding token (usually
    /// the end token) in Hugging Face's. It does not change a feature: CLIP reads the text's feature at the end token and
    /// its attention is causal.
    pub padding: u32,
    vocabulary: HashMap<String, u32>,
    /// Ids of the 256 bytes inside a word and at its end.
    bytes: [u32; 256],
    last_bytes: [u32; 256],
    /// (left id, right id) → (rank, merged id); the lowest rank merges first.
    merges: HashMap<(u32, u32), (u32, u32)>,
    specials: Vec<Special>,
    start: u32,
    end: u32,
    words: Regex,
    byte_level_words: Regex,
}

/// A token that is recognised as a whole.
#[derive(Debug, Clone)]
struct Special {
    text: String,
    id: u32,
    /// Looked for in the normalised text (so that any case matches) instead of the text as given.
    normalised: bool,
}

impl Tokenizer {
    /// The vocabulary that OpenAI's CLIP and its descendants share (49,408 entries, start 49406, end 49407, padding 0),
    /// built in, for weights that come without tokenizer files.
    ///
    /// # Errors
    /// Never with the merges that this crate was built with; a damaged source tree gives [`crate::Error::Config`].
    pub fn clip() -> Result<Self> {
        let file = "the built-in merges.txt";
        let merges = parse_merges_text(CLIP_MERGES, file)?;
        // The order that OpenAI's code numbers them in: bytes, bytes at the end of a word, merges, specials.
        let letters = byte_letters_in_order();
        let ends = letters.iter().map(|letter| format!("{letter}{END_OF_WORD}"));
        let merged = merges.iter().map(|(left, right)| format!("{left}{right}"));
        let tokens = letters.iter().map(char::to_string).chain(ends).chain(merged).chain([START.into(), END.into()]);
        let vocabulary = tokens.zip(0..).collect();
        let mut tokenizer = Self::assemble(vocabulary, &merges, Vec::new(), WORDS, file)?;
        tokenizer.padding = 0;
        Ok(tokenizer)
    }

    /// Reads Hugging Face's `tokenizer.json`. `file` names it in errors.
    ///
    /// # Errors
    /// [`crate::Error::Config`] if the bytes are no tokenizer of CLIP's kind: not JSON, another model than BPE with `</w>`, other
    /// normalisation, or merges that name unknown tokens.
    pub fn from_tokenizer_json(bytes: &[u8], file: &str) -> Result<Self> {
        let json: Value = serde_json::from_slice(bytes).map_err(|error| not_json(file, &error))?;
        let model = &json["model"];
        if model["type"].as_str().is_some_and(|kind| kind != "BPE") || model["end_of_word_suffix"] != END_OF_WORD {
            let why = format!(
                "not a CLIP tokenizer (a BPE model whose words end in {END_OF_WORD}): take the tokenizer.json of a CLIP model"
            );
            return Err(config(file, why));
        }
        check_normaliser(&json["normalizer"], file)?;
        let vocabulary = parse_vocabulary(&model["vocab"], file)?;
        let merges = parse_merges_json(&model["merges"], file)?;
        let mut specials = Vec::new();
        for token in json["added_tokens"].as_array().into_iter().flatten() {
            let (Some(text), Some(id)) = (token["content"].as_str(), token["id"].as_u64()) else {
                return Err(config(file, "an entry of added_tokens has no content or id: fetch the file again"));
            };
            let normalised = token["normalized"].as_bool().unwrap_or(false);
            specials.push(Special { text: text.into(), id: id as u32, normalised });
        }
        let words = split_pattern(&json["pre_tokenizer"]).unwrap_or(WORDS);
        let mut tokenizer = Self::assemble(vocabulary, &merges, specials, words, file)?;
        if let Some(id) = json["padding"]["pad_id"].as_u64() {
            tokenizer.padding = id as u32;
        }
        Ok(tokenizer)
    }

    /// Reads the older pair `vocab.json` and `merges.txt`.
    ///
    /// # Errors
    /// [`crate::Error::Config`] if either is malformed, or if they do not belong together.
    pub fn from_vocab_merges(
        vocab_json: &[u8],
        merges_txt: &[u8],
        vocab_file: &str,
        merges_file: &str,
    ) -> Result<Self> {
        let json: Value = serde_json::from_slice(vocab_json).map_err(|error| not_json(vocab_file, &error))?;
        let vocabulary = parse_vocabulary(&json, vocab_file)?;
        let merges = parse_merges_text(merges_txt, merges_file)?;
        Self::assemble(vocabulary, &merges, Vec::new(), WORDS, merges_file)
    }

    fn assemble(
        mut vocabulary: HashMap<String, u32>,
        merges: &[(String, String)],
        mut specials: Vec<Special>,
        words: &str,
        file: &str,
    ) -> Result<Self> {
        for special in &specials {
            vocabulary.insert(special.text.clone(), special.id);
        }
        let special_id = |text: &str| {
            let missing = || config(file, format!("the vocabulary has no {text}: take the files of a CLIP model"));
            vocabulary.get(text).copied().ok_or_else(missing)
        };
        let (start, end) = (special_id(START)?, special_id(END)?);
        // The flags of OpenAI's own files, for vocabularies that come without them: only the start token ignores case.
        for (text, id, normalised) in [(START, start, true), (END, end, false)] {
            if !specials.iter().any(|special| special.text == text) {
                specials.push(Special { text: text.into(), id, normalised });
            }
        }
        // Bytes that a vocabulary lacks are unknown, and CLIP's unknown token is its end token.
        let (mut bytes, mut last_bytes) = ([end; 256], [end; 256]);
        for (byte, letter) in byte_letters().into_iter().enumerate() {
            let known = |token: String| vocabulary.get(&token).copied().unwrap_or(end);
            bytes[byte] = known(letter.into());
            last_bytes[byte] = known(format!("{letter}{END_OF_WORD}"));
        }
        let mut ranked = HashMap::with_capacity(merges.len());
        for (rank, (left, right)) in merges.iter().enumerate() {
            let id = |token: &str| {
                let why = || {
                    format!(
                        "merge {} makes or uses {token:?}, which the vocabulary lacks: the tokenizer's files do not belong together",
                        rank + 1
                    )
                };
                vocabulary.get(token).copied().ok_or_else(|| config(file, why()))
            };
            ranked.insert((id(left)?, id(right)?), (rank as u32, id(&format!("{left}{right}"))?));
        }
        let compile = |pattern: &str| {
            Regex::new(pattern).map_err(|error| {
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default();
                config(
                    file,
                    format!("its pattern for splitting words does not compile ({reason}): fetch the file again"),
                )
            })
        };
        let (words, byte_level_words) = (compile(words)?, compile(BYTE_LEVEL_WORDS)?);
        let padding = end;
        let merges = ranked;
        Ok(Self { padding, vocabulary, bytes, last_bytes, merges, specials, start, end, words, byte_level_words })
    }

    /// Fills texts up with this token, which from now on is recognised as a whole inside a text too, as transformers does with
    /// every special token. Whether the vocabulary has it.
    pub fn pad_with(&mut self, token: &str) -> bool {
        let Some(id) = self.token_id(token) else { return false };
        self.padding = id;
        if !self.specials.iter().any(|special| special.text == token) {
            self.specials.push(Special { text: token.into(), id, normalised: false });
        }
        true
    }

    /// The number of ids: one more than the highest.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary.values().max().map_or(0, |&id| id as usize + 1)
    }

    /// The id of a token by its exact text in the vocabulary, for example the `pad_token` of a `tokenizer_config.json`.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.vocabulary.get(token).copied()
    }

    /// The id before every text.
    pub fn start_id(&self) -> u32 {
        self.start
    }

    /// The id after every text, where CLIP reads the text's feature.
    pub fn end_id(&self) -> u32 {
        self.end
    }
}
