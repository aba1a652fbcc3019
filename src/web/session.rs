//! [`crate::session::Session`] on the device that was chosen.

use burn_flex::Flex;
use js_sys::{Array, Float32Array, Map, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, prelude::*};

use super::{
    error::{Result, from_js, to_js},
    gpu::{DEVICE, Gpu},
    rung::{AnyAnswering, AnyRung, Rung, Shelf},
    values::{Imported, Info, NamedClass, now, pictures, predictions},
};
use crate::{
    Error,
    adapter::Method,
    clip::Format,
    session::{Backbone, Calibration, Class, Kept, RungOptions, Session as Core},
    weights::{AdapterFile, files::MemoryFiles, training_file},
};

/// The same on either device.
pub(super) enum AnySession {
    Cpu(Core<Flex, Flex>),
    Gpu(Core<Gpu, Flex>),
}

/// Does the same with the session or rung of either device.
macro_rules! on_either {
    ($kind:ident, $any:expr, $it:ident => $body:expr) => {
        match $any {
            $kind::Cpu($it) => $body,
            $kind::Gpu($it) => $body,
        }
    };
}
pub(super) use on_either;

/// A model, a person's classes and photos, and what was learnt from them.
#[wasm_bindgen]
pub struct Session {
    inner: AnySession,
    shelf: Shelf,
}

#[wasm_bindgen]
impl Session {
    /// Loads a model from its files (a `Map` from name to `Uint8Array`) on "cpu" or "webgpu"; for the latter a device must have been
    /// started before. Its towers compute in `precision`, "f32" or, where the device was found to do that rightly, "f16", and on the CPU
    /// their matrices lie in memory as `weights` says: "auto", "f32", "f16" or "int8".
    ///
    /// # Errors
    /// Whatever is wrong with any of the files.
    #[allow(clippy::unused_async, reason = "what takes long is a promise, and some day it will wait")]
    pub async fn load(name: String, files: Map, device: String, precision: String, weights: String) -> Result<Session> {
        let format = Format { precision: precision.parse()?, storage: weights.parse()? };
        let mut memory = Some(MemoryFiles::new(name.clone()));
        files.for_each(&mut |value, key| {
            if let (Some(key), Ok(bytes)) = (key.as_string(), value.dyn_into::<Uint8Array>()) {
                memory = memory.take().map(|memory| memory.with(key, bytes.to_vec()));
            }
        });
        let files = memory.unwrap_or_default();
        let host = Default::default();
        let inner = match device.as_str() {
            "cpu" => AnySession::Cpu(Core::new(Backbone::load_in(format, &name, &files, &host)?, host)),
            "webgpu" => {
                let advice = "this module is for the CPU: load the one for GPUs";
                let device = DEVICE.ok_or_else(|| Error::Usage(advice.into()))?;
                AnySession::Gpu(Core::new(Backbone::load_in(format, &name, &files, &device)?, host))
            }
            other => return Err(Error::Usage(format!("device {other:?}: choose cpu or webgpu")).into()),
        };
        Ok(Self { inner, shelf: Shelf::default() })
    }

    /// What the model is: `{ name, sha256, parameters, imageSize, embedding, device, precision, weights, preprocess }`.
    ///
    /// # Errors
    /// None that is known.
    #[wasm_bindgen(getter)]
    pub fn info(&self) -> Result<JsValue> {
        let device = match &self.inner {
            AnySession::Cpu(_) => "cpu",
            AnySession::Gpu(_) => "webgpu",
        };
        on_either!(AnySession, &self.inner, session => {
            let backbone = &session.ground().backbone;
            let preprocess = serde_json::to_string(&backbone.preprocess);
            to_js(&Info {
                name: backbone.name.clone(),
                sha256: backbone.sha256.clone(),
                parameters: backbone.parameters,
                image_size: backbone.image_size(),
                embedding: backbone.config.embedding,
                device,
                precision: backbone.clip.precision(),
                weights: backbone.clip.storage(),
                preprocess: preprocess.map_err(|why| Error::Failed(why.to_string()))?,
            })
        })
    }

    /// Pictures per second through the image tower, measured on two grey ones after one to warm up.
    ///
    /// # Errors
    /// The device fails.
    pub async fn measure(&self) -> Result<f64> {
        on_either!(AnySession, &self.inner, session => {
            let side = session.ground().backbone.image_size();
            let grey = vec![vec![128; side * side * 3]; 2];
            session.image_features(&grey[..1]).await?;
            session.image_features(&grey).await?;
            let start = now();
            session.image_features(&grey).await?;
            Ok(2000.0 / (now() - start).max(0.01))
        })
    }

