//! A session: a model, a person's classes and photos, and what was learnt from them.

use std::sync::Arc;

use super::{
    Answer, Answering, Backbone, Calibration, Class, Ground, Rung, RungOptions,
    answering::{Changed, How, Kept},
    attention::{self, Grid},
    ground::features,
};
use crate::{
    Error, Result,
    adapter::{self, Learnt, Method},
    clip::ClipBackend,
    data::templates,
    train::{
        self,
        metrics::{Scores, check_labels},
        tsne,
    },
    weights::{AdapterFile, AdapterInfo, adapter_file},
};

/// t-SNE compares all photos with all; beyond this number of them, two principal components are shown.
const MOST_NEIGHBOURS: usize = 400;

/// A model, classes, photos' features, and what was learnt. `B` runs the towers, `H` (the CPU) what is learnt on features.
pub struct Session<B: ClipBackend, H: ClipBackend> {
    ground: Arc<Ground<B, H>>,
    answering: Vec<Answering<B, H>>,
    chosen: Method,
}

impl<B: ClipBackend, H: ClipBackend> Session<B, H> {
    /// Without any classes yet; `host` is where methods on features run.
    pub fn new(backbone: Backbone<B>, host: H::Device) -> Self {
        let ground =
            Ground { backbone, host, classes: Vec::new(), text: Vec::new(), features: Vec::new(), labels: Vec::new() };
        Self { ground: Arc::new(ground), answering: Vec::new(), chosen: Method::ZeroShot }
    }

    /// What everything stands on.
    pub fn ground(&self) -> &Ground<B, H> {
        &self.ground
    }

    /// Unit features `[pictures, D]`, row by row, of preprocessed pictures.
    ///
    /// # Errors
    /// The device fails.
    pub async fn image_features(&self, pictures: &[Vec<u8>]) -> Result<Vec<f32>> {
        features(&self.ground.backbone, pictures).await
    }

    /// Names the classes. Photos and what was learnt are forgotten; zero-shot is known at once.
    ///
    /// # Errors
    /// [`Error::Usage`] for no classes, or classes with no prompts or different numbers of them.
    pub async fn set_classes(&mut self, classes: Vec<Class>) -> Result<()> {
        let prompts = classes.first().map_or(0, |class| class.prompts.len());
        if prompts == 0 || classes.iter().any(|class| class.prompts.len() != prompts) {
            return Err(Error::Usage(
                "give one class or more, each with the same number of prompts, at least one".into(),
            ));
        }
        let sentences: Vec<Vec<String>> = classes.iter().map(|class| class.prompts.clone()).collect();
        let text = train::read(self.ground.backbone.class_weights(&sentences)).await?;
        let (backbone, host) = (self.ground.backbone.clone(), self.ground.host.clone());
        self.stand_on(Ground { backbone, host, classes, text, features: Vec::new(), labels: Vec::new() }).await
    }

    /// Gives all photos at once: unit features `[n, D]`, row by row, and their classes. What was learnt is forgotten.
    ///
    /// # Errors
    /// [`Error::Data`] where features, labels and classes do not fit.
    pub async fn set_examples(&mut self, features: Vec<f32>, labels: Vec<usize>) -> Result<()> {
        let (width, classes) = (self.ground.width(), self.ground.classes.len());
        if !features.len().is_multiple_of(width) {
            let why = format!("{} numbers are no rows of {width}: give the features of this model", features.len());
            return Err(Error::Data { place: "photos".into(), why });
        }
        check_labels("photos", &labels, features.len() / width, classes)?;
        let Ground { backbone, host, classes, text, .. } = &*self.ground;
        let (backbone, host, classes, text) = (backbone.clone(), host.clone(), classes.clone(), text.clone());
        self.stand_on(Ground { backbone, host, classes, text, features, labels }).await
    }

    async fn stand_on(&mut self, ground: Ground<B, H>) -> Result<()> {
        let zero_shot = zero_shot(&ground).await?;
        self.ground = Arc::new(ground);
        self.answering = vec![zero_shot];
        self.chosen = Method::ZeroShot;
        Ok(())
    }

