//! Image features, computed once per (weights, preprocessing, file content) and kept on disk.

pub mod flow;
mod images;
mod segment;
mod store;

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use self::{segment::Key, store::Store};
use super::{Event, Observer};
use crate::{Error, Result, clip::ClipBackend, data::decode::decode_for, hash, session::Backbone, train};

pub use images::{Folder, ImageSource};

/// Features after which a segment is written, so that an interrupted run keeps most of its work; also those that are handed
/// over together, which divides them as [`crate::adapter::scores`] does.
const SEGMENT: usize = 2048;

/// How features were come by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Pictures that were decoded and went through the tower.
    pub computed: usize,
    /// Pictures whose features were known.
    pub cached: usize,
}

/// The features of pictures and texts by one backbone, each computed once.
///
/// Where features are kept in a folder, several processes can share it: they compute the pictures of one folder one after the
/// other, each then reading what the others have written. Where the file system does not lock files two may compute the same
/// picture, which costs time and nothing else.
#[derive(Default)]
pub struct FeatureCache {
    store: Store,
    /// Zero-shot weights by the prompts that they are of; few enough to live in memory alone.
    texts: HashMap<Vec<Vec<String>>, Vec<f32>>,
    /// Keys by the SHA-256 of a file's label, so that each file is read for its hash once. Pictures do not change while a
    /// program runs.
    keys: HashMap<[u8; 32], Key>,
}

impl FeatureCache {
    /// One that keeps no features at all, for pictures that are looked at once.
    pub fn forgetful() -> Self {
        Self { store: Store::in_memory(0), ..Self::default() }
    }

