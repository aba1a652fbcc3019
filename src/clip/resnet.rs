//! OpenAI's ModifiedResNet: a three-convolution stem, blur-free average pooling where others stride, attention pooling.

use burn::tensor::{
    FloatDType, Tensor,
    activation::relu,
    module::{avg_pool2d, conv2d},
    ops::ConvOptions,
};

use super::{
    ClipBackend, Parameters,
    config::ResNetConfig,
    kernels::{Activation, portable::softmax},
    layers::Linear,
    precision::Conversion,
    walk::Visitor,
};

/// A convolution with its batch norm folded in: `γ/√(σ² + ε)` scales the kernel, `β` and the rest are a bias.
#[derive(Clone, Debug)]
struct Convolution<B: ClipBackend> {
    weight: Tensor<B, 4>,
    /// `β`, by itself because BitFit trains it.
    beta: Tensor<B, 1>,
    /// `−μ γ/√(σ² + ε)`.
    offset: Tensor<B, 1>,
    stride: usize,
}

impl<B: ClipBackend> Convolution<B> {
    fn load(
        parameters: &mut impl Parameters<B>,
        names: (&str, &str),
        [output, input, kernel]: [usize; 3],
        stride: usize,
    ) -> Self {
        let (convolution, norm) = names;
        let weight = parameters.tensor(&format!("{convolution}.weight"), [output, input, kernel, kernel]);
        let mut vector = |part: &str| parameters.tensor::<1>(&format!("{norm}.{part}"), [output]);
        let (gamma, beta) = (vector("weight"), vector("bias"));
        let (mean, variance) = (vector("running_mean"), vector("running_var"));
        let scale = gamma / (variance + 1e-5).sqrt();
        let offset = mean.neg() * scale.clone();
        Self { weight: weight * scale.reshape([-1, 1, 1, 1]), beta, offset, stride }
    }

    /// `[batch, in, height, width]` → `[batch, out, height / stride, width / stride]`, "same" padding.
    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let padding = self.weight.dims()[2] / 2;
        let options = ConvOptions::new([self.stride; 2], [padding; 2], [1, 1], 1);
        conv2d(x, self.weight.clone(), Some(self.beta.clone() + self.offset.clone()), options)
    }

    fn convert<C: ClipBackend>(&self, to: &impl Conversion<B, C>) -> Convolution<C> {
        Convolution {
            weight: to.tensor(&self.weight),
            beta: to.tensor(&self.beta),
            offset: to.tensor(&self.offset),
            stride: self.stride,
        }
    }

    fn walk(&mut self, norm: &str, visitor: &mut impl Visitor<B>) {
        visitor.bias(&format!("{norm}.bias"), &mut self.beta);
    }
}

/// 1×1, 3×3, 1×1 with a shortcut; a stride is an average pooling after the 3×3.
#[derive(Clone, Debug)]
struct Bottleneck<B: ClipBackend> {
    convolutions: [Convolution<B>; 3],
    shortcut: Option<Convolution<B>>,
    stride: usize,
}

impl<B: ClipBackend> Bottleneck<B> {
    fn load(parameters: &mut impl Parameters<B>, name: &str, input: usize, planes: usize, stride: usize) -> Self {
        let output = planes * 4;
        let mut load = |convolution: &str, norm: &str, shape| {
            let (convolution, norm) = (format!("{name}.{convolution}"), format!("{name}.{norm}"));
            Convolution::load(parameters, (&convolution, &norm), shape, 1)
        };
        Self {
            convolutions: [
                load("conv1", "bn1", [planes, input, 1]),
                load("conv2", "bn2", [planes, planes, 3]),
                load("conv3", "bn3", [output, planes, 1]),
            ],
            shortcut: (stride > 1 || input != output).then(|| load("downsample.0", "downsample.1", [output, input, 1])),
            stride,
        }
    }

    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let [first, second, third] = &self.convolutions;
        let y = relu(second.forward(relu(first.forward(x.clone()))));
        let y = third.forward(pool(y, self.stride));
        let shortcut = match &self.shortcut {
            Some(convolution) => convolution.forward(pool(x, self.stride)),
            None => x,
        };
        relu(y + shortcut)
    }

    fn convert<C: ClipBackend>(&self, to: &impl Conversion<B, C>) -> Bottleneck<C> {
        Bottleneck {
            convolutions: self.convolutions.each_ref().map(|convolution| convolution.convert(to)),
            shortcut: self.shortcut.as_ref().map(|convolution| convolution.convert(to)),
            stride: self.stride,
        }
    }

    fn walk(&mut self, name: &str, visitor: &mut impl Visitor<B>) {
        for (index, convolution) in self.convolutions.iter_mut().enumerate() {
            convolution.walk(&format!("{name}.bn{}", index + 1), visitor);
        }
        if let Some(shortcut) = &mut self.shortcut {
            shortcut.walk(&format!("{name}.downsample.1"), visitor);
        }
    }
}

