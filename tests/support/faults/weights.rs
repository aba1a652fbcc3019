//! Safetensors that are damaged, forged, or do not fit the config.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{Fault, MATRIX, VECTOR, broken_folder, sound, sound_without};
use crate::support::folders::header_length;
use crate::support::seeded::{self, Precision};

/// HF folders whose `model.safetensors` is damaged, forged, or does not fit the config.
pub fn weights(parent: &Path) -> Vec<Fault> {
    let sound = seeded::seeded_state(&sound().tensors, Precision::F32);
    let length = header_length(&sound);
    let (header, data) = (parse_header(&sound), &sound[8 + length..]);
    let range = |name: &str| -> [usize; 2] {
        serde_json::from_value(header[name]["data_offsets"].clone()).expect("two offsets")
    };
    let [begin, end] = range(MATRIX);
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut header = header.clone();
        change(&mut header);
        [seeded::head(&header.to_string()), data.to_vec()].concat()
    };
    let with_value = |value: f32| {
        let mut bytes = sound.clone();
        let at = 8 + length + range(VECTOR)[0] + 4 * 5;
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    let with_length = |length: u64| [&length.to_le_bytes(), &sound[8..]].concat();
    let garbage = [seeded::head("{\"this is\": not JSON"), data.to_vec()].concat();
    let not_utf8 = [&seeded::head("12345678")[..8], &[0xff; 8], data].concat();
    // Bytes of one type are read as another's, so the shape that fits them is given along.
    let integers = json!({"dtype": "I64", "shape": [(end - begin) / 8], "data_offsets": [begin, end]});
    let transposed = json!({"dtype": "F32", "shape": [32, 128], "data_offsets": [begin, end]});
    let file = "model.safetensors";
    let cases: Vec<(&str, Vec<u8>, Vec<&str>)> = vec![
        ("weights: empty file", vec![], vec![file]),
        ("weights: five bytes", sound[..5].to_vec(), vec![file]),
        ("weights: cut in the header", sound[..length / 2].to_vec(), vec![file]),
        ("weights: cut in the data", sound[..sound.len() / 2].to_vec(), vec![file]),
        ("weights: one byte short", sound[..sound.len() - 1].to_vec(), vec![file]),
        ("weights: bytes left over", [&sound[..], &[0; 64]].concat(), vec![file]),
        ("weights: header of 10 GB", with_length(10 << 30), vec![file]),
        ("weights: header of 2^64 - 1 bytes", with_length(u64::MAX), vec![file]),
        ("weights: header is not JSON", garbage, vec![file]),
        ("weights: header is not UTF-8", not_utf8, vec![file]),
        (
            "weights: offsets outside the data",
            changed(&|header| header[MATRIX]["data_offsets"] = json!([data.len(), data.len() + end - begin])),
            vec![file],
        ),
        (
            "weights: offsets backwards",
            changed(&|header| header[MATRIX]["data_offsets"] = json!([end, begin])),
            vec![file],
        ),
        (
            "weights: overlapping tensors",
            changed(&|header| {
                let [begin, end] = range("vision_model.encoder.layers.0.self_attn.q_proj.bias");
                header["vision_model.encoder.layers.0.self_attn.k_proj.bias"]["data_offsets"] = json!([begin, end]);
            }),
            vec![file],
        ),
        (
            "weights: a shape whose product overflows",
            changed(&|header| header[MATRIX]["shape"] = json!([1u64 << 63, 4])),
            vec![file],
        ),
        ("weights: integers", changed(&|header| header[MATRIX] = integers.clone()), vec![file, MATRIX, "I64"]),
        (
            "weights: wrong shape",
            changed(&|header| header[MATRIX] = transposed.clone()),
            vec![file, MATRIX, "[32, 128]", "[128, 32]"],
        ),
        ("weights: NaN", with_value(f32::NAN), vec![file, VECTOR]),
        ("weights: infinity", with_value(f32::INFINITY), vec![file, VECTOR]),
    ];
    let mut faults: Vec<_> = cases
        .into_iter()
        .map(|(name, bytes, mentions)| {
            let folder = broken_folder(parent, name);
            fs::write(folder.join(file), bytes).expect("a damaged file");
            Fault::new(name, &folder, &mentions)
        })
        .collect();

    let unexpected = "vision_model.encoder.layers.7.mlp.fc1.weight";
    let mut tensors = sound_without(&[MATRIX, VECTOR]);
    tensors.push((unexpected.to_owned(), vec![4, 4]));
    let name = "weights: missing and unexpected tensors";
    let folder = broken_folder(parent, name);
    fs::write(folder.join(file), seeded::seeded_state(&tensors, Precision::F32)).expect("an odd file");
    faults.push(Fault::new(name, &folder, &[MATRIX, VECTOR, unexpected]));

    let name = "weights: none";
    let folder = broken_folder(parent, name);
    fs::remove_file(folder.join(file)).expect("the weights were there");
    faults.push(Fault::new(name, &folder, &[file]));
    faults
}

fn parse_header(safetensors: &[u8]) -> Value {
    serde_json::from_slice(&safetensors[8..8 + header_length(safetensors)]).expect("a sound header")
}
