//! Where data sets come from, and their way into the layout that [`registry`](crate::data::registry) knows.
//!
//! Only those stand here whose address lasts and whose content has a published hash.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use zip::ZipArchive;

use super::{
    hub::{Choice, Hash, Hub, Kind, Plan, Remote, Tell, Wish, download},
    native::create_folder,
};
use crate::{Error, Result};

/// A data set that can be fetched.
#[derive(Debug, Clone, Copy)]
pub struct Home {
    /// Its name and its folder's.
    pub name: &'static str,
    /// Who publishes it.
    pub source: &'static str,
    /// The data set on the hub that holds its archive.
    pub repository: &'static str,
    /// The commit of it.
    pub commit: &'static str,
    /// The archive, a zip.
    pub archive: &'static str,
    /// Its MD5, as the authors' own copy had it.
    pub md5: &'static str,
    /// The folder in the archive that holds the images.
    pub images: &'static str,
    /// How many they are.
    pub count: usize,
    /// The split's file.
    pub split: &'static str,
    /// Where that is.
    pub split_url: &'static str,
    /// Its SHA-256.
    pub split_sha256: &'static str,
    /// Its length.
    pub split_bytes: u64,
}

/// All of them.
pub const HOMES: &[Home] = &[Home {
    name: "eurosat",
    source: "EuroSAT (Helber et al.), the authors' archive as torchvision takes it, with CoOp's split",
    // The authors' own server (madm.dfki.de) is gone. torchvision names this copy of their archive, and the MD5 that it had there.
    repository: "torchgeo/eurosat",
    commit: "c877bcd43f099cd0196738f714544e355477f3fd",
    archive: "EuroSAT.zip",
    md5: "c8fa014336c82ac7804f0398fcb19387",
    images: "2750",
    count: 27_000,
    split: "split_zhou_EuroSAT.json",
    // The link in CoOp's DATASETS.md, without the page around it.
    split_url: "https://drive.usercontent.google.com/download?id=1Ip7yaCWFi0eaOFUGga0lUdVi_DDQth1o&export=download",
    split_sha256: "541503a77d0b26b735d85ec7a3e672804fe0aa466c2e5f07da772cc6c0af8ad2",
    split_bytes: 3_006_492,
}];

/// Data sets that lowshot reads but does not fetch, and where a person gets them.
pub const ELSEWHERE: &[(&[&str], &str)] = &[
    (
        &["circuit-diagrams", "historic-maps", "mechanical-drawings"],
        "the LITE benchmark is on https://uvaauas.figshare.com/articles/dataset/Low-Resource_Image_Transfer_Evaluation_Benchmark/25577145",
    ),
    (
        &[
            "caltech101",
            "oxford_pets",
            "stanford_cars",
            "oxford_flowers",
            "food101",
            "fgvc_aircraft",
            "sun397",
            "dtd",
            "ucf101",
        ],
        "https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md says where its parts are and how to put them together",
    ),
];

/// What is left to do for a data set.
#[derive(Debug)]
pub struct Errand {
    home: &'static Home,
    folder: PathBuf,
    plan: Option<Plan>,
}

impl Home {
    /// Looks what is left to fetch into a folder of data sets.
    ///
    /// # Errors
    /// Those of [`Hub::plan`].
    pub fn plan(&'static self, hub: &Hub, data: &Path, tell: &mut Tell<'_>) -> Result<Errand> {
        let folder = data.join(self.name);
        let wish = Wish {
            kind: Kind::Dataset,
            repository: self.repository,
            revision: self.commit,
            choice: Choice { include: vec![self.archive.into()], variant: None },
        };
        // What is unpacked needs no archive any more.
        let plan = if folder.join(self.images).is_dir() { None } else { Some(hub.plan(&wish, tell)?) };
        Ok(Errand { home: self, folder, plan })
    }

    fn split_hash(&self) -> Hash {
        Hash::Sha256(self.split_sha256.into())
    }
}

