//! The flags of training through the towers, in this program's spelling and in the student project's.

use clap::{Args, ValueEnum};

use crate::{
    Error, Result,
    adapter::{
        Method, Parts,
        lora::{Encoder, LoraConfig, Position, Projection, Scaling},
        tuning::{Augment, BreakingPair, Preset, TuningConfig},
    },
    data::{Draw, Shots},
    train::schedule::Schedule,
};

/// Training through the towers (LoRA, BitFit, with Meta-Adapter and the breaking loss).
#[derive(Args)]
#[command(next_help_heading = "Training through the towers")]
pub struct Tuning {
    /// Train low-rank branches of the attention's projections.
    #[arg(long = "enable-lora", visible_alias = "enable_lora")]
    lora: bool,
    /// Train all biases.
    #[arg(long = "enable-bitfit", visible_alias = "enable_BitFit")]
    bitfit: bool,
    /// Train a Meta-Adapter, whose queries follow the text tower.
    #[arg(long = "enable-meta-adapter", visible_alias = "enable_MetaAdapter")]
    meta_adapter: bool,
    /// Learn from label-breaking images too.
    #[arg(long = "enable-breaking-loss", visible_alias = "enable_breaking_loss")]
    breaking_loss: bool,
    /// The recipe that the other flags change: steps for each shot and pictures a step [default: student].
    #[arg(long, value_enum)]
    preset: Option<PresetFlag>,
    /// Pictures a step.
    #[arg(long, visible_alias = "batch_size")]
    batch_size: Option<usize>,
    /// What is done to training pictures [default: crop-flip].
    #[arg(long, value_enum)]
    augment: Option<AugmentFlag>,
    /// How a step's pictures are drawn [default: shuffled].
    #[arg(long, value_enum)]
    draw: Option<DrawFlag>,
    /// Steps over which the learning rate rises to its peak.
    #[arg(long, visible_alias = "warm_up")]
    warm_up: Option<usize>,
    /// Weight decay of AdamW [default: 0.01].
    #[arg(long, visible_alias = "weight_decay")]
    weight_decay: Option<f32>,
    /// Take a step's pictures in so many parts: the same result, less memory.
    #[arg(long)]
    accumulate: Option<usize>,
    /// Keep only the blocks' inputs and compute the rest again: a third more time, far less memory.
    #[arg(long)]
    checkpoint_blocks: bool,
    /// LoRA: which towers [default: both]; for BitFit too.
    #[arg(long, value_enum)]
    encoder: Option<EncoderFlag>,
    /// LoRA: which blocks [default: all].
    #[arg(long, value_enum)]
    position: Option<PositionFlag>,
    /// LoRA: which projections, of q k v o [default: q k v].
    #[arg(long, value_enum, num_args = 1..=4)]
    params: Option<Vec<ProjectionFlag>>,
    /// LoRA: the rank [default: 2].
    #[arg(long = "r", visible_alias = "rank")]
    rank: Option<usize>,
    /// LoRA: alpha [default: 1].
    #[arg(long)]
    alpha: Option<f64>,
    /// LoRA: how the scale is made [default: rank-stabilised].
    #[arg(long, value_enum)]
    scaling: Option<ScalingFlag>,
    /// LoRA: dropout [default: 0.25].
    #[arg(long = "lora-dropout", visible_alias = "dropout_rate_LoRA")]
    lora_dropout: Option<f64>,
    /// Breaking loss: how many earlier batches its bank holds [default: 100].
    #[arg(long, visible_alias = "bank_size")]
    bank_size: Option<usize>,
    /// Breaking loss: its weight [default: 0.1].
    #[arg(long, visible_alias = "lambda_breaking")]
    lambda_breaking: Option<f64>,
    /// Breaking loss: what the second view of a breaking image is [default: regenerated].
    #[arg(long, value_enum)]
    breaking_pair: Option<PairFlag>,
    /// Learn from up to so many label-preserving images of each training image too.
    #[arg(long)]
    preserving: Option<usize>,
    /// What the loss of label-preserving images is multiplied by [default: 1].
    #[arg(long)]
    preserving_weight: Option<f64>,
}

