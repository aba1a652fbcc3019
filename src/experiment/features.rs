//! Image features, computed once per (weights, preprocessing, file content) and kept on disk.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
};

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Event, Observer};
use crate::{
    Error, Result,
    clip::{ClipBackend, Precision},
    data::decode::decode,
    platform::native,
    session::Backbone,
    train,
    weights::{TensorFile, checkpoint::hex, tensors},
};

/// Pictures that go through the image tower together.
const BATCH: usize = 32;
/// Features after which a segment is written, so that an interrupted run keeps most of its work.
const SEGMENT: usize = 2048;

/// SHA-256 of a file's bytes.
type ContentHash = [u8; 32];

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
#[derive(Default)]
pub struct FeatureCache {
    folder: Option<PathBuf>,
    /// Segments that were read, or were found to be broken.
    segments: HashSet<PathBuf>,
    known: HashMap<ContentHash, Vec<f32>>,
    /// Zero-shot weights by the prompts that they are of; few enough to live in memory alone.
    texts: HashMap<Vec<Vec<String>>, Vec<f32>>,
    /// Files by their label, so that each is read for its hash once. Pictures do not change while a program runs.
    hashes: HashMap<String, ContentHash>,
}

impl FeatureCache {
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
        cache.refresh(observer)?;
        Ok(cache)
    }

    /// Reads the segments that were written since the last time.
    fn refresh(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let Some(folder) = self.folder.as_ref().filter(|folder| folder.is_dir()) else { return Ok(()) };
        let entries = std::fs::read_dir(folder).map_err(|source| Error::read(folder, source))?;
        let mut segments: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        segments.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
        segments.sort();
        for path in segments {
            if !self.segments.contains(&path) {
                if let Err(error) = read_segment(&path, &mut self.known) {
                    observer.observe(&Event::note(format!("{error}; its features are computed again")));
                }
                self.segments.insert(path);
            }
        }
        Ok(())
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
        let hashes = self.hashes(images, names)?;
        let mut wanted = self.unknown(&hashes, names);
        if !wanted.is_empty() {
            let _alone = self.wait_for_others(&images.label(""), observer)?;
            self.refresh(observer)?;
            wanted = self.unknown(&hashes, names);
            self.compute(backbone, images, &wanted, observer)?;
        }
        let values: Vec<f32> = hashes.iter().flat_map(|hash| self.known[hash].iter().copied()).collect();
        let data = TensorData::new(values, [names.len(), backbone.config.embedding]);
        let source = Source { computed: wanted.len(), cached: names.len() - wanted.len() };
        Ok((Tensor::from_data(data, backbone.clip.device()), source))
    }

    /// The hashes of pictures' files, in the order of their names.
    fn hashes(&mut self, images: &dyn ImageSource, names: &[&str]) -> Result<Vec<ContentHash>> {
        let hash = |name: &&str| {
            let label = images.label(name);
            match self.hashes.get(&label) {
                Some(hash) => Ok((label, *hash)),
                None => images.read(name).map(|bytes| (label, Sha256::digest(bytes).into())),
            }
        };
        let found = names.par_iter().map(hash).collect::<Result<Vec<(String, ContentHash)>>>()?;
        let hashes = found.iter().map(|(_, hash)| *hash).collect();
        self.hashes.extend(found);
        Ok(hashes)
    }

    /// The pictures whose features are not known, each once.
    fn unknown<'a>(&self, hashes: &[ContentHash], names: &[&'a str]) -> Vec<(ContentHash, &'a str)> {
        let mut seen = HashSet::new();
        let pictures =
            hashes.iter().zip(names).filter(|(hash, _)| !self.known.contains_key(*hash) && seen.insert(**hash));
        pictures.map(|(hash, name)| (*hash, *name)).collect()
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

    /// Decodes on another thread while the tower computes on this one.
    fn compute<B: ClipBackend>(
        &mut self,
        backbone: &Backbone<B>,
        images: &dyn ImageSource,
        wanted: &[(ContentHash, &str)],
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let width = backbone.config.embedding;
        let preprocess = &backbone.preprocess;
        let picture = |name: &str| preprocess.pixels(&decode(&images.read(name)?, &images.label(name))?);
        let picture = &picture;
        let mut fresh: Vec<(ContentHash, Vec<f32>)> = Vec::new();
        let result = thread::scope(|scope| {
            // Two batches ahead are enough to keep the tower busy, and bound the memory.
            let (sender, receiver) = mpsc::sync_channel(2);
            scope.spawn(move || {
                for batch in wanted.chunks(BATCH) {
                    let pictures: Result<Vec<Vec<u8>>> = batch.par_iter().map(|(_, name)| picture(name)).collect();
                    let failed = pictures.is_err();
                    if sender.send(pictures).is_err() || failed {
                        return;
                    }
                }
            });
            let mut done = 0;
            for (batch, pictures) in wanted.chunks(BATCH).zip(receiver) {
                let values = pollster::block_on(train::read(backbone.image_features(&pictures?)))?;
                for ((hash, name), row) in batch.iter().zip(values.chunks_exact(width)) {
                    if row.iter().any(|value| !value.is_finite()) {
                        let name = images.label(name);
                        return Err(Error::Failed(format!(
                            "{name}: its features are not finite; run 'lowshot doctor'"
                        )));
                    }
                    fresh.push((*hash, row.to_vec()));
                }
                done += batch.len();
                observer.observe(&Event::Progress { what: "image features", done, total: wanted.len() });
                if fresh.len() >= SEGMENT {
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
    fn keep(&mut self, fresh: &mut Vec<(ContentHash, Vec<f32>)>) -> Result<()> {
        if fresh.is_empty() {
            return Ok(());
        }
        if let Some(folder) = &self.folder {
            let hashes: Vec<u8> = fresh.iter().flat_map(|(hash, _)| *hash).collect();
            let values: Vec<f32> = fresh.iter().flat_map(|(_, row)| row.iter().copied()).collect();
            let width = values.len() / fresh.len();
            let name = hex(&Sha256::digest(&hashes));
            let bytes = tensors::encode(
                &[
                    ("features", vec![fresh.len(), width], tensors::Values::F32(&values)),
                    ("hashes", vec![fresh.len(), 32], tensors::Values::U8(&hashes)),
                ],
                &[("format", "lowshot-features")],
            )?;
            native::write(&folder.join(format!("{}.safetensors", &name[..32])), &bytes)?;
        }
        self.known.extend(fresh.drain(..));
        Ok(())
    }
}

fn read_segment(path: &Path, known: &mut HashMap<ContentHash, Vec<f32>>) -> Result<()> {
    let file = TensorFile::open(path.display().to_string(), native::map(path)?)?;
    let shapes: HashMap<String, Vec<usize>> = file.shapes().collect();
    let (Some([count, width]), Some([hashes, 32])) =
        (shapes.get("features").map(Vec::as_slice), shapes.get("hashes").map(Vec::as_slice))
    else {
        return Err(Error::Weights { file: file.label().into(), why: "not a segment of the feature cache".into() });
    };
    if count != hashes || *width == 0 {
        return Err(Error::Weights { file: file.label().into(), why: "features and hashes differ in number".into() });
    }
    let mut values = Vec::with_capacity(count * width);
    file.read("features", &mut values)?;
    let hashes = file.bytes("hashes")?;
    let hashes = hashes.as_chunks::<32>().0.iter().copied();
    known.extend(hashes.zip(values.chunks_exact(*width).map(<[f32]>::to_vec)));
    Ok(())
}
