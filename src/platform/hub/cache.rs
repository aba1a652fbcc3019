//! The cache of Hugging Face's tools: `models--ORGANISATION--NAME/{blobs, refs, snapshots}`.
//!
//! Contents lie in `blobs` under their hash, `snapshots/COMMIT` shows a commit's files by links to them, and `refs` says which
//! commit a branch was when it was last asked for. The guide "Understand caching" of
//! `huggingface_hub` describes it.

use std::{
    fs::{self, File, TryLockError},
    path::{Component, Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use super::{Environment, Event, Hash, Listed, Listing, MAIN, Tell};
use crate::{
    Error, Result,
    platform::native::{self, create_folder},
};

/// How often to look whether another process is done.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a repository holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A model.
    Model,
    /// A data set.
    Dataset,
}

impl Kind {
    /// As folders and addresses call it.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Dataset => "datasets",
        }
    }
}

/// The cache.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

/// A repository's part of it.
#[derive(Debug, Clone)]
pub struct Repository {
    kind: Kind,
    folder: PathBuf,
    locks: PathBuf,
}

impl Cache {
    /// That of the environment.
    ///
    /// # Errors
    /// There is no home folder, and no variable names another.
    pub fn new(environment: &Environment) -> Result<Self> {
        let root = environment.cache.clone();
        let root =
            root.ok_or_else(|| Error::Usage("no home folder is known; set HF_HOME to a folder for models".into()))?;
        Ok(Self { root })
    }

    /// The part of `organisation/name`, or of `name` alone for the oldest models.
    ///
    /// # Errors
    /// That is no name of a repository.
    pub fn repository(&self, kind: Kind, name: &str) -> Result<Repository> {
        if !is_repository(name) {
            return Err(Error::Usage(format!(
                "'{name}' is no name of a repository on the hub, which is organisation/name"
            )));
        }
        let folder = format!("{}--{}", kind.plural(), name.replace('/', "--"));
        Ok(Repository { kind, locks: self.root.join(".locks").join(&folder), folder: self.root.join(folder) })
    }
}

/// Whether a name could be one of a repository: one or two parts of letters, digits and `-_.`.
pub fn is_repository(name: &str) -> bool {
    let part = |part: &str| {
        let usual = part.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
        usual && !part.is_empty() && !part.starts_with(['.', '-']) && !part.contains("..") && !part.contains("--")
    };
    name.split('/').count() <= 2 && name.split('/').all(part)
}

/// Whether a path from elsewhere stays inside the folder that it is put into, on every system.
pub fn is_inside(path: &str) -> bool {
    let plain = |component| matches!(component, Component::Normal(_));
    !path.is_empty() && !path.contains(['\\', ':', '\0']) && Path::new(path).components().all(plain)
}

impl Repository {
    /// What it holds.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The place of a content.
    pub fn blob(&self, name: &str) -> PathBuf {
        self.folder.join("blobs").join(name)
    }

