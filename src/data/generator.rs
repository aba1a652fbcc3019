//! The random choices over images: the same on every machine, in every version and in every language.
//!
//! A choice is a Fisher–Yates shuffle or a draw driven by `ChaCha8` whose key is
//! `SHA-256(seed as 8 little-endian bytes ‖ class name)`. Each class has a generator of its own, so adding or leaving
//! out a class does not change what is drawn for the others.

use rand::RngCore;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::Item;

/// The generator of one class.
#[derive(Debug, Clone)]
pub struct ClassGenerator(ChaCha8Rng);

impl ClassGenerator {
    /// The generator for `class` under `seed`.
    pub fn new(seed: u64, class: &str) -> Self {
        let key = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(class).finalize();
        Self(ChaCha8Rng::from_seed(key.into()))
    }

    /// A number below `bound`, which must not be 0: the upper half of `bound` × the next 64 bits.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }

    /// The different images among `items` in random order: sorted by path first, so that the order in a file or a
    /// folder does not matter, then shuffled from the last place down to the second.
    pub fn shuffled<'a>(&mut self, items: &[&'a Item]) -> Vec<&'a Item> {
        let mut images = items.to_vec();
        images.sort_by(|one, other| one.path.cmp(&other.path));
        images.dedup_by(|one, other| one.path == other.path);
        for place in (1..images.len()).rev() {
            images.swap(place, self.below(place + 1));
        }
        images
    }
}
