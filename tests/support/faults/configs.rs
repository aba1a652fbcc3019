//! Configs that describe no possible model.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{Fault, broken_folder, sound};

/// HF folders whose `config.json` describes no possible model; each names the key.
pub fn configs(parent: &Path) -> Vec<Fault> {
    let changes: Vec<(&str, &str, Value)> = vec![
        ("vision_config", "hidden_size", json!(0)),
        ("vision_config", "hidden_size", json!(-32)),
        ("vision_config", "hidden_size", json!(32.5)),
        ("vision_config", "hidden_size", json!("32")),
        ("vision_config", "hidden_size", json!(1_000_000_000_000_u64)),
        ("vision_config", "num_attention_heads", json!(0)),
        ("vision_config", "num_attention_heads", json!(3)),
        ("vision_config", "num_hidden_layers", json!(1_000_000_000)),
        ("vision_config", "patch_size", json!(0)),
        ("vision_config", "patch_size", json!(64)),
        ("vision_config", "image_size", json!(0)),
        ("vision_config", "image_size", json!(4_000_000_000_u64)),
        ("vision_config", "hidden_act", json!("swish7")),
        ("text_config", "hidden_size", json!(u64::MAX)),
        ("text_config", "num_attention_heads", json!(5)),
        ("text_config", "num_hidden_layers", json!(-1)),
        ("text_config", "vocab_size", json!(0)),
        ("text_config", "max_position_embeddings", json!(0)),
        ("text_config", "intermediate_size", json!(0)),
    ];
    let sound = sound().config;
    let mut faults: Vec<_> = changes
        .into_iter()
        .map(|(half, key, value)| {
            let mut config = sound.clone();
            config[half][key] = value.clone();
            broken_config(parent, &format!("config: {half} {key} {value}"), &config.to_string(), &["config.json", key])
        })
        .collect();
    let mut no_projection = sound.clone();
    no_projection["projection_dim"] = json!(0);
    let mut no_half = sound.clone();
    no_half["vision_config"] = json!("large");
    let mut other_model = sound;
    other_model["model_type"] = json!("siglip");
    for (name, text, mention) in [
        ("config: projection_dim 0", no_projection.to_string(), "projection_dim"),
        ("config: a half is a word", no_half.to_string(), "vision_config"),
        ("config: another kind of model", other_model.to_string(), "siglip"),
        ("config: not JSON", "{\"model_type\": \"clip\",".to_owned(), "config.json"),
        ("config: empty", String::new(), "config.json"),
        ("config: a list", "[]".to_owned(), "config.json"),
    ] {
        faults.push(broken_config(parent, name, &text, &["config.json", mention]));
    }
    let name = "config: none";
    let folder = broken_folder(parent, name);
    fs::remove_file(folder.join("config.json")).expect("the config was there");
    faults.push(Fault::new(name, &folder, &["config.json"]));
    faults
}

fn broken_config(parent: &Path, name: &str, text: &str, mentions: &[&str]) -> Fault {
    let folder = broken_folder(parent, name);
    fs::write(folder.join("config.json"), text).expect("a broken config");
    Fault::new(name, &folder, mentions)
}
