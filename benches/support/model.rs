//! A CLIP with the weights that the peers have, and its inputs.

#![allow(dead_code)]

use std::path::Path;

use burn::tensor::{Tensor, TensorData};
use burn_flex::{Flex, FlexDevice};
use lowshot::{
    clip::{Clip, ClipConfig},
    platform::native::FolderFiles,
    weights::{Checkpoint, config},
};
use safetensors::SafeTensors;

/// A folder that `write_model` of `benches/peers/features.py` has filled.
pub struct Model {
    pub clip: Clip<Flex>,
    pub config: ClipConfig,
    images: Tensor<Flex, 4>,
    texts: Vec<Vec<u32>>,
}

impl Model {
    pub fn open(folder: &str) -> Self {
        let files = FolderFiles::open(Path::new(folder)).expect("a model's folder");
        let checkpoint = Checkpoint::from_files(&files).expect("weights");
        let config = config::find(&files, &checkpoint).expect("a shape");
        let clip = checkpoint.load(&FlexDevice, |parameters| Clip::load(parameters, &config, &FlexDevice));
        let bytes = std::fs::read(Path::new(folder).join("inputs.safetensors")).expect("inputs");
        let inputs = SafeTensors::deserialize(&bytes).expect("safetensors");
        let words = |name: &str| {
            let view = inputs.tensor(name).expect("an input");
            let words = view.data().as_chunks::<4>().0.to_vec();
            (words, view.shape().to_vec())
        };
        let (images, shape) = words("images");
        let images = images.into_iter().map(f32::from_le_bytes).collect();
        let (texts, text_shape) = words("texts");
        let texts: Vec<u32> = texts.into_iter().map(u32::from_le_bytes).collect();
        Self {
            clip: clip.expect("weights that fit"),
            config,
            images: Tensor::from_data(TensorData::new::<f32, _>(images, shape), &FlexDevice),
            texts: texts.chunks(text_shape[1]).map(<[u32]>::to_vec).collect(),
        }
    }

    /// The first `batch` pictures' pixels.
    pub fn images(&self, batch: usize) -> Tensor<Flex, 4> {
        self.images.clone().narrow(0, 0, batch)
    }

    /// The first `batch` texts' ids.
    pub fn texts(&self, batch: usize) -> &[Vec<u32>] {
        &self.texts[..batch]
    }
}
