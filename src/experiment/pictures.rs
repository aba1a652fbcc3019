//! The pictures of training steps: read, decoded, cropped and mirrored.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use image::RgbImage;

use super::features::ImageSource;
use crate::{
    Result,
    adapter::tuning::Augment,
    clip::Preprocess,
    data::{crop_flip::CropFlip, decode::decode},
};

/// How much memory decoded pictures may take; beyond that they are decoded each time.
const MOST_BYTES: usize = 512 << 20;

/// Of more pictures none is kept decoded: each is seen again only after all the others, and what would fit is a part of them.
const MOST_KEPT: usize = 4096;

/// Where a picture stands in a training.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The step, from 0.
    pub step: usize,
    /// Its place among the pictures of the step, views of breaking images included.
    pub index: usize,
}

/// Pictures by name. A few of them are decoded once, where there is room.
pub struct Pictures<'a> {
    source: &'a dyn ImageSource,
    preprocess: &'a Preprocess,
    augment: Augment,
    seed: u64,
    /// Nothing where there are too many.
    decoded: Option<Mutex<Decoded>>,
}

#[derive(Default)]
struct Decoded {
    pictures: HashMap<String, Arc<RgbImage>>,
    bytes: usize,
}

impl<'a> Pictures<'a> {
    /// `count` pictures from `source`, preprocessed for a model; `seed` draws the crops.
    pub fn new(
        source: &'a dyn ImageSource,
        preprocess: &'a Preprocess,
        augment: Augment,
        seed: u64,
        count: usize,
    ) -> Self {
        Self { source, preprocess, augment, seed, decoded: (count <= MOST_KEPT).then(Mutex::default) }
    }

    /// The picture `name` as its place in the training sees it, `size · size · 3` bytes.
    ///
    /// # Errors
    /// It cannot be read or decoded.
    pub fn view(&self, name: &str, place: Place) -> Result<Vec<u8>> {
        let picture = self.decoded(name)?;
        match self.augment {
            Augment::None => self.preprocess.pixels(&picture),
            Augment::CropFlip => {
                let (step, index) = (place.step as u64, place.index as u64);
                let view = CropFlip::TRAINING.view(self.seed, step, index, picture.dimensions());
                self.preprocess.view(&picture, view)
            }
        }
    }

    fn decoded(&self, name: &str) -> Result<Arc<RgbImage>> {
        // A thread that panicked while it held the lock left whole entries behind.
        let lock = || self.decoded.as_ref().map(|decoded| decoded.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(picture) = lock().and_then(|decoded| decoded.pictures.get(name).cloned()) {
            return Ok(picture);
        }
        let picture = Arc::new(decode(&self.source.read(name)?, &self.source.label(name))?);
        if let Some(mut decoded) = lock()
            && decoded.bytes + picture.as_raw().len() <= MOST_BYTES
        {
            decoded.bytes += picture.as_raw().len();
            // Another thread may have decoded the same picture meanwhile.
            if let Some(other) = decoded.pictures.insert(name.to_owned(), Arc::clone(&picture)) {
                decoded.bytes -= other.as_raw().len();
            }
        }
        Ok(picture)
    }
}
