//! Image features, computed once per (weights, preprocessing, file content) and kept on disk.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    thread,
};

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{
    Event, Observer,
    ahead::Ahead,
    segment::{self, Key, Segment},
};
use crate::{
    Error, Result,
    clip::{ClipBackend, Precision},
    data::decode::decode_for,
    platform::{native, parallel},
    session::Backbone,
    train,
    weights::checkpoint::hex,
};

/// Pictures that go through the image tower together.
const BATCH: usize = 32;
/// Features after which a segment is written, so that an interrupted run keeps most of its work; also those that are handed
/// over together, which divides them as [`crate::adapter::scores`] does.
const SEGMENT: usize = 2048;
/// Numbers that are held in memory where there is no folder, 256 MiB.
const MOST_HELD: usize = 64 << 20;

/// How features were come by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Pictures that were decoded and went through the tower.
    pub computed: usize,
    /// Pictures whose features were known.
    pub cached: usize,
}

/// Where pictures are read from: a data set's folder, or the samples inside the package.
pub trait ImageSource: Sync {
    /// The bytes of the picture `name`.
    ///
    /// # Errors
    /// It cannot be read.
    fn read(&self, name: &str) -> Result<Cow<'_, [u8]>>;

    /// What to call the picture in messages.
    fn label(&self, name: &str) -> String;
}

/// Pictures in a folder, named by their path relative to it.
pub struct Folder(pub PathBuf);

