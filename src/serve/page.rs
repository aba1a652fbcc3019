//! The page's files by their addresses, with their hashes.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use hyper::body::Bytes;
use include_dir::Dir;

use crate::{Error, Result, hash};

/// The files of a built page.
pub struct Page {
    source: Source,
    /// Hashes of files that were asked for, each with what the file was like then.
    hashes: Mutex<HashMap<String, (Version, String)>>,
}

enum Source {
    Program(&'static Dir<'static>),
    Folder(PathBuf),
}

/// By what a changed file is noticed: time and length. Files inside the program do not change.
type Version = Option<(SystemTime, u64)>;

/// A file of the page.
#[derive(Debug)]
pub struct Found {
    /// Its content.
    pub bytes: Bytes,
    /// SHA-256 of its content, in hexadecimal.
    pub hash: String,
}

impl Page {
    /// The page inside the program.
    pub fn embedded(files: &'static Dir<'static>) -> Self {
        Self { source: Source::Program(files), hashes: Mutex::default() }
    }

    /// A page in a folder.
    ///
    /// # Errors
    /// No such folder, or none that holds a page.
    pub fn folder(folder: &Path) -> Result<Self> {
        // Resolved once, so that whatever an address leads to can be compared with it.
        let folder = fs::canonicalize(folder).map_err(|source| Error::read(folder, source))?;
        if !folder.join("index.html").is_file() {
            return Err(Error::Usage(format!(
                "{}: there is no index.html in it; 'npm run build' makes the page, in the folder dist",
                folder.display()
            )));
        }
        Ok(Self { source: Source::Folder(folder), hashes: Mutex::default() })
    }

    /// The file at an address without its leading slash, as the page's own links write it: nothing hidden, nothing outside.
    pub fn find(&self, name: &str) -> Option<Found> {
        let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', ':', '\0']);
        if !name.split('/').all(plain) {
            return None;
        }
        match &self.source {
            Source::Program(files) => {
                let bytes = files.get_file(name)?.contents();
                Some(self.found(name, None, Bytes::from_static(bytes)))
            }
            Source::Folder(folder) => {
                // A link may lead out of the folder.
                let path = fs::canonicalize(folder.join(name)).ok().filter(|path| path.starts_with(folder))?;
                let status = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
                let version = status.modified().ok().map(|time| (time, status.len()));
                Some(self.found(name, version, fs::read(&path).ok()?.into()))
            }
        }
    }

    /// Hashes a file unless that was done before.
    fn found(&self, name: &str, version: Version, bytes: Bytes) -> Found {
        // Nothing is left half done in the table when a thread panics.
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, hash)) = hashes.get(name)
            && *known == version
        {
            return Found { bytes, hash: hash.clone() };
        }
        let hash = hash::sha256(&bytes);
        hashes.insert(name.to_owned(), (version, hash.clone()));
        Found { bytes, hash }
    }
}
