//! The pictures of training steps, prepared on other threads while the towers compute.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use image::RgbImage;
use rayon::prelude::*;

use super::features::ImageSource;
use crate::{
    Result,
    adapter::tuning::Augment,
    clip::Preprocess,
    data::{crop_flip::CropFlip, decode::decode},
};

/// How much memory decoded pictures may take; beyond that they are decoded each time.
const MOST_BYTES: usize = 512 << 20;

/// Pictures by name, decoded once where there is room.
pub struct Pictures<'a> {
    source: &'a dyn ImageSource,
    preprocess: &'a Preprocess,
    augment: Augment,
    seed: u64,
    decoded: Mutex<Decoded>,
}

#[derive(Default)]
struct Decoded {
    pictures: HashMap<String, Arc<RgbImage>>,
    bytes: usize,
}

impl<'a> Pictures<'a> {
    /// From `source`, preprocessed for a model; `seed` draws the crops.
    pub fn new(source: &'a dyn ImageSource, preprocess: &'a Preprocess, augment: Augment, seed: u64) -> Self {
        Self { source, preprocess, augment, seed, decoded: Mutex::default() }
    }

    /// The pictures `names` as step `step` sees them, each `size · size · 3` bytes. `stream` tells apart what is drawn for
    /// one step more than once (the batch, the views of breaking images).
    ///
    /// # Errors
    /// One of them cannot be read or decoded.
    pub fn batch(&self, names: &[&str], step: usize, stream: usize) -> Result<Vec<Vec<u8>>> {
        let picture = |(index, name): (usize, &&str)| {
            let picture = self.decoded(name)?;
            match self.augment {
                Augment::None => self.preprocess.pixels(&picture),
                Augment::CropFlip => {
                    let place = (stream * names.len() + index) as u64;
                    let view = CropFlip::TRAINING.view(self.seed, step as u64, place, picture.dimensions());
                    self.preprocess.view(&picture, view)
                }
            }
        };
        names.par_iter().enumerate().map(picture).collect()
    }

    fn decoded(&self, name: &str) -> Result<Arc<RgbImage>> {
        // A thread that panicked while it held the lock left whole entries behind.
        let lock = || self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(picture) = lock().pictures.get(name) {
            return Ok(Arc::clone(picture));
        }
        let picture = Arc::new(decode(&self.source.read(name)?, &self.source.label(name))?);
        let mut decoded = lock();
        if decoded.bytes + picture.as_raw().len() <= MOST_BYTES {
            decoded.bytes += picture.as_raw().len();
            decoded.pictures.insert(name.to_owned(), Arc::clone(&picture));
        }
        Ok(picture)
    }
}