/// Declares an enum of flag values that are those of another enum.
macro_rules! values {
    ($name:ident => $target:ident { $($value:ident),+ $(,)? }) => {
        #[derive(Clone, Copy, ValueEnum)]
        enum $name { $($value),+ }

        impl From<$name> for $target {
            fn from(flag: $name) -> Self {
                match flag { $($name::$value => Self::$value),+ }
            }
        }
    };
}

values!(PresetFlag => Preset { Student, ClipLora });
values!(AugmentFlag => Augment { None, CropFlip });
values!(DrawFlag => Draw { Shuffled, Replacement });
values!(EncoderFlag => Encoder { Both, Vision, Text });
values!(PositionFlag => Position { All, Bottom, Mid, Up, HalfBottom, HalfUp, Top3 });
values!(ScalingFlag => Scaling { RankStabilised, Standard });
values!(PairFlag => BreakingPair { Regenerated, Independent });

#[derive(Clone, Copy, ValueEnum)]
enum ProjectionFlag {
    Q,
    K,
    V,
    O,
}

impl From<ProjectionFlag> for Projection {
    fn from(flag: ProjectionFlag) -> Self {
        match flag {
            ProjectionFlag::Q => Self::Query,
            ProjectionFlag::K => Self::Key,
            ProjectionFlag::V => Self::Value,
            ProjectionFlag::O => Self::Output,
        }
    }
}

impl Tuning {
    /// The method that `--method` and the `--enable` flags name together.
    ///
    /// # Errors
    /// None, or two that exclude one another.
    pub fn method(&self, given: Option<Method>) -> Result<Method> {
        let flags =
            Parts { lora: self.lora, bitfit: self.bitfit, meta: self.meta_adapter, breaking: self.breaking_loss };
        let enabled = match flags {
            Parts { lora: false, bitfit: false, meta: false, breaking: false } => None,
            Parts { lora: false, bitfit: false, meta: true, breaking: false } => Some(Method::Meta),
            parts if parts.trains_towers() => Some(Method::Tuning(parts)),
            _ => {
                let why =
                    "nothing that the breaking loss could change is trained; give --enable_lora or --enable_BitFit too";
                return Err(Error::Usage(format!("--enable_breaking_loss: {why}")));
            }
        };
        match (given, enabled) {
            (Some(one), Some(other)) if one != other => {
                Err(Error::Usage(format!("--method {one} and the --enable flags ({other}) exclude one another")))
            }
            (Some(method), _) | (None, Some(method)) => Ok(method),
            (None, None) => Err(Error::Usage(
                "no method: give --method zero-shot, tip, tip-f, meta, linear-probe or lora, or --enable_lora and the like"
                    .into(),
            )),
        }
    }

