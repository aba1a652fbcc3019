//! Where pictures are read from.

use std::{borrow::Cow, path::PathBuf};

use crate::{Result, platform::native};

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