    /// Unit features, one row a picture, of preprocessed pictures laid end to end.
    ///
    /// # Errors
    /// Bytes that are no whole pictures; the device fails.
    #[wasm_bindgen(js_name = imageFeatures)]
    pub async fn image_features(&self, pixels: Vec<u8>) -> Result<Float32Array> {
        on_either!(AnySession, &self.inner, session => {
            let pictures = pictures(pixels, session.ground().backbone.image_size())?;
            Ok(Float32Array::from(session.image_features(&pictures).await?.as_slice()))
        })
    }

    /// Names the classes (`{ name, prompts }[]`). Photos and what was learnt are forgotten.
    ///
    /// # Errors
    /// No classes, or classes with no or different numbers of prompts.
    #[wasm_bindgen(js_name = setClasses)]
    pub async fn set_classes(&mut self, classes: JsValue) -> Result<()> {
        let classes: Vec<NamedClass> = from_js("classes", classes)?;
        let classes = classes.into_iter().map(|NamedClass { name, prompts }| Class { name, prompts }).collect();
        self.shelf = Shelf::default();
        on_either!(AnySession, &mut self.inner, session => Ok(session.set_classes(classes).await?))
    }

    /// Gives all photos at once: their features, row by row, and the index of each one's class.
    ///
    /// # Errors
    /// Features, labels and classes that do not fit.
    #[wasm_bindgen(js_name = setExamples)]
    pub async fn set_examples(&mut self, features: Vec<f32>, labels: Vec<u32>) -> Result<()> {
        let labels = labels.into_iter().map(|label| label as usize).collect();
        // What a rung of other photos learns from now on is nobody's.
        self.shelf = Shelf::default();
        on_either!(AnySession, &mut self.inner, session => Ok(session.set_examples(features, labels).await?))
    }

    /// Prepares judging and learning a method, from a checkpoint where there is one.
    ///
    /// # Errors
    /// Nothing to learn from; options that are not known; a checkpoint of something else.
    pub async fn begin(&self, options: JsValue, checkpoint: Option<Vec<u8>>) -> Result<Rung> {
        const LABEL: &str = "the stored training";
        let options: RungOptions = from_js("options", options)?;
        macro_rules! begun {
            ($session:expr, $kind:ident) => {{
                let mut rung = $session.begin(options)?;
                if let Some(bytes) = checkpoint {
                    let device = $session.ground().backbone.clip.device();
                    let state = training_file::read(LABEL, std::sync::Arc::new(bytes), &rung.identity(), device)?;
                    rung.restore(LABEL, state).await?;
                }
                AnyRung::$kind(rung)
            }};
        }
        let rung = match &self.inner {
            AnySession::Cpu(session) => begun!(session, Cpu),
            AnySession::Gpu(session) => begun!(session, Gpu),
        };
        Ok(Rung::new(rung, Shelf::clone(&self.shelf)))
    }

    /// Chooses which learnt method answers.
    ///
    /// # Errors
    /// It has not been learnt.
    pub fn choose(&mut self, method: &str) -> Result<()> {
        let method: Method = method.parse()?;
        self.take_from_shelf();
        on_either!(AnySession, &mut self.inner, session => Ok(session.choose(method)?))
    }

    /// A learnt method for `restore`: `{ adapter, calibration, examples }`, plain data that can be stored.
    ///
    /// # Errors
    /// It has not been learnt; the device fails.
    pub async fn kept(&mut self, method: String, templates: Vec<String>) -> Result<JsValue> {
        let method: Method = method.parse()?;
        self.take_from_shelf();
        let Kept { adapter, calibration, examples } =
            on_either!(AnySession, &self.inner, session => session.kept(method, templates).await?);
        let object = Object::new();
        let calibration = serde_json::to_string(&calibration).map_err(|why| Error::Failed(why.to_string()))?;
        let entries: [(&str, JsValue); 3] = [
            ("adapter", Uint8Array::from(adapter.as_slice()).into()),
            ("calibration", calibration.into()),
            ("examples", Float32Array::from(examples.as_slice()).into()),
        ];
        for (key, value) in entries {
            // A new object takes any property.
            let _ = Reflect::set(&object, &key.into(), &value);
        }
        Ok(object.into())
    }