impl Errand {
    /// Where the data set will be.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its files by name and length, and whether they are here.
    pub fn files(&self) -> Vec<(String, u64, bool)> {
        let archive = self
            .plan
            .iter()
            .flat_map(|plan| plan.files.iter().map(|file| (file.name.clone(), file.bytes, plan.is_here(file))));
        archive.chain([(self.home.split.to_owned(), self.home.split_bytes, self.split().is_file())]).collect()
    }

    fn split(&self) -> PathBuf {
        self.folder.join(self.home.split)
    }

    /// Fetches and unpacks what is not here.
    ///
    /// # Errors
    /// Those of [`Hub::fetch`] and [`download`]; the archive is not what it was, or the disk is full.
    pub fn fetch(&self, hub: &Hub, tell: &mut Tell<'_>) -> Result<()> {
        let home = self.home;
        create_folder(&self.folder)?;
        // One process at a time; the lock ends with it.
        let lock = File::create(self.folder.join(".fetching")).map_err(|source| Error::write(&self.folder, source))?;
        let _ = lock.lock();
        if !self.split().is_file() {
            if hub.is_offline() {
                let (name, folder) = (home.split, self.folder.display());
                return Err(Error::Usage(format!("{name} is not in {folder}, and HF_HUB_OFFLINE forbids fetching it")));
            }
            let hash = home.split_hash();
            let remote = Remote { name: home.split, url: home.split_url, hash: &hash, bytes: Some(home.split_bytes) };
            download(hub.client(), &remote, &self.split(), tell)?;
        }
        let Some(plan) = &self.plan else { return Ok(()) };
        if self.folder.join(home.images).is_dir() {
            return Ok(());
        }
        let archive = hub.fetch(plan, tell)?.join(home.archive);
        verify(&archive, &Hash::Md5(home.md5.into()))?;
        unpack(&archive, home.images, home.count, &self.folder)
    }
}

/// Checks a file on disk.
fn verify(path: &Path, hash: &Hash) -> Result<()> {
    let failed = |source| Error::read(path, source);
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = hash.begin(file.metadata().map_err(failed)?.len());
    let mut piece = vec![0; 1 << 18];
    loop {
        match io::Read::read(&mut file, &mut piece).map_err(failed)? {
            0 => break,
            read => hasher.update(&piece[..read]),
        }
    }
    if hasher.finish() == hash.digits() {
        return Ok(());
    }
    let why = format!("its {} is not {}: remove it and run the same command again", hash.name(), hash.digits());
    Err(Error::Data { place: path.display().to_string(), why })
}

/// Unpacks one folder of an archive, which must hold `count` files, into `target`: all of it or nothing.
fn unpack(archive: &Path, images: &str, count: usize, target: &Path) -> Result<()> {
    let wrong = |why: String| Error::Data { place: archive.display().to_string(), why };
    let damaged = |error: zip::result::ZipError| wrong(format!("not a usable archive ({error})"));
    let failed = |source| Error::write(target, source);
    let file = File::open(archive).map_err(|source| Error::read(archive, source))?;
    let mut zip = ZipArchive::new(io::BufReader::new(file)).map_err(damaged)?;
    // Beside its place, so that it can be put there at once; what a killed process has left there is worth nothing.
    let whole = target.join(".unpacking");
    if whole.exists() {
        fs::remove_dir_all(&whole).map_err(failed)?;
    }
    let mut unpacked = 0;
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(damaged)?;
        let Some(name) = entry.enclosed_name().filter(|_| entry.is_file()).map(Path::to_path_buf) else { continue };
        if !name.starts_with(images) {
            continue;
        }
        let place = whole.join(&name);
        create_folder(place.parent().unwrap_or(&whole))?;
        let written = File::create(&place).and_then(|mut file| io::copy(&mut entry, &mut file));
        written.map_err(|source| Error::write(&place, source))?;
        unpacked += 1;
    }
    if unpacked != count {
        return Err(wrong(format!("it holds {unpacked} files in {images}, not {count}")));
    }
    fs::rename(whole.join(images), target.join(images)).and_then(|()| fs::remove_dir_all(&whole)).map_err(failed)
}
