//! From text to ids.

use std::{cmp::Reverse, collections::BinaryHeap};

use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::{END, START, Special, Tokenizer};

/// A piece of text between specials, or the id of a special.
enum Piece {
    Text(String),
    Special(u32),
}

impl Tokenizer {
    /// The ids of a text with the start and end tokens around them, however many there are.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = vec![self.start];
        for piece in split_specials(text, self.specials.iter().filter(|special| !special.normalised)) {
            match piece {
                Piece::Special(id) => ids.push(id),
                Piece::Text(text) => self.encode_between_specials(&normalise(&text), &mut ids),
            }
        }
        ids.push(self.end);
        ids
    }

    /// The ids of a text, at most `context` of them: a longer text is cut and still ends with the end token.
    pub fn encode_within(&self, text: &str, context: usize) -> Vec<u32> {
        let mut ids = self.encode(text);
        if ids.len() > context {
            ids.truncate(context);
            if let Some(last) = ids.last_mut() {
                *last = self.end;
            }
        }
        ids
    }

    /// Ids of `[texts.len()][context]`: truncated to the context with the end token kept, or filled with
    /// [`padding`](Self::padding).
    pub fn encode_padded(&self, texts: &[impl AsRef<str>], context: usize) -> Vec<Vec<u32>> {
        let encode = |text: &str| {
            let mut ids = self.encode_within(text, context);
            ids.resize(context, self.padding);
            ids
        };
        texts.iter().map(|text| encode(text.as_ref())).collect()
    }

    fn encode_between_specials(&self, normalised: &str, ids: &mut Vec<u32>) {
        for piece in split_specials(normalised, self.specials.iter().filter(|special| special.normalised)) {
            match piece {
                Piece::Special(id) => ids.push(id),
                Piece::Text(text) => {
                    for word in self.words.find_iter(&text).map(|found| found.as_str()) {
                        if word == START || word == END {
                            self.byte_level_words.find_iter(word).for_each(|part| self.encode_word(part.as_str(), ids));
                        } else {
                            self.encode_word(word, ids);
                        }
                    }
                }
            }
        }
    }

    /// Byte-pair encoding of one word. Symbols form a linked list and the possible merges a heap, so that a word of a
    /// million letters takes seconds and not hours.
    fn encode_word(&self, word: &str, ids: &mut Vec<u32>) {
        let Some((&last, head)) = word.as_bytes().split_last() else { return };
        let mut symbols: Vec<u32> = head.iter().map(|&byte| self.bytes[byte as usize]).collect();
        symbols.push(self.last_bytes[last as usize]);
        let count = symbols.len();
        // `next[i]` is the living symbol after i (count: none), `previous[i]` the one before (count: none).
        let mut next: Vec<usize> = (1..=count).collect();
        let mut previous: Vec<usize> = std::iter::once(count).chain(0..count - 1).collect();
        let mut alive = vec![true; count];
        let mut heap: BinaryHeap<Reverse<(u32, usize, u32)>> = BinaryHeap::new();
        let candidate = |heap: &mut BinaryHeap<_>, symbols: &[u32], left: usize, right: usize| {
            if let Some(&(rank, merged)) = self.merges.get(&(symbols[left], symbols[right])) {
                heap.push(Reverse((rank, left, merged)));
            }
        };
        for left in 0..count - 1 {
            candidate(&mut heap, &symbols, left, left + 1);
        }
        while let Some(Reverse((rank, left, merged))) = heap.pop() {
            // A merge is stale when either symbol has changed since it was noted.
            if !alive[left] || next[left] == count {
                continue;
            }
            let right = next[left];
            if self.merges.get(&(symbols[left], symbols[right])) != Some(&(rank, merged)) {
                continue;
            }
            symbols[left] = merged;
            alive[right] = false;
            next[left] = next[right];
            if next[left] < count {
                previous[next[left]] = left;
                candidate(&mut heap, &symbols, left, next[left]);
            }
            if previous[left] < count {
                candidate(&mut heap, &symbols, previous[left], left);
            }
        }
        ids.extend(symbols.into_iter().zip(alive).filter_map(|(id, alive)| alive.then_some(id)));
    }
}

/// Cuts the specials out of a text: at each place the leftmost one, and of several there the longest.
fn split_specials<'a>(text: &str, specials: impl Iterator<Item = &'a Special> + Clone) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    loop {
        let found = specials
            .clone()
            .filter(|special| !special.text.is_empty())
            .filter_map(|special| rest.find(&special.text).map(|at| (at, special)))
            .min_by_key(|(at, special)| (*at, Reverse(special.text.len())));
        let Some((at, special)) = found else { break };
        if at > 0 {
            pieces.push(Piece::Text(rest[..at].into()));
        }
        pieces.push(Piece::Special(special.id));
        rest = &rest[at + special.text.len()..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.into()));
    }
    pieces
}

/// NFC, each run of white space to one space, lower case letter by letter (no final sigma, `İ` to `i` and a dot above).
fn normalise(text: &str) -> String {
    let composed: String = if is_nfc(text) { text.into() } else { text.nfc().collect() };
    let mut normalised = String::with_capacity(composed.len());
    let mut after_space = false;
    for letter in composed.chars() {
        if !letter.is_whitespace() {
            normalised.extend(letter.to_lowercase());
        } else if !after_space {
            normalised.push(' ');
        }
        after_space = letter.is_whitespace();
    }
    normalised
}
