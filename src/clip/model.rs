//! Both towers together.

use burn::{backend::Autodiff, tensor::Tensor};

use super::{
    ClipBackend, ClipConfig, Parameters, Precision, Storage,
    precision::{Conversion, Tracked},
    text::Text,
    vision::Vision,
    walk::Visitor,
};

/// A CLIP.
#[derive(Clone, Debug)]
pub struct Clip<B: ClipBackend> {
    /// The image tower.
    pub vision: Vision<B>,
    /// The text tower.
    pub text: Text<B>,
    /// The trained temperature, already exponentiated (100 for OpenAI's models).
    pub logit_scale: f32,
    precision: Precision,
    storage: Storage,
    device: B::Device,
}

impl<B: ClipBackend> Clip<B> {
    /// Reads every tensor that `config` describes, in f32.
    pub fn load(parameters: &mut impl Parameters<B>, config: &ClipConfig, device: &B::Device) -> Self {
        Self {
            vision: Vision::load(parameters, &config.vision, config.embedding),
            text: Text::load(parameters, &config.text, config.embedding),
            logit_scale: parameters.scalar("logit_scale").exp(),
            precision: Precision::F32,
            storage: parameters.storage(),
            device: device.clone(),
        }
    }

    /// The format that the towers compute in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The form that the matrices were asked to have in memory.
    pub fn storage(&self) -> Storage {
        self.storage
    }

    /// The same model computing in another format, which [`ClipBackend::computes_in`] must have confirmed.
    #[must_use]
    pub fn in_precision(&self, precision: Precision) -> Self {
        if precision == self.precision { self.clone() } else { Self { precision, ..self.convert(&precision) } }
    }

    fn convert<C: ClipBackend<Device = B::Device>>(&self, to: &impl Conversion<B, C>) -> Clip<C> {
        Clip {
            vision: self.vision.convert(to),
            text: self.text.convert(to),
            logit_scale: self.logit_scale,
            precision: self.precision,
            storage: self.storage,
            device: self.device.clone(),
        }
    }

    /// Normalised pixels `[batch, 3, size, size]` → image features `[batch, embedding]` of unit length.
    pub fn image_features(&self, pixels: Tensor<B, 4>) -> Tensor<B, 2> {
        unit(self.vision.forward(pixels))
    }

    /// Token ids, one list a text → text features `[texts, embedding]` of unit length.
    pub fn text_features(&self, texts: &[Vec<u32>]) -> Tensor<B, 2> {
        unit(self.text.forward(texts))
    }

    /// The same model where gradients can be recorded; its matrices are shared.
    pub fn tracked(&self) -> Clip<Autodiff<B>> {
        self.convert(&Tracked)
    }

    /// Shows a visitor what can be changed, first in the image tower, then in the text tower.
    pub fn walk(&mut self, visitor: &mut impl Visitor<B>) {
        self.vision.walk(visitor);
        self.text.walk(visitor);
    }

    /// The device that holds the weights.
    pub fn device(&self) -> &B::Device {
        &self.device
    }
}

/// Divides each row of `[rows, width]` by its Euclidean length.
pub fn unit<B: ClipBackend>(rows: Tensor<B, 2>) -> Tensor<B, 2> {
    let length = rows.clone().powi_scalar(2).sum_dim(1).sqrt();
    rows / length
}
