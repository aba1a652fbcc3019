//! A data set on disk: which layout it has, where its images lie.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::augment::origin::Kind;
use crate::data::registry::{KNOWN, Known, SplitSource};
use crate::data::{Item, Split, aircraft, class_names, folder, quote, table, templates, wrong};
use crate::{Error, Result, platform::native};

/// A split together with the folder that its images lie in.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// How results call it: the known name, or that of the folder or file.
    pub name: String,
    /// The folder to which the items' paths are relative.
    pub root: PathBuf,
    /// Classes and images.
    pub split: Split,
    /// Its prompt templates.
    pub templates: Vec<String>,
    /// [`Split::sha256`]: runs with the same value used the same images in the same lists.
    pub split_sha256: String,
    /// What is questionable about the data set, one line each, to be shown.
    pub notes: Vec<String>,
}

impl Dataset {
    /// Opens a data set by a known name ([`Known::by_name`]) or by path: a split JSON, a CSV table, a known data set's
    /// folder, or a folder of class folders.
    ///
    /// `root` is where to look for a known name: the data set's own folder or the one that holds it; without it, the
    /// current folder, `data` in it, and where `lowshot fetch` puts data sets. For a split JSON or a table, `root` is what the image paths are relative to;
    /// without it, the file's own folder (for a known data set's split file, its image folder beside the file). Only
    /// the split is read here; whether the images are there shows when they are used ([`Dataset::check_files`]).
    ///
    /// # Errors
    /// [`Error::Usage`] where nothing of that name is found, with the places looked at; [`Error::Io`] where a file
    /// cannot be read; [`Error::Data`] for what is in it.
    pub fn open(name_or_path: &str, root: Option<&Path>) -> Result<Self> {
        if let Some(known) = Known::by_name(name_or_path) {
            return open_known(known, name_or_path, root);
        }
        let path = Path::new(name_or_path);
        let status = match fs::metadata(path) {
            Ok(status) => status,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let (name, known) = (quote(name_or_path), Known::names());
                return Err(Error::Usage(format!(
                    "no data set {name}: give one of {known}, or the path of a folder, a split .json or a .csv"
                )));
            }
            Err(error) => return Err(Error::read(path, error)),
        };
        if status.is_dir() { open_folder(path) } else { open_file(path, root) }
    }

    /// Where an image lies.
    pub fn path(&self, item: &Item) -> PathBuf {
        self.root.join(&item.path)
    }

    /// Checks that the images about to be used are there.
    ///
    /// # Errors
    /// [`Error::Data`] that names the first missing file and says how many are missing.
    pub fn check_files<'a>(&self, items: impl IntoIterator<Item = &'a Item>) -> Result<()> {
        let mut seen = HashSet::new();
        let different = items.into_iter().filter(|item| seen.insert(item.path.as_str()));
        let mut missing: Vec<PathBuf> = different.map(|item| self.path(item)).filter(|path| !path.is_file()).collect();
        missing.sort();
        let Some(first) = missing.first() else { return Ok(()) };
        let (count, all, name) = (missing.len(), seen.len(), &self.name);
        let why =
            format!("not found, as {count} of the {all} images needed: unpack all of {name}, or correct the root");
        Err(wrong(first.display().to_string(), why))
    }

    /// Reads an image's file.
    ///
    /// # Errors
    /// [`Error::Io`] that names the file.
    pub fn read(&self, item: &Item) -> Result<Vec<u8>> {
        read(&self.path(item))
    }

    fn new(name: impl Into<String>, root: &Path, templates: &[&str], (split, notes): (Split, Vec<String>)) -> Self {
        let templates = templates.iter().map(|&template| template.to_owned()).collect();
        let split_sha256 = split.sha256();
        Self { name: name.into(), root: root.to_owned(), split, templates, split_sha256, notes }
    }
}

