//! One error type for the whole crate: a variant for each way that an input can be wrong.
//!
//! Every message is one line that says what is wrong, where, and what to do.

use std::path::{Path, PathBuf};

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong. [`Error::is_usage`] tells wrong input from a failure of the machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read or written (absent, no permission, disk full).
    #[error("{action} {}: {source}{}", path.display(), advice_for(source))]
    Io {
        /// What was tried, as a verb: "cannot read", "cannot write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A weights file is not safetensors, or lies about itself.
    #[error("{file}: not a usable safetensors file: {why}")]
    Weights {
        /// File or description of the bytes.
        file: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// Tensors do not fit the model: missing, unexpected or wrongly shaped, each named.
    #[error("{file}: the weights do not fit the model: {why}")]
    Tensors {
        /// File or folder.
        file: String,
        /// All missing, unexpected and wrongly shaped tensors by name.
        why: String,
    },
    /// A `config.json`, tokenizer or preprocessor file is wrong.
    #[error("{file}: {why}")]
    Config {
        /// File or description of the bytes.
        file: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// An image cannot be decoded.
    #[error("{file}: {why}")]
    Image {
        /// File or description of the bytes.
        file: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// A data set, split or few-shot list is wrong.
    #[error("{place}: {why}")]
    Data {
        /// File or folder, with the entry where there is one.
        place: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// An adapter file is wrong, or belongs to another backbone.
    #[error("{file}: {why}")]
    Adapter {
        /// File or description of the bytes.
        file: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// A flag, a name or a combination of them makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The user or the system asked the program to stop, and it can go on from where it was.
    #[error("{0}")]
    Interrupted(String),
    /// Something that worked on its input failed on the way: a device, a number that is not finite.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// A file could not be read.
    pub fn read(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { action: "cannot read", path: path.as_ref().into(), source }
    }

    /// A file could not be written.
    pub fn write(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { action: "cannot write", path: path.as_ref().into(), source }
    }

    /// Whether the caller's input is at fault (exit code 2), not the machine or the run (exit code 1).
    pub fn is_usage(&self) -> bool {
        !matches!(self, Self::Failed(_) | Self::Interrupted(_))
    }
}

/// What to do about the commonest failures of the system, as the end of the line.
fn advice_for(source: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{NotFound, PermissionDenied, StorageFull};
    match source.kind() {
        NotFound => " (check the path)",
        PermissionDenied => " (check the permissions)",
        StorageFull => " (free some space and run the same command again)",
        _ => "",
    }
}
