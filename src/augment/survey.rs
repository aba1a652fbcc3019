//! What of a plan is there already.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use serde::Serialize;

use super::{
    manifest::Manifest,
    origin::{Entry, Kind, Record},
    picture,
    plan::{self, Plan, Source},
};
use crate::{
    Error, Result,
    data::{Item, quote},
    hash,
    platform::native,
};

/// A training image.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its path and class.
    pub item: Item,
    /// SHA-256 of its file.
    pub sha256: String,
}

impl Image {
    /// Reads the images' files for their hashes.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn read(root: &Path, items: &[Item]) -> Result<Vec<Self>> {
        let image = |item: &Item| {
            let bytes = native::read(&root.join(&item.path))?;
            Ok(Self { item: item.clone(), sha256: hash::sha256(bytes) })
        };
        items.par_iter().map(image).collect()
    }
}

/// The generated pictures of a folder, with what is known of them.
#[derive(Debug)]
pub struct Shelf {
    /// The folder.
    pub folder: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// What the manifest said when it was read, and what was added since.
    pub entries: BTreeMap<String, Entry>,
    /// Whether nothing may be written.
    pub read_only: bool,
    /// A dropped picture that this threshold would have kept, by the CLIP of this hash, is wanted again.
    pub threshold: Option<(f64, String)>,
}

/// How a picture is found.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// As wanted and as the manifest says.
    Present,
    /// As wanted by what the file itself says; the manifest does not know it. This is its entry.
    Unlisted(Box<Entry>),
    /// It was made as wanted, and then dropped.
    Dropped,
    /// It is not there.
    Absent,
    /// Something else is in its place that was made here: by other settings, of another source, or by another model.
    Different,
    /// Its file is not what the manifest says.
    Damaged,
}

impl State {
    /// Whether the picture has to be made.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Absent | Self::Different | Self::Damaged)
    }
}

/// How many pictures of a kind are found in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// As wanted.
    pub present: usize,
    /// Dropped.
    pub dropped: usize,
    /// Not there.
    pub absent: usize,
    /// Of other settings.
    pub different: usize,
    /// Damaged.
    pub damaged: usize,
}

impl Counts {
    /// How many have to be made.
    pub fn open(&self) -> usize {
        self.absent + self.different + self.damaged
    }

    fn add(&mut self, state: &State) {
        *match state {
            State::Present | State::Unlisted(_) => &mut self.present,
            State::Dropped => &mut self.dropped,
            State::Absent => &mut self.absent,
            State::Different => &mut self.different,
            State::Damaged => &mut self.damaged,
        } += 1;
    }
}

/// What is there of some images' pictures.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// For each kind wanted, how many are found how.
    pub counts: Vec<(Kind, Counts)>,
    /// For each image, the denoising steps that its open pictures take.
    pub steps: Vec<usize>,
}

impl Survey {
    /// How many pictures have to be made.
    pub fn open(&self) -> usize {
        self.counts.iter().map(|(_, counts)| counts.open()).sum()
    }
}

impl Shelf {
    /// Reads the manifest of `folder`, which may not be there yet. Returns notes to show.
    ///
    /// # Errors
    /// The manifest cannot be read.
    pub fn open(folder: &Path) -> Result<(Self, Vec<String>)> {
        let manifest = Manifest::of(folder);
        let found = manifest.read()?;
        let place = manifest.path().display().to_string();
        let notes = match found.damaged.as_slice() {
            [] => Vec::new(),
            [(line, _)] => vec![format!("{place} line {line} is damaged: {}", advice(&manifest))],
            [(line, _), rest @ ..] => {
                vec![format!("{place} line {line} and {} more are damaged: {}", rest.len(), advice(&manifest))]
            }
        };
        let shelf =
            Self { folder: folder.to_owned(), manifest, entries: found.by_picture, read_only: false, threshold: None };
        Ok((shelf, notes))
    }

    /// The record of a picture as it is to be; nothing for a view whose picture is still to be made.
    pub fn wanted(&self, plan: &Plan, image: &Image, kind: (Kind, f64), index: usize) -> Option<Record> {
        let own = Source { path: &image.item.path, sha256: &image.sha256 };
        if kind.0 != Kind::LabelBreakingView {
            return Some(plan.record(kind, &image.item, index, own));
        }
        let strength = plan.strength(Kind::LabelBreaking)?;
        let first = plan.record((Kind::LabelBreaking, strength), &image.item, index, own);
        let entry = self.entries.get(&first.picture).filter(|entry| entry.record.origin == first.origin)?;
        let source = Source { path: &first.picture, sha256: &entry.sha256 };
        Some(plan.record(kind, &image.item, index, source))
    }

