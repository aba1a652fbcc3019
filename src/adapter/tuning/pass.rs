//! One run of a tower that a gradient can be sent back through.
//!
//! Either the whole tower is recorded, or only each block's input is kept and the block is run again when its gradient is due
//! (Chen and others, "Training deep nets with sublinear memory cost", 2016): one block's memory instead of all blocks', for a
//! third more work.

use burn::{
    backend::{Autodiff, autodiff::grads::Gradients as Arrived},
    tensor::Tensor,
};

use super::Tuning;
use crate::clip::{
    Clip, ClipBackend,
    model::unit,
    text::Text,
    vision::{Vision, Vit},
    walk::Tower,
};

/// What goes into a tower.
#[derive(Clone)]
pub(super) enum Input<'a, B: ClipBackend> {
    /// Normalised pixels `[batch, 3, size, size]`.
    Pixels(Tensor<B, 4>),
    /// Token ids, one list a text.
    Texts(&'a [Vec<u32>]),
}

impl<B: ClipBackend> Input<'_, B> {
    fn tower(&self) -> Tower {
        match self {
            Self::Pixels(_) => Tower::Vision,
            Self::Texts(_) => Tower::Text,
        }
    }

    /// The same where gradients can be recorded.
    fn tracked(&self) -> Input<'_, Autodiff<B>> {
        match self {
            Self::Pixels(pixels) => Input::Pixels(Tensor::from_inner(pixels.clone())),
            Self::Texts(texts) => Input::Texts(texts),
        }
    }
}

/// Gradients by each value of a [`Tuning`], where there are any yet.
pub(super) type Gradients<B> = Vec<Option<Tensor<B, 2>>>;

/// A tower that has been run.
pub(super) struct Pass<'a, B: ClipBackend> {
    /// Features of unit length `[n, embedding]`.
    pub features: Tensor<B, 2>,
    record: Record<'a, B>,
}

enum Record<'a, B: ClipBackend> {
    /// Nothing in this tower is trained.
    Nothing,
    Whole {
        features: Tensor<Autodiff<B>, 2>,
        leaves: Vec<Tensor<Autodiff<B>, 2>>,
    },
    /// The inputs of the blocks from the first that trains, and of what follows the last.
    Blocks {
        inputs: Vec<Tensor<B, 3>>,
        input: Input<'a, B>,
        first: usize,
        key: u64,
    },
}

/// The towers that are run: frozen, and the same ones where gradients can be recorded.
pub(super) struct Towers<B: ClipBackend> {
    pub frozen: Clip<B>,
    pub tracked: Clip<Autodiff<B>>,
}

impl<B: ClipBackend> Towers<B> {
    /// Runs a tower with `tuning` in it; `key` decides the dropout. With `blocks`, only the blocks' inputs are kept.
    pub fn run<'a>(&self, tuning: &Tuning<B>, input: Input<'a, B>, key: u64, blocks: bool) -> Pass<'a, B> {
        let Some(first) = tuning.first_stage(input.tower()) else {
            return Pass { features: features(&self.frozen, &input), record: Record::Nothing };
        };
        if blocks && !matches!((&input, &self.frozen.vision), (Input::Pixels(_), Vision::ResNet(_))) {
            let (clip, _) = self.attached(tuning, key, false);
            let tracked = input.tracked();
            let stages = Stages::new(&clip, &tracked);
            let mut inputs = Vec::new();
            let mut x = stages.embed();
            for block in 0..stages.layers() {
                if first <= block + 1 {
                    inputs.push(x.clone().inner());
                }
                x = stages.block(block, x);
            }
            inputs.push(x.clone().inner());
            let features = stages.features(x).inner();
            return Pass { features, record: Record::Blocks { inputs, input, first, key } };
        }
        let (clip, leaves) = self.attached(tuning, key, true);
        let features = features(&clip, &input.tracked());
        Pass { features: features.clone().inner(), record: Record::Whole { features, leaves } }
    }

    /// Features of unit length without any record, of the towers with `tuning` in them.
    pub fn forward(&self, tuning: &Tuning<B>, input: &Input<'_, B>, key: u64) -> Tensor<B, 2> {
        if !tuning.trains(input.tower()) {
            return features(&self.frozen, input);
        }
        let (clip, _) = self.attached(tuning, key, false);
        features(&clip, &input.tracked()).inner()
    }

    /// Towers with the values in them, where they are `recorded` as leaves of a graph of their own. Unrecorded runs take these
    /// towers too, because a backend may round otherwise where nothing is kept for a gradient, and what is run twice must be
    /// the same both times.
    fn attached(
        &self,
        tuning: &Tuning<B>,
        key: u64,
        recorded: bool,
    ) -> (Clip<Autodiff<B>>, Vec<Tensor<Autodiff<B>, 2>>) {
        let value = |value: &Tensor<B, 2>| Tensor::from_inner(value.clone()).set_require_grad(recorded);
        let values: Vec<_> = tuning.values().iter().map(value).collect();
        let mut clip = self.tracked.clone();
        tuning.attach(&mut clip, &values, Some(key));
        (clip, values)
    }

    /// Sends `gradient` `[n, embedding]` by the features back through the tower and adds to `sums` what arrives at the
    /// values.
    pub fn backward(&self, tuning: &Tuning<B>, pass: Pass<'_, B>, gradient: Tensor<B, 2>, sums: &mut Gradients<B>) {
        match pass.record {
            Record::Nothing => {}
            Record::Whole { features, leaves } => {
                let _ = back(features, gradient, &leaves, sums);
            }
            Record::Blocks { mut inputs, input, first, key } => {
                let tracked = input.tracked();
                let (clip, leaves) = self.attached(tuning, key, true);
                let stages = Stages::new(&clip, &tracked);
                let last = stages.layers();
                // What follows the blocks, then the blocks from the last to the first that trains.
                let (x, leaf) = leaf(inputs.pop(), first <= last);
                let gradients = back(stages.features(x), gradient, &leaves, sums);
                let mut gradient = take(leaf, gradients);
                for block in (0..last).rev() {
                    let Some(by_output) = gradient else { return };
                    let (x, leaf) = self::leaf(inputs.pop(), first <= block);
                    let gradients = back(stages.block(block, x), by_output, &leaves, sums);
                    gradient = take(leaf, gradients);
                }
                if let Some(by_output) = gradient {
                    let _ = back(stages.embed(), by_output, &leaves, sums);
                }
            }
        }
    }
}

