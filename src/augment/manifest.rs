//! The manifest: a line of JSON for each picture, beside the pictures.
//!
//! Any number of processes add to it at once. Lines are appended under a lock on a file beside it, which ends with the process that holds
//! it, and are on the disk before the next picture is made. A process that was killed while it wrote leaves a torn last line, which the
//! next one cuts off. A picture's last line counts; [`Manifest::tidy`] leaves only that, in the order of the pictures' names, so that a
//! finished manifest has the same bytes whoever made the pictures in which order.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::origin::Entry;
use crate::{Error, Result, platform::native};

/// The manifest's name.
pub const NAME: &str = "augment.jsonl";
/// Where lines that cannot be read are put.
const DAMAGED: &str = "augment.damaged.txt";
const LOCK: &str = ".augment.lock";

/// The manifest of a folder of generated pictures.
#[derive(Debug)]
pub struct Manifest {
    folder: PathBuf,
}

/// What a manifest says.
#[derive(Debug, Default)]
pub struct Entries {
    /// The last entry of each picture, by its path.
    pub by_picture: BTreeMap<String, Entry>,
    /// Lines that are no entries, with their numbers from 1.
    pub damaged: Vec<(usize, String)>,
}

impl Manifest {
    /// The manifest of `folder`, which may not be there yet.
    pub fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The manifest's file.
    pub fn path(&self) -> PathBuf {
        self.folder.join(NAME)
    }

    /// Reads it; no file is an empty one.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn read(&self) -> Result<Entries> {
        let path = self.path();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Entries::default()),
            Err(error) => return Err(Error::read(&path, error)),
        };
        Ok(Entries::from_bytes(&bytes))
    }

    /// Adds entries, which are on the disk when this returns.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append(&self, entries: &[Entry]) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let _alone = self.alone()?;
        let path = self.path();
        let write = || {
            let mut file = File::options().create(true).read(true).append(true).open(&path)?;
            cut_torn_line(&mut file)?;
            file.write_all(entries.iter().map(Entry::line).collect::<String>().as_bytes())?;
            file.sync_data()
        };
        write().map_err(|source| Error::write(&path, source))
    }

    /// Leaves the last entry of each picture, in the order of their paths. Lines that are no entries go to a file of their own.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn tidy(&self) -> Result<()> {
        let path = self.path();
        if !path.exists() {
            return Ok(());
        }
        let _alone = self.alone()?;
        native::sweep(&self.folder);
        let bytes = native::read(&path)?;
        let Entries { by_picture, damaged } = Entries::from_bytes(&bytes);
        let tidy: String = by_picture.values().map(Entry::line).collect();
        if tidy.as_bytes() == bytes {
            return Ok(());
        }
        if !damaged.is_empty() {
            let path = self.folder.join(DAMAGED);
            let earlier = std::fs::read(&path).unwrap_or_default();
            let lines: String = damaged.iter().map(|(_, line)| format!("{line}\n")).collect();
            native::write(&path, &[earlier, lines.into_bytes()].concat())?;
        }
        native::write(&path, tidy.as_bytes())
    }

    /// Where lines that cannot be read are put.
    pub fn damaged_path(&self) -> PathBuf {
        self.folder.join(DAMAGED)
    }

    /// While the file is open no other process writes the manifest, or sweeps its folder.
    ///
    /// # Errors
    /// The lock's file cannot be written.
    pub fn alone(&self) -> Result<File> {
        let path = self.folder.join(LOCK);
        let file = File::options().create(true).append(true).open(&path);
        let file = file.map_err(|source| Error::write(&path, source))?;
        // Without locks this is still right for one process.
        let _ = file.lock();
        Ok(file)
    }
}

impl Entries {
    fn from_bytes(bytes: &[u8]) -> Self {
        let mut entries = Self::default();
        for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
            match serde_json::from_slice::<Entry>(line) {
                Ok(entry) => {
                    entries.by_picture.insert(entry.record.picture.clone(), entry);
                }
                Err(_) => entries.damaged.push((index + 1, String::from_utf8_lossy(line).into_owned())),
            }
        }
        entries
    }
}

/// Cuts off what a process that was killed while it wrote has left of its last line; whatever else has no end gets one.
fn cut_torn_line(file: &mut File) -> std::io::Result<()> {
    /// Longer than any line: prompts are short.
    const LONGEST: u64 = 1 << 16;
    /// What every line begins with.
    const START: &[u8] = b"{\"picture\":";
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let start = tail.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let last = &tail[start..];
    if last.is_empty() {
        return Ok(());
    }
    let is_ours = last.iter().zip(START).all(|(one, other)| one == other);
    if is_ours && serde_json::from_slice::<Entry>(last).is_err() {
        return file.set_len(length - last.len() as u64);
    }
    file.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::origin::tests::entry;

    #[test]
    fn the_last_line_of_a_picture_counts() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = Manifest::of(folder.path());
        assert!(manifest.read().unwrap().by_picture.is_empty());
        let (b, a) = (entry("b/0.png", "1"), entry("a/0.png", "2"));
        manifest.append(&[b.clone(), a.clone()]).unwrap();
        let newer = entry("b/0.png", "3");
        manifest.append(std::slice::from_ref(&newer)).unwrap();
        assert_eq!(std::fs::read_to_string(manifest.path()).unwrap().lines().count(), 3);
        manifest.tidy().unwrap();
        assert_eq!(std::fs::read_to_string(manifest.path()).unwrap(), a.line() + &newer.line());
        let entries = manifest.read().unwrap();
        assert_eq!(entries.by_picture.into_values().collect::<Vec<_>>(), [a, newer]);
    }

    #[test]
    fn a_line_that_is_torn_anywhere_costs_only_itself() {
        let (first, torn, last) = (entry("a/0.png", "1"), entry("b/0.png", "2"), entry("c/0.png", "3"));
        let line = torn.line();
        for length in [1, 5, 12, 60, line.len() - 2] {
            let folder = tempfile::tempdir().unwrap();
            let manifest = Manifest::of(folder.path());
            std::fs::write(manifest.path(), first.line() + &line[..length]).unwrap();
            manifest.append(std::slice::from_ref(&last)).unwrap();
            assert_eq!(std::fs::read_to_string(manifest.path()).unwrap(), first.line() + &last.line(), "{length}");
        }
        // Whole but for its end, it is an entry like others.
        let folder = tempfile::tempdir().unwrap();
        let manifest = Manifest::of(folder.path());
        std::fs::write(manifest.path(), first.line() + line.trim_end()).unwrap();
        manifest.append(std::slice::from_ref(&last)).unwrap();
        assert_eq!(manifest.read().unwrap().by_picture.into_values().collect::<Vec<_>>(), [first, torn, last]);
    }

    #[test]
    fn what_is_no_entry_is_kept_aside() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = Manifest::of(folder.path());
        let (one, other) = (entry("a/0.png", "1"), entry("b/0.png", "2"));
        std::fs::write(manifest.path(), format!("{}somebody's notes\n{}mine", one.line(), other.line())).unwrap();
        let damaged = manifest.read().unwrap().damaged;
        assert_eq!(damaged, [(2, "somebody's notes".to_owned()), (4, "mine".to_owned())]);
        manifest.append(std::slice::from_ref(&one)).unwrap();
        manifest.tidy().unwrap();
        assert_eq!(std::fs::read_to_string(manifest.path()).unwrap(), one.line() + &other.line());
        assert_eq!(std::fs::read_to_string(manifest.damaged_path()).unwrap(), "somebody's notes\nmine\n");
    }
}
