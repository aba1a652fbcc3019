//! One backbone on one data set: the features, the shots and the test that every method shares.

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use burn::tensor::Tensor;

use super::{
    Event, Observer,
    features::{FeatureCache, ImageSource},
    plan::LogitScale,
    result::Seconds,
};
use crate::{
    Result,
    adapter::{self, Adapter, FewShot, Labelled, Recipe},
    clip::ClipBackend,
    data::{Item, templates},
    session::Backbone,
    train::{
        Step,
        metrics::{Metrics, Prediction, Scores, Tally},
    },
};

/// Learning on features that takes longer is worth a word.
const PATIENCE: Duration = Duration::from_mins(1);

/// How an adapter classified some items.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The prediction for each item.
    pub predictions: Vec<Prediction>,
    /// What they come to.
    pub metrics: Metrics,
    /// What took how long.
    pub seconds: Seconds,
}

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
        let start = Instant::now();
        let mut observe = |step: Step| {
            observer.observe(&Event::Step(step));
            if step.step == 1
                && let Some(note) = long(recipe, few_shot.labels.len(), start.elapsed() * step.steps as u32)
            {
                observer.observe(&Event::note(note));
            }
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

    /// Classifies the items' pictures and compares with their labels. Features and logits are held for some of the items at a
    /// time.
    ///
    /// # Errors
    /// A picture that cannot be read or decoded; the device fails; there are no items.
    pub fn measure(
        &mut self,
        what: &'static str,
        adapter: &dyn Adapter<B>,
        items: &[Item],
        observer: &mut dyn Observer,
    ) -> Result<Measured> {
        let names: Vec<&str> = items.iter().map(|item| item.path.as_str()).collect();
        let (mut predictions, mut tally) = (Vec::with_capacity(items.len()), Tally::new(adapter.classes()));
        let (start, mut test) = (Instant::now(), Duration::ZERO);
        let mut rest = items;
        let mut classify = |features: Tensor<B, 2>| {
            let start = Instant::now();
            let (portion, others) = rest.split_at(features.dims()[0]);
            rest = others;
            let labels: Vec<usize> = portion.iter().map(|item| item.label).collect();
            let scores = pollster::block_on(adapter::scores(adapter, features))?;
            predictions.extend(scores.predictions());
            tally.add(&scores, &labels)?;
            test += start.elapsed();
            Ok(())
        };
        let source = self.cache.each(self.backbone, self.images, &names, observer, &mut classify)?;
        observer.observe(&Event::Features { what, source });
        let features = start.elapsed().saturating_sub(test).as_secs_f64();
        let seconds = Seconds { features, test: test.as_secs_f64(), ..Seconds::default() };
        Ok(Measured { predictions, metrics: tally.metrics()?, seconds })
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

/// What to say of learning from so many images that will take about so long. Only Tip-Adapter-F's time grows with the square of
/// their number, so that a whole data set may take hours.
fn long(recipe: &Recipe, images: usize, whole: Duration) -> Option<String> {
    let Recipe::TipF(_) = recipe else { return None };
    (whole > PATIENCE).then(|| {
        let minutes = whole.as_secs_f64() / 60.0;
        let why = format!("each of its steps compares all {images} images with one another");
        let advice = "the time goes with the square of their number, so learn from fewer (--shots) if that is too long";
        format!("tip-f will learn for about {minutes:.0} min, because {why}: {advice}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::Method;

    #[test]
    fn what_takes_long_is_said_in_a_line() {
        let said = |method: Method, seconds| long(&Recipe::from(method), 13_500, Duration::from_secs(seconds));
        assert_eq!((said(Method::TipF, 59), said(Method::Meta, 900)), (None, None));
        let note = said(Method::TipF, 900).unwrap();
        assert!(note.contains("about 15 min") && note.contains("13500 images") && note.contains("--shots"), "{note}");
        assert!(!note.contains('\n'), "{note}");
    }
}