/// Looks for a known data set in the folders where it may lie.
fn open_known(known: &'static Known, name: &str, root: Option<&Path>) -> Result<Dataset> {
    let mut folders = match root {
        Some(root) => vec![root.join(known.folder), root.to_owned()],
        // Without a root the name may itself be the path of a folder here.
        None => vec![PathBuf::from(name), PathBuf::from(known.folder), Path::new("data").join(known.folder)],
    };
    if root.is_none() {
        folders.extend(native::data_folder().map(|data| data.join(known.folder)));
    }
    folders.dedup();
    let file = known.split.file();
    let is_here = |folder: &PathBuf| split_folder(known, folder).join(file).is_file();
    if let Some(folder) = folders.iter().find(|folder| is_here(folder)) {
        return open_layout(known, folder);
    }
    // The images alone are enough where folders name the classes: dividing them is what the split file did.
    if !known.class_names.is_empty()
        && let Some(folder) = folders.iter().map(|folder| folder.join(known.images)).find(|folder| folder.is_dir())
    {
        return open_without_split(known, &folder);
    }
    let places = folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", nor in ");
    let (name, folder) = (known.name, known.folder);
    Err(Error::Usage(format!("{name}: no {file} in {places}: give the folder that holds {folder}/ as the root")))
}

/// Where the file that gives a layout away lies; FGVC-Aircraft may be kept in the folder `data` of its archive.
fn split_folder(known: &Known, folder: &Path) -> PathBuf {
    let archive = folder.join("data");
    if known.split == SplitSource::Aircraft && archive.join(known.split.file()).is_file() {
        archive
    } else {
        folder.to_owned()
    }
}

/// Opens the folder of a known data set, in which its split file is.
fn open_layout(known: &Known, folder: &Path) -> Result<Dataset> {
    let folder = &split_folder(known, folder);
    let place = |file: &str| folder.join(file).display().to_string();
    let bytes = |file: &str| read(&folder.join(file));
    let found = match known.split {
        SplitSource::Json(file) => Split::from_json(&bytes(file)?, &place(file))?,
        SplitSource::NumberedJson { split: file, label_map } => {
            let (split, notes) = Split::from_json(&bytes(file)?, &place(file))?;
            let words = class_names::from_label_map(&bytes(label_map)?, &place(label_map), &split.classes)?;
            (split.rename(&words), notes)
        }
        SplitSource::Aircraft => {
            let files = ["train", "val", "test"].map(|list| format!("images_variant_{list}.txt"));
            let [train, val, test] = &files;
            aircraft::from_lists(
                (&bytes("variants.txt")?, &place("variants.txt")),
                [(&bytes(train)?, &place(train)), (&bytes(val)?, &place(val)), (&bytes(test)?, &place(test))],
            )?
        }
    };
    let images = folder.join(known.images);
    if !images.is_dir() {
        let why = format!("no such folder, where {} keeps its images: unpack them there", known.name);
        return Err(wrong(images.display().to_string(), why));
    }
    Ok(Dataset::new(known.name, &images, known.templates, found))
}

/// Opens the image folder of a known data set whose split file is absent.
fn open_without_split(known: &Known, images: &Path) -> Result<Dataset> {
    let (split, mut notes) = folder::from_listing(&listing(images)?, &images.display().to_string())?;
    let name = |class: &String| {
        let found = known.class_names.iter().find(|(folder, _)| folder == class);
        found.map_or_else(|| class.clone(), |(_, name)| (*name).to_owned())
    };
    let names: Vec<String> = split.classes.iter().map(name).collect();
    let file = known.split.file();
    notes.push(format!("{}: {file} is absent, so figures do not compare with published ones", images.display()));
    Ok(Dataset::new(known.name, images, known.templates, (split.rename(&names), notes)))
}