    /// Prepares judging and learning a method.
    ///
    /// # Errors
    /// [`Error::Usage`] where there are no classes or no photos.
    pub fn begin(&self, options: RungOptions) -> Result<Rung<B, H>> {
        if self.ground.classes.is_empty() || self.ground.labels.is_empty() {
            return Err(Error::Usage("there is nothing to learn from: add classes and photos first".into()));
        }
        Ok(Rung::new(Arc::clone(&self.ground), options))
    }

    /// Keeps a learnt method, in the place of an earlier one of the same name.
    pub fn keep(&mut self, answering: Answering<B, H>) {
        self.answering.retain(|other| other.method != answering.method);
        self.answering.push(answering);
    }

    /// Chooses which learnt method answers.
    ///
    /// # Errors
    /// [`Error::Usage`] for one that has not been learnt.
    pub fn choose(&mut self, method: Method) -> Result<()> {
        self.learnt(method)?;
        self.chosen = method;
        Ok(())
    }

    fn learnt(&self, method: Method) -> Result<&Answering<B, H>> {
        let found = self.answering.iter().find(|answering| answering.method == method);
        found.ok_or_else(|| Error::Usage(format!("{method} has not been learnt: train it first")))
    }

    fn chosen(&self) -> Result<&Answering<B, H>> {
        let found = self.answering.iter().find(|answering| answering.method == self.chosen);
        found.ok_or_else(|| Error::Usage("there are no classes yet: name some first".into()))
    }

    /// Answers for preprocessed pictures by the chosen method.
    ///
    /// # Errors
    /// There are no classes; the device fails.
    pub async fn classify(&self, pictures: &[Vec<u8>]) -> Result<Vec<Answer>> {
        self.chosen()?.answers(&self.ground, pictures).await
    }

    /// Answers by text alone, with other classes; each has a list of prompts.
    ///
    /// # Errors
    /// [`Error::Usage`] without prompts; the device fails.
    pub async fn classify_by_text(&self, pictures: &[Vec<u8>], prompts: &[Vec<String>]) -> Result<Vec<Answer>> {
        if prompts.is_empty() || prompts.iter().any(Vec::is_empty) {
            return Err(Error::Usage("give one word or more to choose from".into()));
        }
        if pictures.is_empty() {
            return Ok(Vec::new());
        }
        let backbone = &self.ground.backbone;
        let text = backbone.class_weights(prompts);
        // Other words than those that anything was learnt about, so the model's own scale is the best guess.
        let logits = backbone.image_features(pictures).matmul(text.transpose()).mul_scalar(backbone.clip.logit_scale);
        let found = Scores::read(logits).await?;
        Ok(found.rows().map(|logits| Calibration::default().answer(logits, None)).collect())
    }

    /// Where the model looks in preprocessed pictures, by the towers of the chosen method.
    ///
    /// # Errors
    /// The device fails.
    pub async fn attention(&self, pictures: &[Vec<u8>]) -> Result<Vec<Grid>> {
        let towers = match self.chosen().map(|answering| &answering.how) {
            Ok(How::Towers(changed)) => &changed.towers,
            _ => &self.ground.backbone,
        };
        attention::grids(towers, pictures).await
    }

    /// The photos in the plane, neighbours having similar features.
    pub fn map(&self) -> Vec<tsne::Point> {
        let rows = self.ground.features.chunks_exact(self.ground.width());
        let rows: Vec<Vec<f64>> = rows.map(|row| row.iter().copied().map(f64::from).collect()).collect();
        if rows.len() > MOST_NEIGHBOURS { tsne::principal_components(&rows) } else { tsne::embed(&rows) }
    }

    /// The chosen method as an adapter file; `templates` are what the prompts were made by.
    ///
    /// # Errors
    /// There are no classes; the device fails.
    pub async fn export(&self, templates: Vec<String>) -> Result<Vec<u8>> {
        self.write(self.chosen()?, templates).await
    }

