//! How well a picture still shows its class, by CLIP; and dropping label-preserving pictures that do not.

use std::io::ErrorKind;

use super::{
    origin::{Dropped, Entry, Kind},
    plan::Plan,
    survey::{Image, Shelf},
};
use crate::{
    Error, Result,
    clip::ClipBackend,
    data::templates,
    experiment::{
        Observer,
        features::{FeatureCache, ImageSource},
    },
    session::Backbone,
    train,
};

/// A CLIP that compares pictures with the names of their classes.
pub struct Judge<'a, B: ClipBackend> {
    backbone: &'a Backbone<B>,
    cache: FeatureCache,
    /// Zero-shot weights `[classes, embedding]`, row after row.
    classes: Vec<f32>,
}

impl<'a, B: ClipBackend> Judge<'a, B> {
    /// For classes by their names in `templates`. Features come from `cache` and are kept there.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(
        backbone: &'a Backbone<B>,
        mut cache: FeatureCache,
        templates: &[String],
        classes: &[String],
    ) -> Result<Self> {
        let weights = cache.class_weights(backbone, &templates::prompts(templates, classes))?;
        Ok(Self { backbone, cache, classes: pollster::block_on(train::read(weights))? })
    }

    /// Cosine of each picture's feature and its class's: pictures by their names in `images`, each with its label.
    ///
    /// # Errors
    /// A picture cannot be read or decoded.
    pub fn similarities(
        &mut self,
        images: &dyn ImageSource,
        pictures: &[(String, usize)],
        observer: &mut dyn Observer,
    ) -> Result<Vec<f64>> {
        let names: Vec<&str> = pictures.iter().map(|(name, _)| name.as_str()).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let (features, _) = self.cache.features(self.backbone, images, &names, observer)?;
        let features = pollster::block_on(train::read(features))?;
        let width = self.backbone.config.embedding;
        let cosine = |(feature, (_, label)): (&[f32], &(String, usize))| {
            let class = &self.classes[label * width..][..width];
            feature.iter().zip(class).map(|(&one, &other)| f64::from(one) * f64::from(other)).sum()
        };
        Ok(features.chunks_exact(width).zip(pictures).map(cosine).collect())
    }

    /// What an entry says of this CLIP when it drops a picture.
    fn dropped(&self, similarity: f64, threshold: f64) -> Dropped {
        let (clip, clip_sha256) = (self.backbone.name.clone(), self.backbone.sha256.clone());
        Dropped { similarity, threshold, clip, clip_sha256 }
    }
}

/// Drops the label-preserving pictures of `images` that are less similar to their class than `threshold`: first the manifest says
/// so, then the files go ([`remove_dropped`]). Returns the entries of those that were dropped now.
///
/// # Errors
/// As [`Judge::similarities`]; the manifest cannot be written.
pub fn drop_below<B: ClipBackend>(
    threshold: f64,
    judge: &mut Judge<'_, B>,
    shelf: &mut Shelf,
    (plan, images): (&Plan, &[Image]),
    pictures: &dyn ImageSource,
    observer: &mut dyn Observer,
) -> Result<Vec<Entry>> {
    let present: Vec<(String, usize)> = images
        .iter()
        .flat_map(|image| {
            let entries = shelf.as_wanted(plan, image, Kind::LabelPreserving).filter(|entry| entry.dropped.is_none());
            entries.map(|entry| (entry.record.picture.clone(), image.item.label))
        })
        .collect();
    let similarities = judge.similarities(pictures, &present, observer)?;
    let below = present.iter().zip(similarities).filter(|(_, similarity)| *similarity < threshold);
    let entry = |((name, _), similarity): (&(String, usize), f64)| {
        let dropped = Some(judge.dropped(similarity, threshold));
        shelf.entries.get(name).map(|entry| Entry { dropped, ..entry.clone() })
    };
    let dropped: Vec<Entry> = below.filter_map(entry).collect();
    shelf.add(dropped.clone())?;
    Ok(dropped)
}

/// Removes the files of pictures that the manifest calls dropped.
///
/// # Errors
/// A file cannot be removed.
pub fn remove_dropped(shelf: &Shelf, plan: &Plan, images: &[Image]) -> Result<()> {
    for image in images {
        let entries = shelf.as_wanted(plan, image, Kind::LabelPreserving);
        for entry in entries.filter(|entry| entry.dropped.is_some()) {
            let path = shelf.folder.join(&entry.record.picture);
            match std::fs::remove_file(&path) {
                Err(source) if source.kind() != ErrorKind::NotFound => {
                    return Err(Error::Io { action: "cannot remove", path, source });
                }
                _ => {}
            }
        }
    }
    Ok(())
}
