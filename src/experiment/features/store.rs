//! Features that are known, in a folder of segments or in memory.

use std::{
    collections::{HashMap, HashSet},
    fs::{File, TryLockError},
    path::PathBuf,
};

use super::{
    super::{Event, Observer},
    segment::{self, Key, Segment},
};
use crate::{Error, Result, hash, platform::native};

/// Numbers that are held in memory where there is no folder, 256 MiB.
const MOST_HELD: usize = 64 << 20;

/// The features known for one backbone.
///
/// A segment is a safetensors file that is written whole and never changed, so several processes can share the folder. In memory
/// are the hashes alone; features are read from their segment when they are asked for. Without a folder they are held as long as
/// they are few.
pub(super) struct Store {
    folder: Option<PathBuf>,
    /// Segments that were read, or were found to be broken.
    read: HashSet<PathBuf>,
    segments: Vec<Segment>,
    /// The segment and the row of each picture.
    known: HashMap<Key, (u32, u32)>,
    /// Numbers in memory, and how many of them may stay there.
    held: usize,
    most_held: usize,
}

impl Default for Store {
    fn default() -> Self {
        Self::in_memory(MOST_HELD)
    }
}

impl Store {
    /// One without a folder, in which so many numbers may stay.
    pub fn in_memory(most_held: usize) -> Self {
        let (read, known) = (HashSet::new(), HashMap::new());
        Self { folder: None, read, segments: Vec::new(), known, held: 0, most_held }
    }

    /// One in a folder, of which nothing is read yet.
    pub fn in_folder(folder: PathBuf) -> Self {
        Self { folder: Some(folder), ..Self::default() }
    }

    /// Whether features are kept for other runs.
    pub fn is_kept(&self) -> bool {
        self.folder.is_some()
    }

    /// Whether a picture's features are known.
    pub fn knows(&self, key: &Key) -> bool {
        self.known.contains_key(key)
    }

    /// Reads the segments that were written since the last time.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn refresh(&mut self, width: usize, observer: &mut dyn Observer) -> Result<()> {
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

    /// Features of `width` numbers that are known, one after the other.
    ///
    /// # Errors
    /// As [`Segment::append`].
    pub fn rows(&self, keys: &[Key], width: usize) -> Result<Vec<f32>> {
        let mut values = Vec::with_capacity(keys.len() * width);
        let mut used = HashSet::new();
        for key in keys {
            let (segment, row) = self.known[key];
            self.segments[segment as usize].append(row as usize, width, &mut values)?;
            used.insert(segment);
        }
        used.into_iter().for_each(|segment| self.segments[segment as usize].release());
        Ok(values)
    }

    /// Takes fresh features in, in a folder as a segment, and knows them from now on.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn keep(&mut self, fresh: &mut (Vec<Key>, Vec<f32>)) -> Result<()> {
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

    /// Forgets what is held where that is more than may be.
    pub fn forget(&mut self) {
        if self.held > self.most_held {
            self.held = 0;
            self.segments.clear();
            self.known.clear();
        }
    }

    /// Waits until no other process computes the pictures of the folder `label`; none begins while the file is open.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn wait_for_others(&self, label: &str, observer: &mut dyn Observer) -> Result<Option<File>> {
        let Some(folder) = &self.folder else { return Ok(None) };
        native::create_folder(folder)?;
        let path = folder.join(format!("{}.lock", &hash::sha256(label)[..32]));
        let open = File::options().create(true).append(true).open(&path);
        let file = open.map_err(|source| Error::write(&path, source))?;
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            observer.observe(&Event::note("waiting for another process that computes features of the same pictures"));
            // A file system without locks was found out above.
            let _ = file.lock();
        }
        Ok(Some(file))
    }
}
