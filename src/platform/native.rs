//! A machine: mapped files, whole-file writes, the cache's folder.

use std::{
    fs::{self, File},
    io::Write,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use memmap2::{Mmap, UncheckedAdvice};

use crate::{
    Error, Result,
    weights::{Blob, ModelFiles},
};

/// A file mapped into memory.
struct MappedFile(Mmap);

impl MappedFile {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::read(path, source))?;
        // SAFETY: the mapping is private and read-only. Another process that truncates the file meanwhile ends this one
        // with SIGBUS, as with every program that maps its weights; nothing is written through the mapping.
        let map = unsafe { Mmap::map(&file) }.map_err(|source| Error::read(path, source))?;
        Ok(Self(map))
    }
}

impl Blob for MappedFile {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn release(&self, range: Range<usize>) {
        // SAFETY: the pages are clean copies of the file, so dropping them loses nothing: a later read faults them in
        // again. Failing to drop them only costs memory.
        let _ = unsafe { self.0.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len()) };
    }
}

/// The files of a model on disk.
pub struct FolderFiles {
    folder: PathBuf,
    /// A lone weights file, which stands for `model.safetensors`.
    weights: Option<PathBuf>,
}

impl FolderFiles {
    /// A model's folder, or one safetensors file (whose neighbours `config.json` and the like are used where they are).
    ///
    /// # Errors
    /// Nothing there.
    pub fn open(path: &Path) -> Result<Self> {
        let kind = fs::metadata(path).map_err(|source| Error::read(path, source))?;
        if kind.is_dir() {
            return Ok(Self { folder: path.into(), weights: None });
        }
        let folder = path.parent().unwrap_or(Path::new("")).into();
        Ok(Self { folder, weights: Some(path.into()) })
    }

    fn path(&self, name: &str) -> PathBuf {
        match &self.weights {
            Some(path) if name == "model.safetensors" => path.clone(),
            _ => self.folder.join(name),
        }
    }
}

impl ModelFiles for FolderFiles {
    fn label(&self) -> String {
        self.weights.as_ref().unwrap_or(&self.folder).display().to_string()
    }

    fn open(&self, name: &str) -> Result<Option<Arc<dyn Blob>>> {
        let path = self.path(name);
        match fs::metadata(&path) {
            // An empty file cannot be mapped, and a small one is not worth it.
            Ok(metadata) if metadata.len() < 1 << 16 => Ok(Some(Arc::new(read(&path)?))),
            Ok(_) => Ok(Some(Arc::new(MappedFile::open(&path)?))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::read(&path, error)),
        }
    }

    fn names(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.folder).map_err(|source| Error::read(&self.folder, source))?;
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        Ok(names)
    }
}

/// Reads a whole file.
///
/// # Errors
/// What the system says, with the path.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|source| Error::read(path, source))
}

/// Maps a file, for reading parts of it.
///
/// # Errors
/// What the system says, with the path.
pub fn map(path: &Path) -> Result<Arc<dyn Blob>> {
    if fs::metadata(path).map_err(|source| Error::read(path, source))?.len() == 0 {
        return Ok(Arc::new(Vec::new()));
    }
    Ok(Arc::new(MappedFile::open(path)?))
}

/// Writes a whole file or nothing: into a temporary file beside it, synced, then renamed over it.
///
/// # Errors
/// What the system says, with the path; an older file is left as it was.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |source| Error::write(path, source);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    create_folder(folder)?;
    let mut file = tempfile::Builder::new().suffix(".tmp").tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    // Temporary files are private; a result is as readable as any other file that the user makes.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let permissions = fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(permissions).map_err(failed)?;
    }
    file.persist(path).map_err(|error| failed(error.error))?;
    // The rename itself is in the folder.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Makes a folder and those above it.
///
/// # Errors
/// What the system says, with the path.
pub fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|source| Error::Io { action: "cannot make folder", path: path.into(), source })
}

/// Where computed features are kept: `LOWSHOT_CACHE`, or the user's cache folder.
///
/// # Errors
/// Neither is known.
pub fn cache_folder() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("LOWSHOT_CACHE").filter(|folder| !folder.is_empty()) {
        return Ok(folder.into());
    }
    directories::ProjectDirs::from("", "", "lowshot").map(|folders| folders.cache_dir().into()).ok_or_else(|| {
        Error::Usage("no home folder is known; set LOWSHOT_CACHE to a folder for computed features".into())
    })
}
