//! The image tower: a vision transformer, or OpenAI's ModifiedResNet.

use burn::tensor::{FloatDType, Tensor};

use super::{
    ClipBackend, Parameters,
    config::{VisionConfig, VitConfig},
    kernels::Activation,
    layers::{LayerNorm, Linear, Transformer},
    precision::Conversion,
    resnet::ModifiedResNet,
    walk::{Tower, Visitor},
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

    pub(super) fn convert<C: ClipBackend>(&self, to: &impl Conversion<B, C>) -> Vision<C> {
        match self {
            Self::Vit(vit) => Vision::Vit(vit.convert(to)),
            Self::ResNet(resnet) => Vision::ResNet(resnet.convert(to)),
        }
    }

    /// Shows a visitor what can be changed, from the pixels to the embedding.
    pub fn walk(&mut self, visitor: &mut impl Visitor<B>) {
        match self {
            Self::Vit(vit) => vit.walk(visitor),
            Self::ResNet(resnet) => resnet.walk(visitor),
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
        let projection = parameters.tensor("visual.proj", [width, embedding]).transpose();
        Self {
            patch,
            patch_embedding: Linear::new_in(parameters.storage(), convolution.flatten(1, 3), None),
            class_embedding: parameters.tensor("visual.class_embedding", [width]),
            positions: parameters.tensor("visual.positional_embedding", [config.tokens(), width]),
            ln_pre: LayerNorm::load(parameters, "visual.ln_pre", width, epsilon),
            transformer: Transformer::load(parameters, "visual.transformer", transformer),
            ln_post: LayerNorm::load(parameters, "visual.ln_post", width, epsilon),
            projection: Linear::new_in(parameters.storage(), projection, None),
        }
    }

    fn forward(&self, pixels: Tensor<B, 4>) -> Tensor<B, 2> {
        self.project((0..self.layers()).fold(self.embed(pixels), |x, block| self.block(block, x)))
    }

    /// How many blocks there are.
    pub fn layers(&self) -> usize {
        self.transformer.layers()
    }

    /// One block: `[batch, tokens, width]` → the same, the last one → the class token, `[batch, 1, width]`.
    pub fn block(&self, index: usize, x: Tensor<B, 3>) -> Tensor<B, 3> {
        if index + 1 == self.layers() {
            self.transformer.block_first(index, x)
        } else {
            self.transformer.block(index, x, false)
        }
    }

    /// The class token after the last block `[batch, 1, width]` → embeddings `[batch, embedding]`.
    pub fn project(&self, pooled: Tensor<B, 3>) -> Tensor<B, 2> {
        let embedding = self.projection.forward(self.ln_post.forward(pooled), Activation::Identity, None);
        embedding.squeeze_dim::<2>(1).cast(FloatDType::F32)
    }

    /// How much the class token attends to each patch in the last block, the mean of all heads: `[batch, patches]`.
    pub fn class_attention(&self, pixels: Tensor<B, 4>) -> Tensor<B, 2> {
        let last = self.layers() - 1;
        let x = (0..last).fold(self.embed(pixels), |x, block| self.block(block, x));
        let attention = self.transformer.first_attention(last, x).cast(FloatDType::F32);
        let [batch, _, _, tokens] = attention.dims();
        attention.mean_dim(1).reshape([batch, tokens]).narrow(1, 1, tokens - 1)
    }

    fn convert<C: ClipBackend>(&self, to: &impl Conversion<B, C>) -> Vit<C> {
        Vit {
            patch: self.patch,
            patch_embedding: self.patch_embedding.convert(to),
            class_embedding: to.tensor(&self.class_embedding),
            positions: to.tensor(&self.positions),
            ln_pre: self.ln_pre.convert(to),
            transformer: self.transformer.convert(to),
            ln_post: self.ln_post.convert(to),
            projection: self.projection.convert(to),
        }
    }

    fn walk(&mut self, visitor: &mut impl Visitor<B>) {
        self.ln_pre.walk("visual.ln_pre", visitor);
        self.transformer.walk("visual.transformer", Tower::Vision, visitor);
        self.ln_post.walk("visual.ln_post", visitor);
    }

    /// Pixels `[batch, 3, size, size]` → tokens before the first block `[batch, 1 + patches, width]`.
    pub fn embed(&self, pixels: Tensor<B, 4>) -> Tensor<B, 3> {
        let [batch, channels, height, width] = pixels.dims();
        let (rows, columns, side) = (height / self.patch, width / self.patch, self.patch);
        let pixels = pixels.cast(self.positions.dtype());
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
