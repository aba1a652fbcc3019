//! Sharded checkpoints whose index is wrong.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{Fault, MATRIX, slug, sound, sound_without};
use crate::support::folders;
use crate::support::seeded::{self, Precision};

/// HF folders whose `model.safetensors.index.json` names what is not there, or not theirs.
pub fn shards(parent: &Path) -> Vec<Fault> {
    let second = "model-00002-of-00002.safetensors";
    let outside = parent.join("outside.safetensors");
    let sound = sound();
    fs::write(&outside, seeded::seeded_state(&sound.tensors, Precision::F32)).expect("a file to steal from");
    let absolute = outside.to_str().expect("a path in UTF-8").to_owned();
    let index_name = "model.safetensors.index.json";
    let case = |name: &str, mentions: &[&str], change: &dyn Fn(&Path, &mut Value)| {
        let folder = folders::sharded_folder(&parent.join(slug(name)), &sound, Precision::F32, 2);
        let path = folder.join(index_name);
        let mut index = serde_json::from_slice(&fs::read(&path).expect("the index")).expect("JSON");
        change(&folder, &mut index);
        folders::write_json(&path, &index);
        Fault::new(name, &folder, mentions)
    };
    vec![
        case("shards: one is absent", &[second], &|folder, _| {
            fs::remove_file(folder.join(second)).expect("the shard was there");
        }),
        case("shards: outside the folder", &[index_name, "../../outside.safetensors"], &|_, index| {
            index["weight_map"][MATRIX] = json!("../../outside.safetensors");
        }),
        case("shards: an absolute path", &[index_name, &absolute], &|_, index| {
            index["weight_map"][MATRIX] = json!(absolute);
        }),
        case("shards: a tensor is not in its shard", &[MATRIX], &|folder, index| {
            let shard = index["weight_map"][MATRIX].as_str().expect("a shard").to_owned();
            let rest = sound_without(&[MATRIX]);
            let kept: Vec<_> = rest.into_iter().filter(|(name, _)| index["weight_map"][name] == shard).collect();
            fs::write(folder.join(shard), seeded::seeded_state(&kept, Precision::F32)).expect("a smaller shard");
        }),
        case("shards: no weight_map", &[index_name, "weight_map"], &|_, index| *index = json!({"metadata": {}})),
    ]
}