    /// The folder of a commit.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Waits until no other process fetches a content; none does until what is returned is dropped.
    ///
    /// # Errors
    /// The lock's file cannot be made.
    pub fn lock(&self, blob: &str, tell: &mut Tell<'_>) -> Result<File> {
        create_folder(&self.locks)?;
        let path = self.locks.join(format!("{blob}.lock"));
        let lock =
            File::options().create(true).append(true).open(&path).map_err(|source| Error::write(&path, source))?;
        let mut told = false;
        while matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
            if !told {
                tell(Event::Note("another process is fetching the same file; waiting for it".into()));
                told = true;
            }
            thread::sleep(LOOK_EVERY);
        }
        // Where a file system knows no locks, two processes may spoil each other's download, which its hash then shows.
        Ok(lock)
    }

    /// Shows a content among a commit's files: by a link, by a second name for it where the system refuses links, or by a copy.
    ///
    /// # Errors
    /// None of it can be done.
    pub fn link(&self, commit: &str, file: &Listed) -> Result<()> {
        let (blob, place) = (self.blob(&file.blob), self.snapshot(commit).join(&file.name));
        let failed = |source| Error::write(&place, source);
        if let Some(folder) = place.parent() {
            create_folder(folder)?;
        }
        if fs::symlink_metadata(&place).is_ok() {
            fs::remove_file(&place).map_err(failed)?;
        }
        // From the folder of the file up to that of the repository, and down again.
        let up = std::iter::repeat_n("..", file.name.split('/').count() + 1);
        let target: PathBuf = up.chain(["blobs", &file.blob]).collect();
        let linked = symlink(&target, &place).or_else(|_| fs::hard_link(&blob, &place));
        linked.or_else(|_| fs::copy(&blob, &place).map(drop)).map_err(failed)
    }

    /// Remembers which commit a revision is.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn remember(&self, revision: &str, commit: &str) -> Result<()> {
        let path = self.folder.join("refs").join(revision);
        if revision == commit
            || !is_inside(revision)
            || fs::read_to_string(&path).is_ok_and(|known| known.trim() == commit)
        {
            return Ok(());
        }
        native::write(&path, commit.as_bytes())
    }

    /// The commit that a revision was when it was last asked for.
    pub fn commit(&self, revision: &str) -> Option<String> {
        if !is_inside(revision) {
            return None;
        }
        let remembered = fs::read_to_string(self.folder.join("refs").join(revision)).ok();
        let commit = remembered.map_or_else(|| revision.to_owned(), |commit| commit.trim().to_owned());
        (is_inside(&commit) && self.snapshot(&commit).is_dir()).then_some(commit)
    }

    /// The folders of commits, that of the main branch first, then the newest.
    pub fn snapshots(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.join("snapshots")).into_iter().flatten().flatten();
        let dated = |entry: fs::DirEntry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()));
        let mut snapshots: Vec<(SystemTime, PathBuf)> = entries.filter_map(dated).collect();
        let main = self.commit(MAIN).map(|commit| self.snapshot(&commit));
        snapshots.sort_by_key(|(date, path)| std::cmp::Reverse((Some(path) == main.as_ref(), *date)));
        snapshots.into_iter().map(|(_, path)| path).collect()
    }

    /// The files that are here of a revision, as if the hub had listed them.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn listing(&self, revision: &str) -> Result<Option<Listing>> {
        let Some(commit) = self.commit(revision) else { return Ok(None) };
        let root = self.snapshot(&commit);
        let (mut files, mut folders) = (Vec::new(), vec![String::new()]);
        while let Some(folder) = folders.pop() {
            let path = root.join(&folder);
            for entry in fs::read_dir(&path).map_err(|source| Error::read(&path, source))?.flatten() {
                let name = format!("{folder}{}", entry.file_name().to_string_lossy());
                // A link whose content has gone is no file.
                let Ok(status) = fs::metadata(entry.path()) else { continue };
                if status.is_dir() {
                    folders.push(format!("{name}/"));
                } else {
                    let blob = String::new();
                    files.push(Listed { name, bytes: status.len(), hash: Hash::GitBlob(blob.clone()), blob });
                }
            }
        }
        Ok(Some(Listing { commit, files }))
    }
}

#[cfg(unix)]
fn symlink(target: &Path, place: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, place)
}

#[cfg(windows)]
fn symlink(target: &Path, place: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_file(target, place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_repositories_cannot_lead_elsewhere() {
        for name in ["openai/clip-vit-base-patch16", "gpt2", "timm/resnet50_clip.openai"] {
            assert!(is_repository(name), "{name}");
        }
        for name in ["", "/", "a/", "/a", "a/b/c", "../a", "a/..", "a b/c", "a--b/c", "https://a/b", "a\\b", ".a/b"] {
            assert!(!is_repository(name), "{name}");
        }
    }
}