/// The tower.
#[derive(Clone, Debug)]
pub struct ModifiedResNet<B: ClipBackend> {
    stem: [Convolution<B>; 3],
    /// The bottlenecks under their names.
    blocks: Vec<(String, Bottleneck<B>)>,
    pool: AttentionPool<B>,
}

impl<B: ClipBackend> ModifiedResNet<B> {
    /// Reads the tower's tensors, all under `visual.`.
    pub fn load(parameters: &mut impl Parameters<B>, config: &ResNetConfig, embedding: usize) -> Self {
        let width = config.width;
        let mut stem = |index: usize, shape, stride| {
            let (convolution, norm) = (format!("visual.conv{index}"), format!("visual.bn{index}"));
            Convolution::load(parameters, (&convolution, &norm), shape, stride)
        };
        let stem =
            [stem(1, [width / 2, 3, 3], 2), stem(2, [width / 2, width / 2, 3], 1), stem(3, [width, width / 2, 3], 1)];
        let mut blocks = Vec::new();
        let mut input = width;
        for (stage, count) in config.stages.into_iter().enumerate() {
            let planes = width << stage;
            for block in 0..count {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let name = format!("visual.layer{}.{block}", stage + 1);
                let bottleneck = Bottleneck::load(parameters, &name, input, planes, stride);
                blocks.push((name, bottleneck));
                input = planes * 4;
            }
        }
        let tokens = (config.image / 32).pow(2) + 1;
        let pool = AttentionPool::load(parameters, tokens, input, embedding, config.heads);
        Self { stem, blocks, pool }
    }

    /// Pixels `[batch, 3, size, size]` → embeddings `[batch, embedding]`.
    pub fn forward(&self, pixels: Tensor<B, 4>) -> Tensor<B, 2> {
        self.pool.forward(self.features(pixels))
    }

    /// Pixels → the last stage's output `[batch, channels, size / 32, size / 32]`.
    fn features(&self, pixels: Tensor<B, 4>) -> Tensor<B, 4> {
        let pixels = pixels.cast(self.pool.positions.dtype());
        let x = self.stem.iter().fold(pixels, |x, convolution| relu(convolution.forward(x)));
        self.blocks.iter().fold(pool(x, 2), |x, (_, block)| block.forward(x))
    }

    /// How much the pooling attends to each position, the mean of all heads: `[batch, positions]`.
    pub fn pool_attention(&self, pixels: Tensor<B, 4>) -> Tensor<B, 2> {
        let x = self.pool.tokens(self.features(pixels));
        let probabilities = self.pool.probabilities(&x).cast(FloatDType::F32);
        let [batch, _, _, tokens] = probabilities.dims();
        probabilities.mean_dim(1).reshape([batch, tokens]).narrow(1, 1, tokens - 1)
    }

    pub(super) fn convert<C: ClipBackend>(&self, to: &impl Conversion<B, C>) -> ModifiedResNet<C> {
        ModifiedResNet {
            stem: self.stem.each_ref().map(|convolution| convolution.convert(to)),
            blocks: self.blocks.iter().map(|(name, block)| (name.clone(), block.convert(to))).collect(),
            pool: self.pool.convert(to),
        }
    }

