//! Checkpoints on disk, in every layout that people have them in.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::reference::{Layout, Reference};
use super::seeded::{self, Inventory, Precision};

const MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];
/// The size of CLIP's own vocabulary, which demo-clip's tokenizer files hold.
const VOCABULARY: u64 = 49408;

/// Writes the checkpoint in its own layout below `parent`, and returns what a person would pass as `--model`.
pub fn write(parent: &Path, reference: &Reference, precision: Precision) -> PathBuf {
    match reference.layout {
        Layout::HuggingFace => hf_folder(parent, reference, precision),
        Layout::OpenClip => open_clip_folder(parent, reference, precision),
        Layout::OpenAi => openai_file(parent, reference, precision),
    }
}

/// `NAME/` with `config.json`, `model.safetensors`, `preprocessor_config.json` and, for CLIP's vocabulary, a tokenizer.
pub fn hf_folder(parent: &Path, reference: &Reference, precision: Precision) -> PathBuf {
    let folder = hf_folder_without_weights(parent, reference);
    write_weights(&folder.join("model.safetensors"), &reference.tensors, precision);
    folder
}

/// The same with the weights cut into `shards` files and an index, as transformers writes large models.
pub fn sharded_folder(parent: &Path, reference: &Reference, precision: Precision, shards: usize) -> PathBuf {
    let folder = hf_folder_without_weights(parent, reference);
    let mut map = Map::new();
    let per_shard = reference.tensors.len().div_ceil(shards);
    for (number, tensors) in reference.tensors.chunks(per_shard).enumerate() {
        let name = format!("model-{:05}-of-{shards:05}.safetensors", number + 1);
        write_weights(&folder.join(&name), tensors, precision);
        map.extend(tensors.iter().map(|(tensor, _)| (tensor.clone(), json!(name))));
    }
    let total: usize = reference.tensors.iter().map(|(_, shape)| 4 * shape.iter().product::<usize>()).sum();
    let index = json!({"metadata": {"total_size": total}, "weight_map": map});
    write_json(&folder.join("model.safetensors.index.json"), &index);
    folder
}

/// `NAME/` with `open_clip_config.json` and `open_clip_model.safetensors`; takes the OpenAI-named references too.
pub fn open_clip_folder(parent: &Path, reference: &Reference, precision: Precision) -> PathBuf {
    assert_ne!(reference.layout, Layout::HuggingFace, "the tensors have HF names");
    let folder = create(&parent.join(&reference.name));
    let preprocess = json!({
        "mean": MEAN, "std": STD, "size": [reference.image_size, reference.image_size],
        "mode": "RGB", "interpolation": "bicubic", "resize_mode": "shortest", "fill_color": 0,
    });
    let config = json!({"model_cfg": reference.config, "preprocess_cfg": preprocess});
    write_json(&folder.join("open_clip_config.json"), &config);
    copy_tokenizer(&folder, &reference.config["text_cfg"]);
    // OpenCLIP's own files know nothing of OpenAI's size scalars.
    let tensors: Vec<_> = reference.tensors.iter().filter(|(name, _)| !is_openai_scalar(name)).cloned().collect();
    write_weights(&folder.join("open_clip_model.safetensors"), &tensors, precision);
    folder
}

/// One file `NAME.safetensors` with OpenAI's names and nothing else.
pub fn openai_file(parent: &Path, reference: &Reference, precision: Precision) -> PathBuf {
    assert_eq!(reference.layout, Layout::OpenAi, "the tensors have other names");
    let path = create(parent).join(format!("{}.safetensors", reference.name));
    write_weights(&path, &reference.tensors, precision);
    path
}

/// The same safetensors file with one more space in its header: still valid, but no tensor lies at a multiple of its width.
pub fn unaligned(safetensors: &[u8]) -> Vec<u8> {
    let length = header_length(safetensors);
    let mut bytes = (length as u64 + 1).to_le_bytes().to_vec();
    bytes.extend_from_slice(&safetensors[8..8 + length]);
    bytes.push(b' ');
    bytes.extend_from_slice(&safetensors[8 + length..]);
    bytes
}

/// Length in bytes of a safetensors header.
pub fn header_length(safetensors: &[u8]) -> usize {
    u64::from_le_bytes(safetensors[..8].try_into().expect("eight bytes")) as usize
}

/// Creates a folder with its parents and returns it.
pub fn create(folder: &Path) -> PathBuf {
    fs::create_dir_all(folder).expect("a new folder in a temporary folder");
    folder.to_owned()
}

/// Writes JSON for people to read.
pub fn write_json(path: &Path, value: &Value) {
    fs::write(path, format!("{value:#}\n")).expect("a new file in a temporary folder");
}

fn hf_folder_without_weights(parent: &Path, reference: &Reference) -> PathBuf {
    assert_eq!(reference.layout, Layout::HuggingFace, "the tensors have other names");
    let folder = create(&parent.join(&reference.name));
    write_json(&folder.join("config.json"), &reference.config);
    let side = reference.image_size;
    let preprocessor = json!({
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": true, "size": {"shortest_edge": side}, "resample": 3,
        "do_center_crop": true, "crop_size": {"height": side, "width": side},
        "do_rescale": true, "rescale_factor": 1.0 / 255.0, "do_convert_rgb": true,
        "do_normalize": true, "image_mean": MEAN, "image_std": STD,
    });
    write_json(&folder.join("preprocessor_config.json"), &preprocessor);
    copy_tokenizer(&folder, &reference.config["text_config"]);
    folder
}

/// A model with CLIP's vocabulary gets CLIP's tokenizer; the tiny vocabularies have none.
fn copy_tokenizer(folder: &Path, text: &Value) {
    if text["vocab_size"].as_u64().unwrap_or(VOCABULARY) == VOCABULARY {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo-clip/tokenizer.json");
        fs::copy(from, folder.join("tokenizer.json")).expect("a copy of the tokenizer");
    }
}

fn write_weights(path: &Path, tensors: &Inventory, precision: Precision) {
    let mut file = BufWriter::new(File::create(path).expect("a new file in a temporary folder"));
    seeded::write_seeded(tensors, precision, &mut file).and_then(|()| file.flush()).expect("room for the weights");
}

fn is_openai_scalar(name: &str) -> bool {
    seeded::is_integer(name) && !name.contains('.')
}
