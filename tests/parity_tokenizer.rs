//! The tokenizer against `CLIPTokenizerFast` on 2,000 texts; `tests/parity/tokenizer.py` made the reference.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::time::Instant;

use lowshot::clip::tokenizer::Tokenizer;

const TOKENIZER: &[u8] = include_bytes!("../models/demo-clip/tokenizer.json");
const VOCABULARY: &[u8] = include_bytes!("../models/demo-clip/vocab.json");
const MERGES: &[u8] = include_bytes!("../models/demo-clip/merges.txt");

fn reference() -> Vec<(String, Vec<u32>)> {
    let lines = include_str!("parity/tokenizer.jsonl").lines().skip(1);
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn check_all(tokenizer: &Tokenizer) {
    let reference = reference();
    assert_eq!(reference.len(), 2000);
    let mut wrong = 0;
    for (text, ids) in &reference {
        let ours = tokenizer.encode(text);
        if ours != *ids {
            wrong += 1;
            eprintln!("{text:?}\n  reference {ids:?}\n  ours      {ours:?}");
        }
    }
    assert_eq!(wrong, 0, "texts with other ids than CLIPTokenizerFast");
}

#[test]
fn tokenizer_json_agrees() {
    check_all(&Tokenizer::from_tokenizer_json(TOKENIZER, "tokenizer.json").unwrap());
}

#[test]
fn vocabulary_and_merges_agree() {
    check_all(&Tokenizer::from_vocab_merges(VOCABULARY, MERGES, "vocab.json", "merges.txt").unwrap());
}

#[test]
fn built_in_vocabulary_agrees() {
    let tokenizer = Tokenizer::clip().unwrap();
    check_all(&tokenizer);
    assert_eq!(tokenizer.vocabulary_size(), 49408);
    let vocabulary: std::collections::HashMap<String, u32> = serde_json::from_slice(VOCABULARY).unwrap();
    for (token, id) in vocabulary {
        assert_eq!(tokenizer.token_id(&token), Some(id), "{token}");
    }
}

#[test]
fn padding_and_truncation_keep_the_end_token() {
    let mut tokenizer = Tokenizer::clip().unwrap();
    let rows = tokenizer.encode_padded(&["a cat", "a very long caption of many words", ""], 6);
    assert_eq!(rows[0], [49406, 320, 2368, 49407, 0, 0]);
    assert_eq!(rows[1].len(), 6);
    assert_eq!((rows[1][0], rows[1][5]), (49406, 49407));
    assert_eq!(rows[2], [49406, 49407, 0, 0, 0, 0]);
    tokenizer.padding = tokenizer.end_id();
    assert_eq!(tokenizer.encode_padded(&["a cat"], 6)[0], [49406, 320, 2368, 49407, 49407, 49407]);
    let hugging_face = Tokenizer::from_tokenizer_json(TOKENIZER, "tokenizer.json").unwrap();
    assert_eq!(hugging_face.padding, 49407);
}

#[test]
fn wrong_files_are_named_in_one_line() {
    let message = |result: lowshot::Result<Tokenizer>| {
        let message = result.unwrap_err().to_string();
        assert_eq!(message.lines().count(), 1, "{message}");
        message
    };
    let bad = |bytes: &[u8]| message(Tokenizer::from_tokenizer_json(bytes, "x/tokenizer.json"));
    assert!(bad(b"").starts_with("x/tokenizer.json: not valid JSON"));
    assert!(bad(b"{}").contains("not a CLIP tokenizer"));
    assert!(bad(br#"{"model":{"type":"WordPiece","vocab":{}}}"#).contains("not a CLIP tokenizer"));
    let cased =
        br#"{"model":{"type":"BPE","end_of_word_suffix":"</w>","vocab":{},"merges":[]},"normalizer":{"type":"NFC"}}"#;
    assert!(bad(cased).contains("its normalizer is NFC"));
    let pair = |vocabulary: &[u8], merges: &[u8]| {
        message(Tokenizer::from_vocab_merges(vocabulary, merges, "x/vocab.json", "x/merges.txt"))
    };
    assert!(pair(b"[1]", MERGES).starts_with("x/vocab.json: no vocabulary"));
    assert!(pair(br#"{"a":-1}"#, MERGES).contains("no usable id"));
    assert!(pair(b"{}", MERGES).contains("no <|startoftext|>"));
    assert!(pair(VOCABULARY, b"#version: 0.2\nabc").starts_with("x/merges.txt: line 2"));
    assert!(pair(VOCABULARY, b"\xff\xfe").contains("not UTF-8"));
    assert!(pair(VOCABULARY, "q zzzzz".as_bytes()).contains("do not belong together"));
}

/// A word without end and a caption of usual length both stay cheap; the bounds are far above what is measured.
#[test]
fn encoding_is_fast() {
    let tokenizer = Tokenizer::clip().unwrap();
    let began = Instant::now();
    assert!(tokenizer.encode(&"ab".repeat(500_000)).len() > 2);
    let long = began.elapsed();
    let began = Instant::now();
    for _ in 0..1000 {
        std::hint::black_box(tokenizer.encode("a centered satellite photo of annual crop land."));
    }
    let caption = began.elapsed() / 1000;
    println!("a word of a million letters: {long:?}; a caption: {caption:?}");
    assert!(long.as_secs() < 20 && caption.as_millis() < 1);
}
