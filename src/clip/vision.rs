//! The image tower: a vision transformer, or OpenAI's ModifiedResNet.

use burn::tensor::Tensor;

use super::{
    ClipBackend, Parameters,
    config::{VisionConfig, VitConfig},
    kernels::Activation,
    layers::{LayerNorm, Linear, Transformer},
    resnet::ModifiedResNet,
};

/// Either kind of image tower.
#[derive(Clone, Debug)]
pub enum Vision<B: ClipBackend> {
    /// A vision transformer.
    Vit(Vit<B>),
    /// OpenAI's ResNet with a three-convolution stem and attention pooling.
    ResNet(ModifiedResNet<B>),
}

impl<B: ClipBackend> Vision<B> {
    /// Reads the tower's tensors, all under `visual.`.
    pub fn load(parameters: &mut impl Parameters<B>, config: &VisionConfig, embedding: usize) -> Self {
        match config {
            VisionConfig::Vit(vit) => Self::Vit(Vit::load(parameters, vit, embedding)),
            VisionConfig::ResNet(resnet) => Self::ResNet(ModifiedResNet::load(parameters, resnet, embedding)),
        }
    }

    /// Normalised pixels `[batch, 3, size, size]` → image embeddings `[batch, embedding]`, not yet of unit length.
    pub fn forward(&self, pixels: Tensor<B, 4>) -> Tensor<B, 2> {
        match self {
            Self::Vit(vit) => vit.forward(pixels),
            Self::ResNet(resnet) => resnet.forward(pixels),
        }
    }
}

/// A vision transformer (Dosovitskiy et al. 2021) as in CLIP: a norm before the blocks, the class token projected.
#[derive(Clone, Debug)]
pub struct Vit<B: ClipBackend> {
    patch: usize,
    patch_embedding: Linear<B>,
    class_embedding: Tensor<B, 1>,
    positions: Tensor<B, 2>,
    ln_pre: LayerNorm<B>,
    transformer: Transformer<B>,
    ln_post: LayerNorm<B>,
    projection: Linear<B>,
}

impl<B: ClipBackend> Vit<B> {
    fn load(parameters: &mut impl Parameters<B>, config: &VitConfig, embedding: usize) -> Self {
        let VitConfig { patch, transformer, .. } = config;
        let (patch, width, epsilon) = (*patch, transformer.width, transformer.epsilon);
        let convolution: Tensor<B, 4> = parameters.tensor("visual.conv1.weight", [width, 3, patch, patch]);
        Self {
            patch,
            patch_embedding: Linear::new(convolution.flatten(1, 3), None),
            class_embedding: parameters.tensor("visual.class_embedding", [width]),
            positions: parameters.tensor("visual.positional_embedding", [config.tokens(), width]),
            ln_pre: LayerNorm::load(parameters, "visual.ln_pre", width, epsilon),
            transformer: Transformer::load(parameters, "visual.transformer", transformer),
            ln_post: LayerNorm::load(parameters, "visual.ln_post", width, epsilon),
            projection: Linear::new(parameters.tensor("visual.proj", [width, embedding]).transpose(), None),
        }
    }

    fn forward(&self, pixels: Tensor<B, 4>) -> Tensor<B, 2> {
        let pooled = self.transformer.forward_first(self.embed(pixels));
        let features = self.projection.forward(self.ln_post.forward(pooled), Activation::Identity, None);
        features.squeeze_dim(1)
    }

    /// Pixels `[batch, 3, size, size]` → tokens before the first block `[batch, 1 + patches, width]`.
    fn embed(&self, pixels: Tensor<B, 4>) -> Tensor<B, 3> {
        let [batch, channels, height, width] = pixels.dims();
        let (rows, columns, side) = (height / self.patch, width / self.patch, self.patch);
        // A convolution whose stride is its kernel is a linear layer over each patch.
        let patches = pixels
            .reshape([batch, channels, rows, side, columns, side])
            .permute([0, 2, 4, 1, 3, 5])
            .reshape([batch, rows * columns, channels * side * side]);
        let positions = self.positions.clone().unsqueeze::<3>();
        let tokens = rows * columns;
        let class = self.class_embedding.clone().unsqueeze::<3>() + positions.clone().narrow(1, 0, 1);
        let positions = positions.narrow(1, 1, tokens).repeat_dim(0, batch);
        let patches = self.patch_embedding.forward(patches, Activation::Identity, Some(positions));
        self.ln_pre.forward(Tensor::cat(vec![class.repeat_dim(0, batch), patches], 1))
    }
}
