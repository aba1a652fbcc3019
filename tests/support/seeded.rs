//! Weights and pictures from a name and a counter, so that neither has to be stored.
//!
//! `tests/parity/seeded.py` computes the same numbers to the last bit: only integer arithmetic, and f32 products and sums
//! in the same order, take part. A number is drawn from (name, index): FNV-1a of the name starts a `SplitMix64` sequence
//! (Steele, Lea, Flood 2014), the top 24 bits of its index-th output become a float in [-1, 1), which f32 holds exactly.

use std::io::{self, Write};

use half::{bf16, f16};
use serde_json::{Map, Value, json};

/// Names and shapes of the tensors of a checkpoint.
pub type Inventory = [(String, Vec<usize>)];

/// In which types a checkpoint holds its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// All in f32.
    F32,
    /// All in f16.
    F16,
    /// All in bf16.
    Bf16,
    /// As OpenAI's own files: matrices and their biases in f16, norms and embeddings in f32.
    Mixed,
}

impl Precision {
    /// The key under which the reference files hold the features that weights of this precision lead to.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Mixed => "mixed",
        }
    }

    /// The safetensors type of the tensor of that name.
    fn stored(self, name: &str) -> &'static str {
        if is_integer(name) {
            return "I64";
        }
        match self {
            Self::F32 => "F32",
            Self::Bf16 => "BF16",
            Self::Mixed if stays_f32(name) => "F32",
            Self::F16 | Self::Mixed => "F16",
        }
    }
}

/// The first `count` numbers of the sequence `name`, in [-1, 1).
pub fn uniform(name: &str, count: usize) -> impl Iterator<Item = f32> {
    let start = fnv1a64(name);
    (1..=count as u64).map(move |step| {
        let mut z = start.wrapping_add(step.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let top = ((z ^ (z >> 31)) >> 40) as i32;
        (top - (1 << 23)) as f32 / (1 << 23) as f32
    })
}

/// The seeded tensor of that name and shape, row-major.
pub fn tensor(name: &str, shape: &[usize]) -> Vec<f32> {
    let (offset, scale) = spread(name, shape);
    uniform(name, shape.iter().product()).map(|u| u * scale + offset).collect()
}

/// Pictures `[count, 3, side, side]` as a tower sees them: a colour, 4 × 4 fields of other colours, and some noise.
pub fn pixels(count: usize, side: usize) -> Vec<f32> {
    let colour: Vec<f32> = uniform("pixels.colour", count * 3).collect();
    let fields: Vec<f32> = uniform("pixels.fields", count * 3 * 16).collect();
    uniform("pixels.noise", count * 3 * side * side)
        .enumerate()
        .map(|(index, noise)| {
            let (x, y, plane) = (index % side, index / side % side, index / (side * side));
            let field = plane * 16 + (y * 4 / side) * 4 + x * 4 / side;
            (colour[plane] + fields[field]) + 0.25 * noise
        })
        .collect()
}

/// A whole checkpoint of seeded weights as the bytes of a safetensors file.
pub fn seeded_state(inventory: &Inventory, precision: Precision) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_seeded(inventory, precision, &mut bytes).expect("memory takes every byte");
    bytes
}

/// Writes a checkpoint of seeded weights tensor by tensor, so that even a large one needs little memory.
pub fn write_seeded(inventory: &Inventory, precision: Precision, out: &mut impl Write) -> io::Result<()> {
    // The order of the safetensors library: wide types first, then by name.
    let mut order: Vec<_> = inventory.iter().map(|(name, shape)| (precision.stored(name), name, shape)).collect();
    order.sort_by_key(|(stored, name, _)| (std::cmp::Reverse(width(stored)), *name));
    let mut header = Map::from_iter([("__metadata__".to_owned(), json!({"format": "pt"}))]);
    let mut end = 0;
    for (stored, name, shape) in &order {
        let begin = end;
        end += width(stored) * shape.iter().product::<usize>();
        header.insert((*name).clone(), json!({"dtype": stored, "shape": shape, "data_offsets": [begin, end]}));
    }
    out.write_all(&head(&Value::Object(header).to_string()))?;
    for (stored, name, shape) in order {
        match stored {
            "I64" => out.write_all(&integer(name).to_le_bytes())?,
            "F32" => out.write_all(bytemuck::cast_slice(&tensor(name, shape)))?,
            "F16" => {
                let values: Vec<_> = tensor(name, shape).into_iter().map(f16::from_f32).collect();
                out.write_all(bytemuck::cast_slice(&values))?;
            }
            _ => {
                let values: Vec<_> = tensor(name, shape).into_iter().map(bf16::from_f32).collect();
                out.write_all(bytemuck::cast_slice(&values))?;
            }
        }
    }
    Ok(())
}

/// The start of a safetensors file: the header's length, and the header filled up with spaces to a multiple of 8 bytes.
pub fn head(json: &str) -> Vec<u8> {
    let length = json.len().next_multiple_of(8);
    let mut bytes = (length as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(json.as_bytes());
    bytes.resize(8 + length, b' ');
    bytes
}

/// Whether this entry of a checkpoint is a counter or a size (an i64 scalar), not a weight.
pub fn is_integer(name: &str) -> bool {
    matches!(name, "input_resolution" | "context_length" | "vocab_size") || name.ends_with("num_batches_tracked")
}

/// What the integer scalars hold in OpenAI's files; no loader may rely on them.
fn integer(name: &str) -> i64 {
    match name {
        "input_resolution" => 224,
        "context_length" => 77,
        "vocab_size" => 49408,
        _ => 0,
    }
}

/// What OpenAI's half-precision checkpoints keep in f32.
fn stays_f32(name: &str) -> bool {
    ["embedding", "ln_", "bn", "downsample.1", "logit_scale"].iter().any(|part| name.contains(part))
}

/// Bytes of one value of a safetensors type.
fn width(stored: &str) -> usize {
    match stored {
        "I64" => 8,
        "F32" => 4,
        _ => 2,
    }
}

/// FNV-1a, 64 bits, of the name's UTF-8 bytes.
fn fnv1a64(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// Offset and scale of a tensor by its name and shape; `spread` in seeded.py says why each is what it is.
fn spread(name: &str, shape: &[usize]) -> (f32, f32) {
    let mut parts = name.rsplit('.');
    let (last, parent) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let batch_norm = matches!(parent, "bn1" | "bn2" | "bn3") || name.contains(".downsample.1.");
    let ends_bottleneck = parent == "bn3" && name.contains(".layer");
    let keeping_variance = |numerator: usize, fan_in: usize| (0.0, (numerator as f64 / fan_in as f64).sqrt() as f32);
    match last {
        "logit_scale" => (4.6052, 0.0),
        "running_mean" => (0.0, 0.1),
        "running_var" => (1.0, 0.5),
        "weight" if shape.len() == 1 => (if ends_bottleneck { 0.35 } else { 1.0 }, 0.2),
        _ if last.ends_with("bias") => {
            if batch_norm && !ends_bottleneck {
                (-0.2, 0.2)
            } else {
                (0.0, 0.1)
            }
        }
        _ if name.contains("embedding") && !name.contains("patch_embedding") && !name.contains("time_embedding") => {
            (0.0, 0.5)
        }
        "proj" | "text_projection" => keeping_variance(3, shape[0]),
        _ => keeping_variance(if shape.len() == 4 { 6 } else { 3 }, shape[1..].iter().product()),
    }
}