    /// How the picture `wanted` is found.
    ///
    /// # Errors
    /// The file cannot be read, or was not made here, so that it must not be replaced.
    pub fn look(&self, wanted: &Record) -> Result<State> {
        let entry = self.entries.get(&wanted.picture);
        let same = entry.filter(|entry| entry.record.origin == wanted.origin);
        if let Some(dropped) = same.and_then(|entry| entry.dropped.as_ref()) {
            let kept_now = self.threshold.as_ref().is_some_and(|(threshold, clip_sha256)| {
                *clip_sha256 == dropped.clip_sha256 && dropped.similarity >= *threshold
            });
            return Ok(if kept_now { State::Absent } else { State::Dropped });
        }
        let path = self.folder.join(&wanted.picture);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(State::Absent),
            Err(error) => return Err(Error::read(&path, error)),
        };
        if let Some(entry) = same {
            let is_whole = hash::sha256(&bytes) == entry.sha256;
            return Ok(if is_whole { State::Present } else { State::Damaged });
        }
        match picture::record(&bytes) {
            Some(record) if record.picture == wanted.picture && record.origin == wanted.origin => {
                Ok(State::Unlisted(Box::new(Entry { record, sha256: hash::sha256(&bytes), dropped: None })))
            }
            None if entry.is_none() => {
                let why = "is not from 'lowshot augment' and would be replaced: move such pictures away, or give another --out";
                Err(Error::Data { place: path.display().to_string(), why: why.into() })
            }
            _ => Ok(State::Different),
        }
    }

    /// Looks at all pictures of `images`; what is unlisted is put into the manifest.
    ///
    /// # Errors
    /// As [`Self::look`]; the manifest cannot be written.
    pub fn survey(&mut self, plan: &Plan, images: &[Image]) -> Result<Survey> {
        let mut survey = Survey { counts: Vec::new(), steps: vec![0; images.len()] };
        for &kind in &plan.kinds {
            let of_image = |image: &Image| {
                let state = |index| match self.wanted(plan, image, kind, index) {
                    Some(record) => self.look(&record),
                    // One that was made of another picture than is wanted now.
                    None if self.entries.contains_key(&plan::path(kind.0, &image.item, index)) => Ok(State::Different),
                    None => Ok(State::Absent),
                };
                (0..plan.per_image).map(state).collect::<Result<Vec<State>>>()
            };
            let states = images.par_iter().map(of_image).collect::<Result<Vec<_>>>()?;
            let mut counts = Counts::default();
            let mut unlisted = Vec::new();
            for (states, steps) in states.into_iter().zip(&mut survey.steps) {
                for state in states {
                    counts.add(&state);
                    *steps += if state.is_open() { plan.taken(kind.1) } else { 0 };
                    if let State::Unlisted(entry) = state {
                        unlisted.push(*entry);
                    }
                }
            }
            // Before the next kind, whose pictures may be made from these.
            self.add(unlisted)?;
            survey.counts.push((kind.0, counts));
        }
        Ok(survey)
    }

    /// Puts entries into the manifest.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, entries: Vec<Entry>) -> Result<()> {
        if !self.read_only {
            self.manifest.append(&entries)?;
        }
        self.entries.extend(entries.into_iter().map(|entry| (entry.record.picture.clone(), entry)));
        Ok(())
    }

    /// The entries of the pictures of an image that are, or were until they were dropped, as the plan wants them.
    pub fn as_wanted<'a>(&'a self, plan: &'a Plan, image: &'a Image, kind: Kind) -> impl Iterator<Item = &'a Entry> {
        let wanted = plan.strength(kind).into_iter().flat_map(move |strength| {
            (0..plan.per_image).filter_map(move |index| self.wanted(plan, image, (kind, strength), index))
        });
        wanted
            .filter_map(|wanted| self.entries.get(&wanted.picture).filter(|entry| entry.record.origin == wanted.origin))
    }
}

fn advice(manifest: &Manifest) -> String {
    let kept = quote(&manifest.damaged_path().display().to_string());
    format!("its picture is looked at instead, and made again if need be; what was there is kept in {kept}")
}