    /// The first of these flags that was given, but for those that name the method.
    pub fn given(&self) -> Option<&'static str> {
        [
            ("--preset", self.preset.is_some()),
            ("--augment", self.augment.is_some()),
            ("--draw", self.draw.is_some()),
            ("--warm-up", self.warm_up.is_some()),
            ("--weight-decay", self.weight_decay.is_some()),
            ("--accumulate", self.accumulate.is_some()),
            ("--checkpoint-blocks", self.checkpoint_blocks),
            ("--encoder", self.encoder.is_some()),
            ("--position", self.position.is_some()),
            ("--params", self.params.is_some()),
            ("--r", self.rank.is_some()),
            ("--alpha", self.alpha.is_some()),
            ("--scaling", self.scaling.is_some()),
            ("--lora-dropout", self.lora_dropout.is_some()),
            ("--bank-size", self.bank_size.is_some()),
            ("--lambda-breaking", self.lambda_breaking.is_some()),
            ("--breaking-pair", self.breaking_pair.is_some()),
            ("--preserving", self.preserving.is_some()),
            ("--preserving-weight", self.preserving_weight.is_some()),
        ]
        .into_iter()
        .find_map(|(flag, given)| given.then_some(flag))
    }

    /// Whether `--batch_size` was given, which methods on features have no use for.
    pub fn batch_size_given(&self) -> bool {
        self.batch_size.is_some()
    }

    /// The recipe. `steps` is the total, where it is given; without it, it is the preset's for each of the `shots`.
    ///
    /// # Errors
    /// A flag of a part that is not on; steps that `--shots all` does not tell.
    pub fn config(
        &self,
        parts: Parts,
        steps: Option<usize>,
        shots: Shots,
        learning_rate: Option<f64>,
        meta_dropout: Option<f64>,
    ) -> Result<TuningConfig> {
        let preset = self.preset.map(Preset::from).unwrap_or_default();
        let mut config = TuningConfig::of(parts);
        config.steps = match (steps, shots) {
            (Some(steps), _) => steps,
            (None, Shots::PerClass(shots)) => preset.steps_per_shot().saturating_mul(shots.max(1)),
            (None, Shots::All) => {
                return Err(Error::Usage(
                    "with --shots all the number of steps does not follow from the shots; give --iters or --epochs"
                        .into(),
                ));
            }
        };
        set(&mut config.batch, Some(self.batch_size.unwrap_or(preset.batch())));
        set(&mut config.augment, self.augment.map(Into::into));
        set(&mut config.draw, self.draw.map(Into::into));
        set(&mut config.preserving, self.preserving);
        set(&mut config.preserving_weight, self.preserving_weight);
        if self.preserving_weight.is_some() && config.preserving == 0 {
            return Err(without("--preserving-weight", "--preserving"));
        }
        set(&mut config.accumulate, self.accumulate);
        config.checkpoint_blocks = self.checkpoint_blocks;
        set(&mut config.optimiser.learning_rate, learning_rate);
        set(&mut config.optimiser.weight_decay, self.weight_decay);
        if let (Some(steps), Schedule::Cosine { warm_up, .. }) = (self.warm_up, &mut config.optimiser.schedule) {
            *warm_up = steps;
        }
        self.lora_settings(config.lora.as_mut())?;
        if let (Some(bitfit), Some(encoder)) = (&mut config.bitfit, self.encoder) {
            bitfit.encoder = encoder.into();
        }
        match (&mut config.meta, meta_dropout) {
            (Some(meta), Some(dropout)) => meta.dropout = dropout,
            (None, Some(_)) => return Err(without("--meta-dropout", "--enable_MetaAdapter")),
            _ => {}
        }
        match &mut config.breaking {
            Some(breaking) => {
                set(&mut breaking.bank, self.bank_size);
                set(&mut breaking.weight, self.lambda_breaking);
                set(&mut breaking.pair, self.breaking_pair.map(Into::into));
            }
            // The student project gives these whether the loss is on or not.
            None if self.breaking_pair.is_some() => return Err(without("--breaking-pair", "--enable_breaking_loss")),
            None => {}
        }
        config.check()?;
        Ok(config)
    }

    fn lora_settings(&self, lora: Option<&mut LoraConfig>) -> Result<()> {
        let Some(lora) = lora else {
            return match self.scaling {
                Some(_) => Err(without("--scaling", "--enable_lora")),
                None => Ok(()),
            };
        };
        set(&mut lora.rank, self.rank);
        set(&mut lora.alpha, self.alpha);
        set(&mut lora.dropout, self.lora_dropout);
        set(&mut lora.scaling, self.scaling.map(Into::into));
        set(&mut lora.position, self.position.map(Into::into));
        set(&mut lora.encoder, self.encoder.map(Into::into));
        set(&mut lora.projections, self.params.as_ref().map(|params| params.iter().map(|&p| p.into()).collect()));
        Ok(())
    }
}

/// Replaces a default by what was given.
fn set<T>(place: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *place = value;
    }
}

fn without(flag: &str, other: &str) -> Error {
    Error::Usage(format!("{flag} means nothing without {other}; leave it out"))
}
