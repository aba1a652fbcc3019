//! `lowshot embed`: features that any safetensors reader opens.

use std::fs;
use std::path::Path;

use safetensors::SafeTensors;

use crate::command::{Machine, tile};

/// The rows of a tensor of 32-bit floats, as their bits.
fn rows(file: &Path, name: &str) -> Vec<Vec<u32>> {
    let bytes = fs::read(file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = tensors.tensor(name).unwrap();
    assert_eq!(tensor.dtype(), safetensors::Dtype::F32);
    let width = tensor.shape()[1];
    let values: Vec<u32> =
        tensor.data().chunks_exact(4).map(|four| u32::from_le_bytes(four.try_into().unwrap())).collect();
    assert_eq!(values.len(), tensor.shape()[0] * width);
    values.chunks_exact(width).map(<[u32]>::to_vec).collect()
}

fn length(row: &[u32]) -> f64 {
    row.iter().map(|bits| f64::from(f32::from_bits(*bits)).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn pictures_and_texts_become_unit_rows_that_do_not_depend_on_company() {
    let machine = Machine::new();
    let (first, second) = (tile(0), tile(9));
    let texts = ["a photo of a dog.", "a centered satellite photo of River."];
    let all = ["embed", &first, texts[0], &second, texts[1], "--out", "all.safetensors", "--json"];
    let json = machine.run(all).json();
    assert_eq!(
        (json["images"].as_u64(), json["texts"].as_u64(), json["width"].as_u64()),
        (Some(2), Some(2), Some(256))
    );
    let (images, lines) = (
        rows(&machine.path("all.safetensors"), "image_features"),
        rows(&machine.path("all.safetensors"), "text_features"),
    );
    for row in images.iter().chain(&lines) {
        assert_eq!(row.len(), 256);
        assert!((length(row) - 1.0).abs() < 1e-5, "{}", length(row));
    }
    assert_ne!(images[0], images[1]);
    for (input, name, expected) in [
        (first.as_str(), "image_features", &images[0]),
        (&second, "image_features", &images[1]),
        (texts[0], "text_features", &lines[0]),
        (texts[1], "text_features", &lines[1]),
    ] {
        machine.run(["embed", input, "--out", "one.safetensors"]).done();
        assert_eq!(&rows(&machine.path("one.safetensors"), name)[0], expected, "{input} alone differs");
    }
    let bytes = fs::read(machine.path("all.safetensors")).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let header = header.metadata().clone().unwrap();
    assert_eq!(header["format"], "lowshot-embeddings");
    assert_eq!(serde_json::from_str::<Vec<String>>(&header["images"]).unwrap(), [first, second]);
    assert_eq!(serde_json::from_str::<Vec<String>>(&header["texts"]).unwrap(), texts);
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let machine = Machine::new();
    let tile = tile(3);
    for out in ["a.safetensors", "new/folder/b.safetensors"] {
        let finished = machine.run(["embed", &tile, "a road", "--out", out]).done();
        assert!(finished.stdout.contains(out) && finished.stderr.is_empty(), "{finished:?}");
    }
    let read = |name: &str| fs::read(machine.path(name)).unwrap();
    assert!(read("a.safetensors") == read("new/folder/b.safetensors"));
}