    pub(super) fn walk(&mut self, visitor: &mut impl Visitor<B>) {
        for (index, convolution) in self.stem.iter_mut().enumerate() {
            convolution.walk(&format!("visual.bn{}", index + 1), visitor);
        }
        self.blocks.iter_mut().for_each(|(name, block)| block.walk(name, visitor));
        self.pool.walk(visitor);
    }
}

/// Average pooling of `size` × `size` with that stride; nothing where `size` is 1.
fn pool<B: ClipBackend>(x: Tensor<B, 4>, size: usize) -> Tensor<B, 4> {
    if size == 1 { x } else { avg_pool2d(x, [size; 2], [size; 2], [0; 2], true, false) }
}

/// One attention step in which the mean of all positions asks all positions.
#[derive(Clone, Debug)]
struct AttentionPool<B: ClipBackend> {
    positions: Tensor<B, 2>,
    query: Linear<B>,
    key: Linear<B>,
    value: Linear<B>,
    output: Linear<B>,
    heads: usize,
}

impl<B: ClipBackend> AttentionPool<B> {
    fn load(parameters: &mut impl Parameters<B>, tokens: usize, width: usize, embedding: usize, heads: usize) -> Self {
        let positions = parameters.tensor("visual.attnpool.positional_embedding", [tokens, width]);
        let mut linear =
            |name: &str, output| Linear::load(parameters, &format!("visual.attnpool.{name}_proj"), width, output);
        Self {
            positions,
            query: linear("q", width),
            key: linear("k", width),
            value: linear("v", width),
            output: linear("c", embedding),
            heads,
        }
    }

    /// `[batch, channels, height, width]` → `[batch, embedding]`.
    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 2> {
        let x = self.tokens(x);
        let [batch, _, channels] = x.dims();
        let value = self.split(self.value.forward(x.clone(), Activation::Identity, None));
        let attended = self.probabilities(&x).matmul(value).swap_dims(1, 2).reshape([batch, 1, channels]);
        self.output.forward(attended, Activation::Identity, None).squeeze_dim::<2>(1).cast(FloatDType::F32)
    }

    /// `[batch, channels, height, width]` → the mean of all positions, then the positions: `[batch, tokens, channels]`.
    fn tokens(&self, x: Tensor<B, 4>) -> Tensor<B, 3> {
        let [batch, channels, height, width] = x.dims();
        let x = x.reshape([batch, channels, height * width]).swap_dims(1, 2);
        let mean = x.clone().cast(FloatDType::F32).mean_dim(1).cast(x.dtype());
        Tensor::cat(vec![mean, x], 1) + self.positions.clone().unsqueeze::<3>()
    }

    /// How much the mean attends to each token, `[batch, heads, 1, tokens]`.
    fn probabilities(&self, x: &Tensor<B, 3>) -> Tensor<B, 4> {
        let head = x.dims()[2] / self.heads;
        let query = self.query.forward(x.clone().narrow(1, 0, 1), Activation::Identity, None);
        let key = self.key.forward(x.clone(), Activation::Identity, None);
        let scores = self.split(query).mul_scalar((head as f64).powf(-0.5)).matmul(self.split(key).transpose());
        softmax(scores)
    }

    /// `[batch, tokens, channels]` → `[batch, heads, tokens, head]`.
    fn split(&self, x: Tensor<B, 3>) -> Tensor<B, 4> {
        let [batch, tokens, channels] = x.dims();
        x.reshape([batch, tokens, self.heads, channels / self.heads]).swap_dims(1, 2)
    }

    fn convert<C: ClipBackend>(&self, to: &impl Conversion<B, C>) -> AttentionPool<C> {
        AttentionPool {
            positions: to.tensor(&self.positions),
            query: self.query.convert(to),
            key: self.key.convert(to),
            value: self.value.convert(to),
            output: self.output.convert(to),
            heads: self.heads,
        }
    }

    fn walk(&mut self, visitor: &mut impl Visitor<B>) {
        for (name, layer) in
            [("q", &mut self.query), ("k", &mut self.key), ("v", &mut self.value), ("c", &mut self.output)]
        {
            layer.walk(&format!("visual.attnpool.{name}_proj"), visitor);
        }
    }
}
