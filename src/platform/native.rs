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

    fn place(&self, name: &str) -> String {
        self.path(name).display().to_string()
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

/// Writes a whole file or nothing, as [`write_files`]. What is there but no file (a device, a pipe) is written to as it is.
///
/// # Errors
/// What the system says, with the path; an older file is left as it was.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    // A link stays one: what it leads to is written.
    let is_link = fs::symlink_metadata(path).is_ok_and(|status| status.is_symlink());
    let target = if is_link { fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()) } else { path.to_owned() };
    let special = fs::metadata(&target).is_ok_and(|status| !status.is_file() && !status.is_dir());
    if special {
        let written = File::options().write(true).open(&target).and_then(|mut file| file.write_all(bytes));
        return written.map_err(|source| Error::write(path, source));
    }
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let Some(name) = target.file_name() else {
        return Err(Error::write(path, std::io::ErrorKind::InvalidFilename.into()));
    };
    write_files(folder, &[(name, bytes)])
}

/// What the names of half-written files begin and end with.
const HALF_WRITTEN: (&str, &str) = (".lowshot-", ".tmp");

/// Writes files into a folder, in this order, each whole or not at all: into a temporary file beside it, synced, then renamed
/// over it. When one fails, the files and folders that were not there before are removed again.
///
/// # Errors
/// What the system says, with the path; the older version of the file that failed is left as it was.
pub fn write_files<N: AsRef<Path>>(folder: &Path, files: &[(N, &[u8])]) -> Result<()> {
    let is_new = |path: &&Path| !path.as_os_str().is_empty() && fs::symlink_metadata(path).is_err();
    let new_folders: Vec<&Path> = folder.ancestors().take_while(is_new).collect();
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| folder.join(name)).collect();
    let new_files: Vec<&PathBuf> = paths.iter().filter(|path| is_new(&path.as_path())).collect();
    let write_all = || {
        create_folder(folder)?;
        paths.iter().zip(files).try_for_each(|(path, (_, bytes))| write_one(folder, path, bytes))?;
        // The renames themselves are in the folder.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| Error::write(folder, source))
    };
    write_all().inspect_err(|_| {
        // Failing to clean up must not hide the failure itself. A folder that meanwhile holds another's files stays.
        new_files.iter().for_each(|path| drop(fs::remove_file(path)));
        new_folders.iter().for_each(|folder| drop(fs::remove_dir(folder)));
    })
}

fn write_one(folder: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |source| Error::write(path, source);
    let (prefix, suffix) = HALF_WRITTEN;
    let mut file = tempfile::Builder::new().prefix(prefix).suffix(suffix).tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    // Temporary files are private; a result is as readable as any other file that the user makes.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let permissions = fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(permissions).map_err(failed)?;
    }
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Removes what a killed process left half-written in a folder that no other process writes to.
pub fn sweep(folder: &Path) {
    let (prefix, suffix) = HALF_WRITTEN;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(prefix) && name.ends_with(suffix)) {
            // What cannot be removed takes space and does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Makes a folder and those above it.
///
/// # Errors
/// What the system says, with the path.
pub fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|source| Error::Io { action: "cannot make folder", path: path.into(), source })
}

/// Bytes of memory that are free, where the system tells it.
pub fn free_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok()?.checked_mul(1024)
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

/// Where fetched data sets are kept: a folder in the [cache](cache_folder).
///
/// # Errors
/// As there.
pub fn data_folder() -> Result<PathBuf> {
    Ok(cache_folder()?.join("data"))
}