impl ImageSource for Folder {
    fn read(&self, name: &str) -> Result<Cow<'_, [u8]>> {
        native::read(&self.0.join(name)).map(Cow::Owned)
    }

    fn label(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

/// The features known for one backbone, in a folder of segments.
///
/// A segment is a safetensors file that is written whole and never changed, so several processes can share the folder. They
/// compute the pictures of one folder one after the other, each then reading what the others have written. Where the file
/// system does not lock files two may compute the same picture, which costs time and nothing else.
///
/// In memory are the hashes alone; features are read from their segment when they are asked for. Without a folder they are held
/// as long as they are few.
pub struct FeatureCache {
    folder: Option<PathBuf>,
    /// Segments that were read, or were found to be broken.
    read: HashSet<PathBuf>,
    segments: Vec<Segment>,
    /// The segment and the row of each picture.
    known: HashMap<Key, (u32, u32)>,
    /// Numbers in memory, and how many of them may stay there.
    held: usize,
    most_held: usize,
    /// Zero-shot weights by the prompts that they are of; few enough to live in memory alone.
    texts: HashMap<Vec<Vec<String>>, Vec<f32>>,
    /// Keys by the SHA-256 of a file's label, so that each file is read for its hash once. Pictures do not change while a
    /// program runs.
    keys: HashMap<[u8; 32], Key>,
}

impl Default for FeatureCache {
    /// One without a folder.
    fn default() -> Self {
        Self {
            folder: None,
            read: HashSet::new(),
            segments: Vec::new(),
            known: HashMap::new(),
            held: 0,
            most_held: MOST_HELD,
            texts: HashMap::new(),
            keys: HashMap::new(),
        }
    }
}

impl FeatureCache {
    /// One that keeps no features at all, for pictures that are looked at once.
    pub fn forgetful() -> Self {
        Self { most_held: 0, ..Self::default() }
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
        let key = match backbone.clip.precision() {
            Precision::F32 => key,
            precision => format!("{key}|{precision}"),
        };
        let folder = folder.join("features").join(&hex(&Sha256::digest(key))[..32]);
        let mut cache = Self { folder: Some(folder), ..Self::default() };
        cache.refresh(backbone.config.embedding, observer)?;
        Ok(cache)
    }

    /// Reads the segments that were written since the last time.
    fn refresh(&mut self, width: usize, observer: &mut dyn Observer) -> Result<()> {
        let Some(folder) = self.folder.as_ref().filter(|folder| folder.is_dir()) else { return Ok(()) };
        let entries = std::fs::read_dir(folder).map_err(|source| Error::read(folder, source))?;
        let mut segments: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        segments.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
        segments.sort();
        for path in segments {
            if !self.read.contains(&path) {
                match Segment::open(&path, width) {
                    Ok((segment, keys)) => self.know(segment, keys),
                    Err(error) => observer.observe(&Event::note(format!("{error}; its features are computed again"))),
                }
                self.read.insert(path);
            }
        }
        Ok(())
    }

    /// From now on the pictures `keys` are known to have the features of the segment's rows.
    fn know(&mut self, segment: Segment, keys: Vec<Key>) {
        let number = self.segments.len() as u32;
        self.segments.push(segment);
        self.known.extend(keys.into_iter().zip((0..).map(|row| (number, row))));
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
        self.forget();
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
        let together = if self.folder.is_some() { names.len().max(1) } else { SEGMENT };
        let mut sum = Source::default();
        for (index, names_together) in names.chunks(together).enumerate() {
            let progress = (index * together, names.len());
            let (keys, source) = self.ensure(backbone, images, names_together, progress, observer)?;
            sum.computed += source.computed;
            sum.cached += source.cached;
            for keys in keys.chunks(SEGMENT) {
                take(self.tensor(backbone, keys)?)?;
            }
            self.forget();
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
            let _alone = self.wait_for_others(&images.label(""), observer)?;
            self.refresh(backbone.config.embedding, observer)?;
            wanted = self.unknown(&keys, names);
            let total = if self.folder.is_some() { wanted.len() } else { progress.1 };
            self.compute(backbone, images, &wanted, (progress.0, total), observer)?;
        }
        let source = Source { computed: wanted.len(), cached: names.len() - wanted.len() };
        Ok((keys, source))
    }

    /// Features that are known, `[keys, embedding]`.
    fn tensor<B: ClipBackend>(&self, backbone: &Backbone<B>, keys: &[Key]) -> Result<Tensor<B, 2>> {
        let width = backbone.config.embedding;
        let mut values = Vec::with_capacity(keys.len() * width);
        let mut used = HashSet::new();
        for key in keys {
            let (segment, row) = self.known[key];
            self.segments[segment as usize].append(row as usize, width, &mut values)?;
            used.insert(segment);
        }
        used.into_iter().for_each(|segment| self.segments[segment as usize].release());
        Ok(Tensor::from_data(TensorData::new(values, [keys.len(), width]), backbone.clip.device()))
    }

    /// Forgets what is held where that is more than may be.
    fn forget(&mut self) {
        if self.held > self.most_held {
            self.held = 0;
            self.segments.clear();
            self.known.clear();
        }
    }

    /// The keys of pictures, in the order of their names. Where nothing is kept for other runs, whose folders may have other
    /// names for the same pictures, the names are enough and no file is read for it.
    fn keys(&mut self, images: &dyn ImageSource, names: &[&str]) -> Result<Vec<Key>> {
        let named = |name: &&str| -> [u8; 32] { Sha256::digest(images.label(name)).into() };
        if self.folder.is_none() {
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
        let pictures = keys.iter().zip(names).filter(|(key, _)| !self.known.contains_key(*key) && seen.insert(**key));
        pictures.map(|(key, name)| (*key, *name)).collect()
    }

    /// Waits until no other process computes the pictures of the folder `label`; none begins while the file is open.
    fn wait_for_others(&self, label: &str, observer: &mut dyn Observer) -> Result<Option<File>> {
        let Some(folder) = &self.folder else { return Ok(None) };
        native::create_folder(folder)?;
        let path = folder.join(format!("{}.lock", &hex(&Sha256::digest(label))[..32]));
        let open = File::options().create(true).append(true).open(&path);
        let file = open.map_err(|source| Error::write(&path, source))?;
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            observer.observe(&Event::note("waiting for another process that computes features of the same pictures"));
            // A file system without locks was found out above.
            let _ = file.lock();
        }
        Ok(Some(file))
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

    /// Decodes on other threads while the tower computes on this one. `progress` is where this begins, and of how many.
    fn compute<B: ClipBackend>(
        &mut self,
        backbone: &Backbone<B>,
        images: &dyn ImageSource,
        wanted: &[(Key, &str)],
        progress: (usize, usize),
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let width = backbone.config.embedding;
        let preprocess = &backbone.preprocess;
        let picture = move |name: &str| decode_for(preprocess, &images.read(name)?, &images.label(name));
        let mut fresh = (Vec::new(), Vec::new());
        let result = thread::scope(|scope| {
            // Two batches ahead are enough to keep the tower busy, and bound the memory.
            let jobs = wanted.iter().map(|(_, name)| *name);
            let mut pictures = Ahead::start(scope, parallel::threads(), 3 * BATCH, jobs, picture);
            let (mut done, total) = progress;
            for batch in wanted.chunks(BATCH) {
                let decoded = pictures.by_ref().take(batch.len()).collect::<Result<Vec<Vec<u8>>>>()?;
                let values = pollster::block_on(train::read(backbone.image_features(&decoded)))?;
                for ((key, name), row) in batch.iter().zip(values.chunks_exact(width)) {
                    if row.iter().any(|value| !value.is_finite()) {
                        let name = images.label(name);
                        return Err(Error::Failed(format!(
                            "{name}: its features are not finite; run 'lowshot doctor'"
                        )));
                    }
                    fresh.0.push(*key);
                    fresh.1.extend_from_slice(row);
                }
                done += batch.len();
                observer.observe(&Event::Progress { what: "image features", done, total });
                if fresh.0.len() >= SEGMENT {
                    self.keep(&mut fresh)?;
                }
            }
            Ok(())
        });
        // What was computed before a failure is kept too; the failure is what is reported.
        let kept = self.keep(&mut fresh);
        result.and(kept)
    }

    /// Writes fresh features as a segment and knows them from now on.
    fn keep(&mut self, fresh: &mut (Vec<Key>, Vec<f32>)) -> Result<()> {
        let (keys, values) = std::mem::take(fresh);
        if keys.is_empty() {
            return Ok(());
        }
        let Some(folder) = &self.folder else {
            self.held += values.len();
            self.know(Segment::Held(values), keys);
            return Ok(());
        };
        let (name, bytes) = segment::encode(&keys, &values)?;
        let path = folder.join(name);
        native::write(&path, &bytes)?;
        let (segment, keys) = Segment::open(&path, values.len() / keys.len())?;
        self.know(segment, keys);
        self.read.insert(path);
        Ok(())
    }
}