fn features<A: ClipBackend>(clip: &Clip<A>, input: &Input<'_, A>) -> Tensor<A, 2> {
    match input {
        Input::Pixels(pixels) => clip.image_features(pixels.clone()),
        Input::Texts(texts) => clip.text_features(texts),
    }
}

type Leaf<B> = Option<Tensor<Autodiff<B>, 3>>;

/// A kept input where gradients can be recorded; as a leaf where its own gradient is wanted.
fn leaf<B: ClipBackend>(input: Option<Tensor<B, 3>>, wanted: bool) -> (Tensor<Autodiff<B>, 3>, Leaf<B>) {
    let x = Tensor::from_inner(input.unwrap_or_else(|| unreachable!("a run keeps an input for every block")));
    if wanted {
        let x = x.require_grad();
        (x.clone(), Some(x))
    } else {
        (x, None)
    }
}

/// The gradient that has arrived at a leaf.
fn take<B: ClipBackend>(leaf: Leaf<B>, mut gradients: Arrived) -> Option<Tensor<B, 3>> {
    leaf.and_then(|leaf| leaf.grad_remove(&mut gradients))
}

/// Sends `gradient` back from `output`, which something tracked went into, and adds to `sums` what arrives at `leaves`.
fn back<B: ClipBackend, const D: usize>(
    output: Tensor<Autodiff<B>, D>,
    gradient: Tensor<B, D>,
    leaves: &[Tensor<Autodiff<B>, 2>],
    sums: &mut Gradients<B>,
) -> Arrived {
    // The gradient of this sum by `output` is `gradient`.
    let mut gradients = (output * Tensor::from_inner(gradient)).sum().backward();
    for (sum, leaf) in sums.iter_mut().zip(leaves) {
        if let Some(gradient) = leaf.grad_remove(&mut gradients) {
            *sum = Some(match sum.take() {
                Some(sum) => sum + gradient,
                None => gradient,
            });
        }
    }
    gradients
}

/// A tower block by block.
enum Stages<'a, B: ClipBackend> {
    Vision(&'a Vit<B>, Tensor<B, 4>),
    Text(&'a Text<B>, &'a [Vec<u32>]),
}

impl<'a, B: ClipBackend> Stages<'a, B> {
    fn new(clip: &'a Clip<B>, input: &'a Input<'_, B>) -> Self {
        match (input, &clip.vision) {
            (Input::Pixels(pixels), Vision::Vit(vit)) => Self::Vision(vit, pixels.clone()),
            (Input::Texts(texts), _) => Self::Text(&clip.text, texts),
            (Input::Pixels(_), Vision::ResNet(_)) => unreachable!("a ResNet is recorded whole"),
        }
    }

    fn layers(&self) -> usize {
        match self {
            Self::Vision(vit, _) => vit.layers(),
            Self::Text(text, _) => text.layers(),
        }
    }

    fn embed(&self) -> Tensor<B, 3> {
        match self {
            Self::Vision(vit, pixels) => vit.embed(pixels.clone()),
            Self::Text(text, texts) => text.embed(texts),
        }
    }

    fn block(&self, index: usize, x: Tensor<B, 3>) -> Tensor<B, 3> {
        match self {
            Self::Vision(vit, _) => vit.block(index, x),
            Self::Text(text, _) => text.block(index, x),
        }
    }

    fn features(&self, x: Tensor<B, 3>) -> Tensor<B, 2> {
        unit(match self {
            Self::Vision(vit, _) => vit.project(x),
            Self::Text(text, texts) => text.project(x, texts),
        })
    }
}
