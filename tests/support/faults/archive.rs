//! OpenAI's own download format, which is not safetensors.

use std::fs;
use std::path::Path;

use super::images::crc32;
use super::{Fault, broken_folder};
use crate::support::folders;

/// OpenAI's download (a `TorchScript` archive, which is a zip) under its own name and under that of safetensors.
pub fn torch_script(parent: &Path) -> Vec<Fault> {
    let archive = zip(&[
        ("ViT-B-32/constants.pkl", b"\x80\x02).".as_slice()),
        ("ViT-B-32/data.pkl", b"\x80\x02}."),
        ("ViT-B-32/version", b"2\n"),
        ("ViT-B-32/code/__torch__.py", b"class Model(Module):\n  pass\n"),
    ]);
    let file = folders::create(&parent.join("torch-script")).join("ViT-B-32.pt");
    fs::write(&file, &archive).expect("an archive");
    let name = "TorchScript in the place of safetensors";
    let folder = broken_folder(parent, name);
    fs::write(folder.join("model.safetensors"), &archive).expect("an archive");
    vec![
        Fault::new("TorchScript file", &file, &["ViT-B-32.pt", "TorchScript", "openai/clip-vit"]),
        Fault::new(name, &folder, &["model.safetensors", "TorchScript", "openai/clip-vit"]),
    ]
}

/// A zip archive of uncompressed files.
fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in files {
        let size = (data.len() as u32).to_le_bytes();
        let fields = [
            &[20, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &crc32(data).to_le_bytes(),
            &size,
            &size,
            &(name.len() as u16).to_le_bytes(),
            &[0, 0],
        ]
        .concat();
        directory.extend([b"PK\x01\x02\x14\x00", &fields[..], &[0; 10]].concat());
        directory.extend((archive.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        archive.extend([b"PK\x03\x04", &fields[..], name.as_bytes(), data].concat());
    }
    let count = (files.len() as u16).to_le_bytes();
    let (start, length) = ((archive.len() as u32).to_le_bytes(), (directory.len() as u32).to_le_bytes());
    [&archive[..], &directory, b"PK\x05\x06\0\0\0\0", &count, &count, &length, &start, &[0, 0]].concat()
}