/// Opens a folder given by path.
fn open_folder(path: &Path) -> Result<Dataset> {
    let name = name_of(path);
    let is_here = |known: &&Known| split_folder(known, path).join(known.split.file()).is_file();
    if let Some(known) = Known::by_name(&name).filter(is_here) {
        return open_layout(known, path);
    }
    if let Some(known) = KNOWN.iter().find(is_here) {
        let mut dataset = open_layout(known, path)?;
        // Several data sets share this layout, and the folder's name says that it is none of them.
        if Known::by_split_file(known.split.file()).is_none() {
            dataset.name = name;
            dataset.templates = vec![templates::DEFAULT.to_owned()];
        }
        return Ok(dataset);
    }
    let found = folder::from_listing(&listing(path)?, &path.display().to_string())?;
    Ok(Dataset::new(name, path, &[templates::DEFAULT], found))
}

/// Opens a split or a table given by path.
fn open_file(path: &Path, root: Option<&Path>) -> Result<Dataset> {
    let place = path.display().to_string();
    let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    let found = match extension.as_deref() {
        Some("json") => Split::from_json(&read(path)?, &place)?,
        Some("csv") => table::from_csv(&read(path)?, &place)?,
        _ => {
            return Err(wrong(
                place,
                "neither a folder nor a split .json nor a .csv: give one of them as the data set",
            ));
        }
    };
    let beside = path.parent().unwrap_or(Path::new(""));
    let known = path.file_name().and_then(|file| file.to_str()).and_then(Known::by_split_file);
    let root = match (root, known) {
        // A known split may come from elsewhere than its images: both forms of the root serve, as with the name.
        (Some(root), Some(known)) => [root.join(known.folder).join(known.images), root.join(known.images)]
            .into_iter()
            .find(|images| images.is_dir())
            .unwrap_or_else(|| root.to_owned()),
        (Some(root), None) => root.to_owned(),
        (None, Some(known)) => beside.join(known.images),
        (None, None) => beside.to_owned(),
    };
    match known {
        Some(known) => Ok(Dataset::new(known.name, &root, known.templates, found)),
        None => Ok(Dataset::new(name_of(path), &root, &[templates::DEFAULT], found)),
    }
}

/// The last part of a path without its extension, also for `.` and `..`.
fn name_of(path: &Path) -> String {
    let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let stem = if whole.is_dir() { whole.file_name() } else { whole.file_stem() };
    stem.map_or_else(|| "dataset".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::read(path, error))
}

/// Lists a folder as [`folder::from_listing`] wants it.
///
/// Links are followed, each folder once, so that a link to a folder above does not lead around for ever. Hidden
/// folders are not entered, nor those in `top` that generated images lie in.
fn listing(top: &Path) -> Result<Vec<String>> {
    /// More files than any data set that this program could train on; reached by giving a whole disk by mistake.
    const MOST_FILES: usize = 5_000_000;
    let place = top.display().to_string();
    let mut found = Vec::new();
    let mut visited = HashSet::new();
    let mut ahead = vec![(top.to_owned(), String::new())];
    while let Some((folder, prefix)) = ahead.pop() {
        let unreadable = |error| Error::read(&folder, error);
        if !visited.insert(fs::canonicalize(&folder).map_err(unreadable)?) {
            continue;
        }
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let file_name = entry.file_name();
            let Some(name) = file_name.to_str() else {
                let why = "this file's name is not UTF-8: rename it";
                return Err(wrong(entry.path().display().to_string(), why));
            };
            if name.starts_with('.') {
                continue;
            }
            // Only a link is looked at itself, which counts where there are a million files; one that leads nowhere is listed as
            // a file, and missed when it is used.
            let kind = entry.file_type().map_err(unreadable)?;
            let is_link_to_folder = || fs::metadata(entry.path()).is_ok_and(|status| status.is_dir());
            let is_folder = kind.is_dir() || kind.is_symlink() && is_link_to_folder();
            if is_folder && prefix.is_empty() && Kind::ALL.iter().any(|kind| kind.folder() == name) {
                continue;
            }
            let path = format!("{prefix}{name}{}", if is_folder { "/" } else { "" });
            if is_folder {
                ahead.push((entry.path(), path.clone()));
            }
            found.push(path);
            if found.len() > MOST_FILES {
                return Err(wrong(place, format!("more than {MOST_FILES} files: give the data set's own folder")));
            }
        }
    }
    Ok(found)
}