    /// Takes back a method that was learnt with this model and these classes.
    ///
    /// # Errors
    /// It is damaged, or of another model or other classes.
    pub fn restore(&mut self, label: &str, adapter: Vec<u8>, calibration: &str, examples: Vec<f32>) -> Result<String> {
        let wrong = |why| Error::Adapter { file: label.into(), why: format!("its calibration: {why}; train again") };
        let calibration: Calibration = serde_json::from_str(calibration).map_err(wrong)?;
        let kept = Kept { adapter, calibration, examples };
        Ok(on_either!(AnySession, &mut self.inner, session => session.restore(label, kept)?).name())
    }

    fn take_from_shelf(&mut self) {
        for answering in self.shelf.take() {
            match (&mut self.inner, answering) {
                (AnySession::Cpu(session), AnyAnswering::Cpu(answering)) => session.keep(answering),
                (AnySession::Gpu(session), AnyAnswering::Gpu(answering)) => session.keep(answering),
                _ => unreachable!("a session's rungs are on its device"),
            }
        }
    }

    /// Answers (`{ probabilities, best, unsure? }[]`) for preprocessed pictures laid end to end, by the chosen method.
    ///
    /// # Errors
    /// No classes, bytes that are no whole pictures; the device fails.
    pub async fn classify(&self, pixels: Vec<u8>) -> Result<JsValue> {
        on_either!(AnySession, &self.inner, session => {
            let pictures = pictures(pixels, session.ground().backbone.image_size())?;
            predictions(session.classify(&pictures).await?)
        })
    }

    /// The same by text alone with other classes, each a list of prompts.
    ///
    /// # Errors
    /// As [`Session::classify`].
    #[wasm_bindgen(js_name = classifyByText)]
    pub async fn classify_by_text(&self, pixels: Vec<u8>, prompts: JsValue) -> Result<JsValue> {
        let prompts: Vec<Vec<String>> = from_js("prompts", prompts)?;
        on_either!(AnySession, &self.inner, session => {
            let pictures = pictures(pixels, session.ground().backbone.image_size())?;
            predictions(session.classify_by_text(&pictures, &prompts).await?)
        })
    }

    /// Where the model looks: `{ side, values }[]`, a square grid a picture.
    ///
    /// # Errors
    /// Bytes that are no whole pictures; the device fails.
    pub async fn attention(&self, pixels: Vec<u8>) -> Result<Array> {
        let grids = on_either!(AnySession, &self.inner, session => {
            let pictures = pictures(pixels, session.ground().backbone.image_size())?;
            session.attention(&pictures).await?
        });
        let object = |grid: Vec<f32>| {
            let object = Object::new();
            // A new object takes any property.
            let _ = Reflect::set(&object, &"side".into(), &(grid.len().isqrt() as u32).into());
            let _ = Reflect::set(&object, &"values".into(), &Float32Array::from(grid.as_slice()));
            object
        };
        Ok(grids.into_iter().map(object).collect())
    }

    /// The photos in the plane: x and y of each.
    pub fn map(&self) -> Vec<f32> {
        let points = on_either!(AnySession, &self.inner, session => session.map());
        points.into_iter().flatten().map(|value| value as f32).collect()
    }

    /// The chosen method as an adapter file, which opens natively too.
    ///
    /// # Errors
    /// No classes; the device fails.
    #[wasm_bindgen(js_name = exportAdapter)]
    pub async fn export_adapter(&self, templates: Vec<String>) -> Result<Vec<u8>> {
        on_either!(AnySession, &self.inner, session => Ok(session.export(templates).await?))
    }

    /// Opens an adapter file; its classes replace the session's, and its method answers.
    ///
    /// # Errors
    /// It is damaged, or of another model.
    #[wasm_bindgen(js_name = importAdapter)]
    pub async fn import_adapter(&mut self, label: String, bytes: Vec<u8>) -> Result<JsValue> {
        let file = AdapterFile::open(&label, std::sync::Arc::new(bytes))?;
        on_either!(AnySession, &mut self.inner, session => session.import(&label, &file).await?);
        let (method, info) = (file.method.name(), file.info);
        to_js(&Imported { method, classes: info.classes, templates: info.templates })
    }
}