    async fn write(&self, answering: &Answering<B, H>, templates: Vec<String>) -> Result<Vec<u8>> {
        let info = AdapterInfo {
            backbone: self.ground.backbone.name.clone(),
            backbone_sha256: self.ground.backbone.sha256.clone(),
            weights: self.ground.backbone.clip.storage(),
            classes: self.ground.classes.iter().map(|class| class.name.clone()).collect(),
            templates,
        };
        match &answering.how {
            How::Features(learnt) => adapter_file::write(learnt, &info).await,
            How::Towers(changed) => adapter_file::write(&changed.learnt, &info).await,
        }
    }

    /// Opens an adapter file of this model: its classes replace the session's, and its method answers. `label` names it in messages.
    ///
    /// # Errors
    /// It is damaged, or of another model.
    pub async fn import(&mut self, label: &str, file: &AdapterFile) -> Result<()> {
        let how = self.opened(label, file)?;
        let prompts = templates::prompts(&file.info.templates, &file.info.classes);
        let classes = file.info.classes.iter().cloned().zip(prompts).map(|(name, prompts)| Class { name, prompts });
        self.set_classes(classes.collect()).await?;
        let answering =
            Answering { method: file.method, calibration: Calibration::default(), examples: Vec::new(), how };
        self.keep(answering);
        self.chosen = file.method;
        Ok(())
    }

    fn opened(&self, label: &str, file: &AdapterFile) -> Result<How<B, H>> {
        let backbone = &self.ground.backbone;
        if let Method::Tuning(_) = file.method {
            let mut towers = backbone.clone();
            let learnt = towers.adapt(label, file)?;
            return Ok(How::Towers(Box::new(Changed { learnt, towers })));
        }
        file.info.check_backbone(label, &backbone.name, &backbone.sha256)?;
        Ok(How::Features(Box::new(Learnt::on_features(file.head::<H>(&self.ground.host)?))))
    }

    /// A learnt method for [`Session::restore`], `templates` as above.
    ///
    /// # Errors
    /// It has not been learnt; the device fails.
    pub async fn kept(&self, method: Method, templates: Vec<String>) -> Result<Kept> {
        let answering = self.learnt(method)?;
        let adapter = self.write(answering, templates).await?;
        Ok(Kept { adapter, calibration: answering.calibration, examples: answering.examples.clone() })
    }

    /// Takes back a learnt method of the same model and classes as if it had just been learnt; `label` names it in messages.
    ///
    /// # Errors
    /// It is damaged, or of another model or other classes.
    pub fn restore(&mut self, label: &str, kept: Kept) -> Result<Method> {
        let Kept { adapter, calibration, examples } = kept;
        let file = AdapterFile::open(label, Arc::new(adapter))?;
        let refuse = |why: String| Error::Adapter { file: label.into(), why };
        if !file.info.classes.iter().eq(self.ground.classes.iter().map(|class| &class.name)) {
            return Err(refuse(format!(
                "it tells {} apart, not these classes; train again",
                file.info.classes.join(", ")
            )));
        }
        if !examples.len().is_multiple_of(self.ground.width()) {
            return Err(refuse(format!(
                "{} numbers are no rows of {}; train again",
                examples.len(),
                self.ground.width()
            )));
        }
        let how = self.opened(label, &file)?;
        self.keep(Answering { method: file.method, calibration, examples, how });
        Ok(file.method)
    }
}

/// The texts alone, which need no learning.
async fn zero_shot<B: ClipBackend, H: ClipBackend>(ground: &Ground<B, H>) -> Result<Answering<B, H>> {
    let few_shot = ground.few_shot(&[]);
    let adapter =
        adapter::fit(Method::ZeroShot.into(), &few_shot, 0, &mut |_| std::ops::ControlFlow::Continue(())).await?;
    let how = How::Features(Box::new(Learnt::on_features(adapter)));
    let temperature = ground.scale() / ground.backbone.clip.logit_scale;
    let calibration = Calibration { temperature, likeness: None };
    Ok(Answering { method: Method::ZeroShot, calibration, examples: Vec::new(), how })
}