    /// Opens the cache of a backbone in `folder`; without a folder features live only as long as this value.
    ///
    /// A segment that cannot be read is passed over and reported: its features are computed again.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn open<B: ClipBackend>(
        folder: Option<&Path>,
        backbone: &Backbone<B>,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let Some(folder) = folder else { return Ok(Self::default()) };
        let device = backbone.clip.device();
        let key = format!("{}|{}|{}", backbone.sha256, backbone.preprocess.fingerprint(), B::name(device));
        let key = match backbone.format().difference() {
            difference if difference.is_empty() => key,
            difference => format!("{key}|{difference}"),
        };
        let mut store = Store::in_folder(folder.join("features").join(&hash::sha256(key)[..32]));
        store.refresh(backbone.config.embedding, observer)?;
        Ok(Self { store, ..Self::default() })
    }

    /// The unit features `[names, embedding]` of pictures, computing what is not known.
    ///
    /// # Errors
    /// A picture that cannot be read or decoded; the cache cannot be written.
    pub fn features<B: ClipBackend>(
        &mut self,
        backbone: &Backbone<B>,
        images: &dyn ImageSource,
        names: &[&str],
        observer: &mut dyn Observer,
    ) -> Result<(Tensor<B, 2>, Source)> {
        let (keys, source) = self.ensure(backbone, images, names, (0, names.len()), observer)?;
        let features = self.tensor(backbone, &keys)?;
        self.store.forget();
        Ok((features, source))
    }

    /// The same, handed over in portions, so that not all of them are in memory at once.
    ///
    /// # Errors
    /// As [`FeatureCache::features`], and of `take`.
    pub fn each<B: ClipBackend>(
        &mut self,
        backbone: &Backbone<B>,
        images: &dyn ImageSource,
        names: &[&str],
        observer: &mut dyn Observer,
        take: &mut dyn FnMut(Tensor<B, 2>) -> Result<()>,
    ) -> Result<Source> {
        // With a folder all are computed first, because others wait for it.
        let together = if self.store.is_kept() { names.len().max(1) } else { SEGMENT };
        let mut sum = Source::default();
        for (index, names_together) in names.chunks(together).enumerate() {
            let progress = (index * together, names.len());
            let (keys, source) = self.ensure(backbone, images, names_together, progress, observer)?;
            sum.computed += source.computed;
            sum.cached += source.cached;
            for keys in keys.chunks(SEGMENT) {
                take(self.tensor(backbone, keys)?)?;
            }
            self.store.forget();
        }
        Ok(sum)
    }

    /// Makes the pictures' features known. `progress` says how many pictures were seen to before, and of how many.
    fn ensure<B: ClipBackend>(
        &mut self,
        backbone: &Backbone<B>,
        images: &dyn ImageSource,
        names: &[&str],
        progress: (usize, usize),
        observer: &mut dyn Observer,
    ) -> Result<(Vec<Key>, Source)> {
        let keys = self.keys(images, names)?;
        let mut wanted = self.unknown(&keys, names);
        if !wanted.is_empty() {
            let _alone = self.store.wait_for_others(&images.label(""), observer)?;
            self.store.refresh(backbone.config.embedding, observer)?;
            wanted = self.unknown(&keys, names);
            let total = if self.store.is_kept() { wanted.len() } else { progress.1 };
            self.compute(backbone, images, &wanted, (progress.0, total), observer)?;
        }
        let source = Source { computed: wanted.len(), cached: names.len() - wanted.len() };
        Ok((keys, source))
    }

    /// Features that are known, `[keys, embedding]`.
    fn tensor<B: ClipBackend>(&self, backbone: &Backbone<B>, keys: &[Key]) -> Result<Tensor<B, 2>> {
        let width = backbone.config.embedding;
        let values = self.store.rows(keys, width)?;
        Ok(Tensor::from_data(TensorData::new(values, [keys.len(), width]), backbone.clip.device()))
    }

    /// The keys of pictures, in the order of their names. Where nothing is kept for other runs, whose folders may have other
    /// names for the same pictures, the names are enough and no file is read for it.
    fn keys(&mut self, images: &dyn ImageSource, names: &[&str]) -> Result<Vec<Key>> {
        let named = |name: &&str| -> [u8; 32] { Sha256::digest(images.label(name)).into() };
        if !self.store.is_kept() {
            return Ok(names.par_iter().map(named).collect());
        }
        let key = |name: &&str| {
            let label = named(name);
            match self.keys.get(&label) {
                Some(key) => Ok((label, *key)),
                None => images.read(name).map(|bytes| (label, Sha256::digest(bytes).into())),
            }
        };
        let found = names.par_iter().map(key).collect::<Result<Vec<([u8; 32], Key)>>>()?;
        let keys = found.iter().map(|(_, key)| *key).collect();
        self.keys.extend(found);
        Ok(keys)
    }

    /// The pictures whose features are not known, each once.
    fn unknown<'a>(&self, keys: &[Key], names: &[&'a str]) -> Vec<(Key, &'a str)> {
        let mut seen = HashSet::new();
        let pictures = keys.iter().zip(names).filter(|(key, _)| !self.store.knows(key) && seen.insert(**key));
        pictures.map(|(key, name)| (*key, *name)).collect()
    }

    /// The backbone's zero-shot weights `[classes, embedding]` of prompts `[class][template]`, computed the first time.
    ///
    /// # Errors
    /// The device fails.
    pub fn class_weights<B: ClipBackend>(
        &mut self,
        backbone: &Backbone<B>,
        prompts: &[Vec<String>],
    ) -> Result<Tensor<B, 2>> {
        if !self.texts.contains_key(prompts) {
            let values = pollster::block_on(train::read(backbone.class_weights(prompts)))?;
            self.texts.insert(prompts.to_vec(), values);
        }
        let data = TensorData::new(self.texts[prompts].clone(), [prompts.len(), backbone.config.embedding]);
        Ok(Tensor::from_data(data, backbone.clip.device()))
    }

    /// Computes what is wanted. `progress` is where this begins, and of how many.
    fn compute<B: ClipBackend>(
        &mut self,
        backbone: &Backbone<B>,
        images: &dyn ImageSource,
        wanted: &[(Key, &str)],
        progress: (usize, usize),
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let (width, preprocess) = (backbone.config.embedding, &backbone.preprocess);
        let picture = move |name: &str| decode_for(preprocess, &images.read(name)?, &images.label(name));
        let (mut done, total) = progress;
        let mut left = wanted.iter();
        let mut fresh = (Vec::new(), Vec::new());
        let names = wanted.iter().map(|(_, name)| *name);
        let result = flow::features(&backbone.clip, preprocess, names, picture, |values| {
            for (row, (key, name)) in values.chunks_exact(width).zip(left.by_ref()) {
                if row.iter().any(|value| !value.is_finite()) {
                    let name = images.label(name);
                    return Err(Error::Failed(format!("{name}: its features are not finite; run 'lowshot doctor'")));
                }
                fresh.0.push(*key);
                fresh.1.extend_from_slice(row);
                done += 1;
            }
            observer.observe(&Event::Progress { what: "image features", done, total });
            if fresh.0.len() >= SEGMENT { self.store.keep(&mut fresh) } else { Ok(()) }
        });
        // What was computed before a failure is kept too; the failure is what is reported.
        let kept = self.store.keep(&mut fresh);
        result.and(kept)
    }
}
