//! One backbone on one data set: the features, the shots and the test that every method shares.

use std::ops::ControlFlow;

use burn::tensor::Tensor;

use super::{
    Event, Observer,
    features::{FeatureCache, ImageSource},
    plan::LogitScale,
};
use crate::{
    Result,
    adapter::{self, Adapter, FewShot, Labelled, Recipe},
    clip::ClipBackend,
    data::{Item, templates},
    session::Backbone,
    train::metrics::{Metrics, Scores},
};

/// The bench on which methods are fitted and tested.
pub struct Workbench<'a, B: ClipBackend> {
    backbone: &'a Backbone<B>,
    images: &'a dyn ImageSource,
    cache: &'a mut FeatureCache,
    templates: Vec<String>,
    scale: f32,
}

impl<'a, B: ClipBackend> Workbench<'a, B> {
    /// Prepares a bench whose features come from `cache`, and are kept there.
    pub fn new(
        backbone: &'a Backbone<B>,
        images: &'a dyn ImageSource,
        templates: Vec<String>,
        scale: LogitScale,
        cache: &'a mut FeatureCache,
    ) -> Self {
        let scale = match scale {
            LogitScale::Model => backbone.clip.logit_scale,
            LogitScale::Fixed(scale) => scale,
        };
        Self { backbone, images, cache, templates, scale }
    }

    /// What a method learns from: the classes' texts, their shots, and the images for its settings.
    ///
    /// # Errors
    /// A picture that cannot be read or decoded.
    pub fn few_shot(
        &mut self,
        classes: &[String],
        shots: &[Item],
        val: &[Item],
        observer: &mut dyn Observer,
    ) -> Result<FewShot<B>> {
        let text = self.cache.class_weights(self.backbone, &templates::prompts(&self.templates, classes))?;
        let features = self.features("shots", shots, observer)?;
        let labels = |items: &[Item]| items.iter().map(|item| item.label).collect::<Vec<usize>>();
        let val = match val {
            [] => None,
            val => Some(Labelled { features: self.features("val", val, observer)?, labels: labels(val) }),
        };
        Ok(FewShot { text, features, labels: labels(shots), val, scale: self.scale })
    }

    /// Fits a method, reporting its steps.
    ///
    /// # Errors
    /// As [`adapter::fit`].
    pub fn fit(
        &self,
        recipe: &Recipe,
        few_shot: &FewShot<B>,
        seed: u64,
        observer: &mut dyn Observer,
    ) -> Result<Box<dyn Adapter<B>>> {
        let mut observe = |step| {
            observer.observe(&Event::Step(step));
            ControlFlow::Continue(())
        };
        pollster::block_on(adapter::fit(recipe.clone(), few_shot, seed, &mut observe))
    }

    /// The unit features `[items, embedding]` of the items' pictures.
    ///
    /// # Errors
    /// A picture that cannot be read or decoded.
    pub fn features(
        &mut self,
        what: &'static str,
        items: &[Item],
        observer: &mut dyn Observer,
    ) -> Result<Tensor<B, 2>> {
        let names: Vec<&str> = items.iter().map(|item| item.path.as_str()).collect();
        let (features, source) = self.cache.features(self.backbone, self.images, &names, observer)?;
        observer.observe(&Event::Features { what, source });
        Ok(features)
    }

    /// Classifies items by their features and compares with their labels.
    ///
    /// # Errors
    /// The device fails.
    pub fn test(&self, adapter: &dyn Adapter<B>, features: Tensor<B, 2>, items: &[Item]) -> Result<(Scores, Metrics)> {
        let scores = pollster::block_on(adapter::scores(adapter, features))?;
        let labels: Vec<usize> = items.iter().map(|item| item.label).collect();
        let metrics = Metrics::new(&scores, &labels)?;
        Ok((scores, metrics))
    }
}
