//! The files of a model, wherever they are: a folder, a browser's cache, the binary itself.

use std::{collections::HashMap, ops::Range, sync::Arc};

use crate::Result;

/// Bytes that may be larger than memory: mapped from a file, or held.
pub trait Blob: Send + Sync {
    /// All of them.
    fn bytes(&self) -> &[u8];

    /// A hint that this range will not be read again, so that a mapping can drop its pages.
    fn release(&self, _range: Range<usize>) {}
}

impl Blob for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

impl Blob for &'static [u8] {
    fn bytes(&self) -> &[u8] {
        self
    }
}

/// The files of one model by name (`config.json`, `model.safetensors`, …).
pub trait ModelFiles {
    /// What to call this place in messages.
    fn label(&self) -> String;

    /// What to call the file `name` in messages.
    fn place(&self, name: &str) -> String {
        format!("{}/{name}", self.label())
    }

    /// The file `name`, or `None` where there is none.
    ///
    /// # Errors
    /// It is there and cannot be read.
    fn open(&self, name: &str) -> Result<Option<Arc<dyn Blob>>>;

    /// The names of the files that are there, sorted.
    ///
    /// # Errors
    /// They cannot be listed.
    fn names(&self) -> Result<Vec<String>>;
}

/// Files held in memory: the model inside the package, files dropped on a page.
#[derive(Default)]
pub struct MemoryFiles {
    label: String,
    files: HashMap<String, Arc<dyn Blob>>,
}

impl MemoryFiles {
    /// No files yet, called `label` in messages.
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), files: HashMap::new() }
    }

    /// With one file more.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, blob: impl Blob + 'static) -> Self {
        self.files.insert(name.into(), Arc::new(blob));
        self
    }
}

impl ModelFiles for MemoryFiles {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn open(&self, name: &str) -> Result<Option<Arc<dyn Blob>>> {
        Ok(self.files.get(name).cloned())
    }

    fn names(&self) -> Result<Vec<String>> {
        let mut names: Vec<String> = self.files.keys().cloned().collect();
        names.sort();
        Ok(names)
    }
}
