//! A small Stable Diffusion pipeline on disk, as diffusers saves one; the same as `tests/parity/small_pipeline.py` makes.
//!
//! It has the shape of Stable Diffusion 1.x in every part and a thousandth of its size. Its weights follow from their names, so what it
//! draws means nothing, and is the same everywhere. The autoencoder's factor is 8: pictures' sides are multiples of 32 pixels, because the
//! UNet halves the latents twice.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::folders::{create, write_json};
use super::seeded::{self, Precision};

/// The small pipeline's name.
pub const SMALL: &str = "small-pipeline";

/// The parts that have weights, with their file's name.
const PARTS: [(&str, &str); 3] =
    [("unet", "diffusion_pytorch_model"), ("vae", "diffusion_pytorch_model"), ("text_encoder", "model")];

/// Writes the pipeline into `folder`, which it makes, with weights in f32, and returns the folder.
pub fn write(folder: &Path) -> PathBuf {
    write_as(folder, SMALL, Precision::F32, None)
}

/// The same of another reference, with weights in `precision`; a variant, such as `fp16`, becomes a part of their files' names.
pub fn write_as(folder: &Path, name: &str, precision: Precision, variant: Option<&str>) -> PathBuf {
    let reference = reference(name);
    create(folder);
    write_json(&folder.join("model_index.json"), &reference["model_index"]);
    write_json(&create(&folder.join("scheduler")).join("scheduler_config.json"), &reference["scheduler"]);
    for (part, file) in PARTS {
        let below = create(&folder.join(part));
        write_json(&below.join("config.json"), &reference[part]["config"]);
        let variant = variant.map(|variant| format!(".{variant}")).unwrap_or_default();
        let mut file = BufWriter::new(
            File::create(below.join(format!("{file}{variant}.safetensors"))).expect("a new file in a temporary folder"),
        );
        let tensors = tensors(&reference[part]["tensors"]);
        seeded::write_seeded(&tensors, precision, &mut file).and_then(|()| file.flush()).expect("room for the weights");
    }
    write_tokenizer(&folder.join("tokenizer"), reference["pad"].as_str().expect("a token"));
    folder.to_owned()
}

/// `tests/parity/diffusion/NAME.json`: each part's config, tensors and their SHA-256.
pub fn reference(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/parity/diffusion/{name}.json"));
    serde_json::from_slice(&fs::read(path).expect("the committed file")).expect("JSON")
}

/// Names and shapes, in the file's order.
pub fn tensors(json: &Value) -> Vec<(String, Vec<usize>)> {
    let shape = |value: &Value| serde_json::from_value(value.clone()).expect("a shape");
    json.as_object().expect("an object of shapes").iter().map(|(name, value)| (name.clone(), shape(value))).collect()
}

/// CLIP's tokenizer in the files that Stable Diffusion has.
fn write_tokenizer(folder: &Path, pad: &str) {
    create(folder);
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo-clip");
    for file in ["vocab.json", "merges.txt"] {
        fs::copy(demo.join(file), folder.join(file)).expect("a copy of the tokenizer");
    }
    let token = |content: &str| json!({"content": content, "lstrip": false, "normalized": true, "rstrip": false, "single_word": false});
    let special = json!({
        "bos_token": token("<|startoftext|>"),
        "eos_token": token("<|endoftext|>"),
        "pad_token": pad,
        "unk_token": token("<|endoftext|>"),
    });
    let mut config = special.clone();
    config["model_max_length"] = json!(77);
    config["tokenizer_class"] = json!("CLIPTokenizer");
    write_json(&folder.join("special_tokens_map.json"), &special);
    write_json(&folder.join("tokenizer_config.json"), &config);
}
