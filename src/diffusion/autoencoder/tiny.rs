//! A small autoencoder that was trained to give the latents of a large one (TAESD, Bohan 2023; diffusers' `AutoencoderTiny`):
//! plain residual blocks, a hundredth of the work.

use burn::tensor::{DType, Tensor, activation::relu};

use super::{
    super::{
        kernels::{DiffusionBackend, Placement},
        layers::{Convolution, GroupNorm, Norm, Pointwise},
    },
    tiny_config::{TinyConfig, TinyNaming, TinyStage},
};
use crate::clip::Parameters;

/// Latents are kept softly within this.
const MAGNITUDE: f64 = 3.0;
/// The normalised branch has this many groups, and so many channels for each of the block's.
const GROUPS: usize = 4;
const EXPANSION: usize = 4;

/// The autoencoder.
#[derive(Clone, Debug)]
pub struct TinyAutoencoder<B: DiffusionBackend> {
    encoder: TinyHalf<B>,
    decoder: TinyHalf<B>,
    /// Its shape.
    pub config: TinyConfig,
    dtype: DType,
}

impl<B: DiffusionBackend> TinyAutoencoder<B> {
    /// From its halves, whose tensors are of `dtype`.
    pub fn new(encoder: TinyHalf<B>, decoder: TinyHalf<B>, config: TinyConfig, dtype: DType) -> Self {
        Self { encoder, decoder, config, dtype }
    }

    /// Pixels from −1 to 1, `[batch, height, width, 3]` with sides that are multiples of the reduction → latents, not yet scaled.
    pub fn encode(&self, pixels: Tensor<B, 4>) -> Tensor<B, 4> {
        let given = pixels.dtype();
        self.encoder.forward(pixels.add_scalar(1.0).div_scalar(2.0).cast(self.dtype)).cast(given)
    }

    /// Latents that are not scaled, `[batch, height, width, latent]` → pixels from −1 to 1 (and a little beyond).
    pub fn decode(&self, latent: Tensor<B, 4>) -> Tensor<B, 4> {
        let given = latent.dtype();
        let clamped = latent.div_scalar(MAGNITUDE).tanh().mul_scalar(MAGNITUDE);
        self.decoder.forward(clamped.cast(self.dtype)).cast(given).mul_scalar(2.0).sub_scalar(1.0)
    }
}

/// The layers of the encoder, or of the decoder behind its clamp.
#[derive(Clone, Debug)]
pub struct TinyHalf<B: DiffusionBackend>(Vec<Layer<B>>);

#[derive(Clone, Debug)]
enum Layer<B: DiffusionBackend> {
    Convolution(Convolution<B>, Placement),
    Relu,
    Block(Block<B>),
}

impl<B: DiffusionBackend> TinyHalf<B> {
    /// Reads the encoder.
    pub fn load_encoder(parameters: &mut impl Parameters<B>, config: &TinyConfig) -> Self {
        let mut names = Names::new(config.naming, "encoder", 0);
        let halving = Placement { stride: 2, ..Placement::padded(1) };
        let mut layers = Vec::new();
        for (index, stage) in config.encoder.iter().enumerate() {
            let (name, width) = (names.next(), stage.width);
            layers.push(match index {
                0 => Layer::Convolution(Convolution::load(parameters, &name, 3, width), Placement::padded(1)),
                _ => Layer::Convolution(Convolution::load_without_bias(parameters, &name, width, width, 2), halving),
            });
            layers.extend((0..stage.blocks).map(|_| Layer::Block(Block::load(parameters, &names.next(), *stage))));
        }
        let width = config.encoder[config.encoder.len() - 1].width;
        let last = Convolution::load(parameters, &names.next(), width, config.latent);
        layers.push(Layer::Convolution(last, Placement::padded(1)));
        Self(layers)
    }

    /// Reads the decoder.
    pub fn load_decoder(parameters: &mut impl Parameters<B>, config: &TinyConfig) -> Self {
        let mut names = Names::new(config.naming, "decoder", 1);
        let doubling = Placement { doubled: true, ..Placement::padded(1) };
        let first = Convolution::load(parameters, &names.next(), config.latent, config.decoder[0].width);
        let mut layers = vec![Layer::Convolution(first, Placement::padded(1)), Layer::Relu];
        names.skip();
        for (index, stage) in config.decoder.iter().enumerate() {
            let width = stage.width;
            layers.extend((0..stage.blocks).map(|_| Layer::Block(Block::load(parameters, &names.next(), *stage))));
            if index + 1 < config.decoder.len() {
                names.skip();
                let double = Convolution::load_without_bias(parameters, &names.next(), width, width, 1);
                layers.push(Layer::Convolution(double, doubling));
            } else {
                let last = Convolution::load(parameters, &names.next(), width, 3);
                layers.push(Layer::Convolution(last, Placement::padded(1)));
            }
        }
        Self(layers)
    }

    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        self.0.iter().fold(x, |x, layer| match layer {
            Layer::Convolution(convolution, at) => convolution.forward_at(x, *at, None),
            Layer::Relu => relu(x),
            Layer::Block(block) => block.forward(x),
        })
    }
}

/// What the layers are called, one after the other.
struct Names {
    prefix: String,
    next: usize,
}

impl Names {
    /// `clamp` is how many layers without tensors stand before the first, where they are counted.
    fn new(naming: TinyNaming, half: &str, clamp: usize) -> Self {
        match naming {
            TinyNaming::Diffusers => Self { prefix: format!("{half}.layers."), next: 0 },
            TinyNaming::Original => Self { prefix: String::new(), next: clamp },
        }
    }

    fn next(&mut self) -> String {
        self.next += 1;
        format!("{}{}", self.prefix, self.next - 1)
    }

    /// A layer without tensors.
    fn skip(&mut self) {
        self.next += 1;
    }
}

/// `relu(x + conv(relu(conv(relu(conv x)))))`, on the coarsest map of TAEF2 with `x += pool(x)` before.
#[derive(Clone, Debug)]
struct Block<B: DiffusionBackend> {
    pool: Option<(Pointwise<B>, GroupNorm<B>, Pointwise<B>)>,
    convolutions: [Convolution<B>; 3],
}

impl<B: DiffusionBackend> Block<B> {
    fn load(parameters: &mut impl Parameters<B>, name: &str, TinyStage { width, normalised, .. }: TinyStage) -> Self {
        let wide = EXPANSION * width;
        let norm = Norm { groups: GROUPS, epsilon: 1e-5 };
        let pool = normalised.then(|| {
            let up = Pointwise::load_without_bias(parameters, &format!("{name}.pool.0"), width, wide);
            let norm = GroupNorm::load(parameters, &format!("{name}.pool.1"), wide, norm);
            (up, norm, Pointwise::load_without_bias(parameters, &format!("{name}.pool.3"), wide, width))
        });
        let conv = |index| Convolution::load(parameters, &format!("{name}.conv.{index}"), width, width);
        Self { pool, convolutions: [0, 2, 4].map(conv) }
    }

    fn forward(&self, mut x: Tensor<B, 4>) -> Tensor<B, 4> {
        if let Some((up, norm, down)) = &self.pool {
            x = down.forward(relu(norm.forward(up.forward(x.clone(), None))), Some(x));
        }
        let [first, second, third] = &self.convolutions;
        let hidden = relu(second.forward(relu(first.forward(x.clone(), None)), None));
        relu(third.forward(hidden, Some(x)))
    }
}
