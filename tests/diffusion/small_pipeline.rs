//! The small pipelines are those that `tests/parity/small_pipeline.py` makes, before other tests rely on them.

use std::fs;

use safetensors::SafeTensors;
use sha2::{Digest, Sha256};

use crate::support::pipeline;
use crate::support::seeded::{self, Precision};

#[test]
fn their_weights_equal_python_to_the_bit() {
    for (name, part) in ["small-pipeline", "sd2-pipeline", "lcm-pipeline"]
        .into_iter()
        .flat_map(|name| ["unet", "vae", "text_encoder"].map(|part| (name, part)))
    {
        let reference = pipeline::reference(name);
        let mut state = Sha256::new();
        for (name, shape) in pipeline::tensors(&reference[part]["tensors"]) {
            state.update(bytemuck::cast_slice(&seeded::tensor(&name, &shape)));
        }
        assert_eq!(format!("{:x}", state.finalize()), reference[part]["sha256"].as_str().unwrap(), "{name} {part}");
    }
}

#[test]
fn it_lies_on_disk_as_diffusers_saves_it() {
    let parent = tempfile::tempdir().unwrap();
    let folder = pipeline::write_as(&parent.path().join("small"), pipeline::SMALL, Precision::F16, Some("fp16"));
    for file in [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.fp16.safetensors",
        "text_encoder/config.json",
        "text_encoder/model.fp16.safetensors",
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
        "tokenizer/tokenizer_config.json",
        "tokenizer/special_tokens_map.json",
    ] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    let bytes = fs::read(folder.join("unet/diffusion_pytorch_model.fp16.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor("down_blocks.0.attentions.0.proj_in.weight").unwrap();
    assert_eq!((tensor.shape(), tensor.dtype()), (&[32, 32, 1, 1][..], safetensors::Dtype::F16));
}
