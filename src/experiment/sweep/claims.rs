//! Who computes which cell, among processes that share a sweep's folder.
//!
//! A claim is an advisory lock on a file of the cell's own (`flock` on Unix), so it ends with the process that holds it,
//! however that ends, and another can take over. The files lie beside the run folders and not in them, so that these look
//! like those of single runs; they are never removed, because a lock on a removed file excludes nobody.
//!
//! On network file systems: Linux sends `flock` on NFS to the server, so claims hold between machines, unless it is mounted
//! with `nolock` or `local_lock`; a dead machine's claim ends when the server's lease on it does. Lustre needs the mount
//! option `flock`. Where locks do not work, [`Claims::work`] says so, and disjoint shards are the way. NFS may show a
//! finished cell some seconds late; it is then computed again, with the same bytes.

use std::{
    fs::{File, TryLockError},
    io::Write,
    path::{Path, PathBuf},
};

use crate::{Error, Result, platform::native};

/// The claims of a sweep.
#[derive(Debug)]
pub struct Claims {
    folder: PathBuf,
    /// Whether the file system locks files at all.
    pub work: bool,
}

/// What came of trying to claim a cell.
#[derive(Debug)]
pub enum Attempt {
    /// It is this process's now.
    Ours(Claim),
    /// It is another living process's: the last line that this has recorded.
    Elsewhere(String),
}

/// A cell that nobody else may compute while this lives.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    /// Its lock goes when it is closed.
    file: File,
}

impl Claims {
    /// The claims of the sweep in `folder`.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn open(folder: &Path) -> Result<Self> {
        let folder = folder.join(".claims");
        native::create_folder(&folder)?;
        let claims = Self { folder, work: true };
        let path = claims.path("try");
        let work = !matches!(open(&path)?.try_lock(), Err(TryLockError::Error(_)));
        Ok(Self { work, ..claims })
    }

    /// Claims the cell `name`, unless another living process has.
    ///
    /// # Errors
    /// The claim's file cannot be written.
    pub fn attempt(&self, name: &str) -> Result<Attempt> {
        let path = self.path(name);
        let file = open(&path)?;
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Ok(Attempt::Elsewhere(self.history(name).pop().unwrap_or_else(|| "just claimed".into())));
        }
        Ok(Attempt::Ours(Claim { path, file }))
    }

    /// What has been recorded of the cell `name`, oldest first: each claim, and what came of it. A claim of which nothing
    /// came is held by a living process, or was by one that died.
    pub fn history(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Does something that only one process at a time may do, waiting for the others.
    ///
    /// # Errors
    /// Those of `work`; the lock's file cannot be written.
    pub fn alone<T>(&self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let file = open(&self.path(name))?;
        // Without locks this is still right for one process.
        let _ = file.lock();
        work()
    }

    /// The file of a cell, whose name has folders in it.
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{}.txt", name.replace(['/', '\\'], "__")))
    }
}

impl Claim {
    /// Records that this process begins to compute the cell.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn begin(&mut self) -> Result<()> {
        self.record(&format!("claimed by process {} on {}", std::process::id(), machine()))
    }

    /// Adds a line to the cell's history.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn record(&mut self, line: &str) -> Result<()> {
        let line = format!("{}\n", line.replace('\n', " "));
        self.file.write_all(line.as_bytes()).map_err(|source| Error::write(&self.path, source))
    }
}

fn open(path: &Path) -> Result<File> {
    File::options().create(true).append(true).open(path).map_err(|source| Error::write(path, source))
}

/// This machine's name, for people.
fn machine() -> String {
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    let kernel = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned());
    variable("SLURMD_NODENAME")
        .or_else(kernel)
        .or_else(|| variable("HOSTNAME"))
        .unwrap_or_else(|| "this machine".into())
}
