//! candle's CLIP with the weights of a folder, for `benches/peers/features.py`.
//!
//! A line `images BATCH` or `texts BATCH` on standard input is answered by milliseconds, `output images BATCH` by features. The inputs are the first ones of
//! `inputs.safetensors`. candle takes the number of threads from `RAYON_NUM_THREADS` when it starts.

use std::{
    collections::HashMap,
    error::Error,
    io::{BufRead, Write},
    path::PathBuf,
    time::Instant,
};

use candle_core::{DType, Device, Tensor, safetensors};
use candle_nn::VarBuilder;
use candle_transformers::models::clip::{
    ClipConfig, ClipModel,
    text_model::{Activation, ClipTextConfig},
    vision_model::ClipVisionConfig,
};
use serde_json::Value;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The shape that transformers' `config.json` describes, as candle has it.
fn config(json: &Value) -> ClipConfig {
    let number = |tower: &str, name: &str| json[tower][name].as_u64().expect("a size in config.json") as usize;
    let (vision, text) = (|name| number("vision_config", name), |name| number("text_config", name));
    let projection_dim = json["projection_dim"].as_u64().expect("projection_dim") as usize;
    ClipConfig {
        vision_config: ClipVisionConfig {
            embed_dim: vision("hidden_size"),
            activation: Activation::QuickGelu,
            intermediate_size: vision("intermediate_size"),
            num_hidden_layers: vision("num_hidden_layers"),
            num_attention_heads: vision("num_attention_heads"),
            projection_dim,
            num_channels: 3,
            image_size: vision("image_size"),
            patch_size: vision("patch_size"),
        },
        text_config: ClipTextConfig {
            embed_dim: text("hidden_size"),
            intermediate_size: text("intermediate_size"),
            num_hidden_layers: text("num_hidden_layers"),
            num_attention_heads: text("num_attention_heads"),
            projection_dim,
            vocab_size: text("vocab_size"),
            max_position_embeddings: text("max_position_embeddings"),
            ..ClipTextConfig::vit_base_patch32()
        },
        logit_scale_init_value: 2.6592,
        image_size: vision("image_size"),
    }
}

struct Peer {
    model: ClipModel,
    inputs: HashMap<String, Tensor>,
}

impl Peer {
    fn load(folder: PathBuf) -> Result<Self> {
        let device = Device::Cpu;
        let config = config(&serde_json::from_slice(&std::fs::read(folder.join("config.json"))?)?);
        let weights = safetensors::load(folder.join("model.safetensors"), &device)?;
        let model = ClipModel::new(VarBuilder::from_tensors(weights, DType::F32, &device), &config)?;
        let inputs = safetensors::load(folder.join("inputs.safetensors"), &device)?;
        Ok(Self { model, inputs })
    }

    /// Features of the first `batch` inputs.
    fn features(&self, what: &str, batch: usize) -> Result<Tensor> {
        let inputs = self.inputs[what].narrow(0, 0, batch)?;
        Ok(match what {
            "images" => self.model.get_image_features(&inputs)?,
            _ => self.model.get_text_features(&inputs.to_dtype(DType::U32)?)?,
        })
    }

    fn answer(&self, line: &str) -> Result<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["output", what, batch] => {
                let numbers: Vec<f32> = self.features(what, batch.parse()?)?.flatten_all()?.to_vec1()?;
                Ok(numbers.iter().map(f32::to_string).collect::<Vec<_>>().join(" "))
            }
            [what, batch] => {
                let batch = batch.parse()?;
                let start = Instant::now();
                self.features(what, batch)?;
                Ok((start.elapsed().as_secs_f64() * 1e3).to_string())
            }
            _ => Err(format!("{line:?} is nothing that is measured").into()),
        }
    }
}

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).ok_or("which folder?")?;
    let peer = Peer::load(folder.into())?;
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        println!("{}", peer.answer(&line?)?);
        std::io::stdout().flush()?;
    }
    Ok(())
}
