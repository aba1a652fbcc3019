//! A trained autoencoder gives back what it was shown: TAEF2 on photos, from the folder that `LOWSHOT_DATA` names. Without them the test
//! says that it is skipped. What PyTorch gives back is in `tests/parity/taef2.json`.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use lowshot::data::decode::decode;
use lowshot::diffusion::autoencoder::Autoencoder;
use lowshot::diffusion::pipeline::tiny_autoencoder;
use lowshot::platform::native::FolderFiles;
use lowshot::{
    clip::Precision,
    diffusion::{Loading, Pipeline},
};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::support::pipeline;

/// Side of the photos' middle, in pixels.
const SIDE: u32 = 320;

/// Photos that come back well; of fine textures the tiny autoencoder keeps little, in PyTorch too.
const SMOOTH: [&str; 3] = ["cat-on-sofa.webp", "golden-dog-in-snow.webp", "sailboat-at-sea.webp"];

#[test]
fn photos_come_back() {
    let data = std::env::var_os("LOWSHOT_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    if !data.join("taef2").exists() || !data.join("photos").exists() {
        println!("skipped: no taef2 and photos in {}; set LOWSHOT_DATA", data.display());
        return;
    }
    let files = FolderFiles::open(&data.join("taef2")).unwrap();
    let (autoencoder, _) = tiny_autoencoder::<Flex>(&files, None, Precision::F32, &Default::default()).unwrap();
    let Autoencoder::Tiny(tiny) = &autoencoder else { panic!("TAEF2 is a tiny autoencoder") };
    assert_eq!((autoencoder.channels(), autoencoder.reduction()), (32, 8));
    let expected: HashMap<String, f64> =
        serde_json::from_slice(include_bytes!("../parity/taef2.json")).expect("the committed file");
    assert_eq!(expected.len(), 12);
    for (name, expected) in &expected {
        let photo = decode(&fs::read(data.join("photos").join(name)).unwrap(), name).unwrap();
        // The middle is enough to tell, and takes a tenth of the time.
        let (left, top) = ((photo.width() - SIDE) / 2, (photo.height() - SIDE) / 2);
        let photo = image::imageops::crop_imm(&photo, left, top, SIDE, SIDE).to_image();
        let given: Vec<f32> = photo.as_raw().iter().map(|byte| f32::from(*byte) / 127.5 - 1.0).collect();
        let side = SIDE as usize;
        let pixels = Tensor::from_data(TensorData::new(given.clone(), [1, side, side, 3]), &Default::default());
        let latent = tiny.encode(pixels);
        assert_eq!(latent.dims(), [1, side / 8, side / 8, 32]);
        let back: Vec<f32> = tiny.decode(latent).clamp(-1.0, 1.0).into_data().to_vec().unwrap();
        let error = given.iter().zip(&back).map(|(one, other)| f64::from(one - other).powi(2)).sum::<f64>()
            / given.len() as f64;
        // The peak is 2, from −1 to 1.
        let decibels = 10.0 * (4.0 / error).log10();
        println!("{name}: {decibels:.3} dB, in PyTorch {expected}");
        assert!((decibels - expected).abs() < 0.005, "{name}: {decibels} dB, in PyTorch {expected}");
        assert!(!SMOOTH.contains(&name.as_str()) || decibels >= 29.0, "{name}: {decibels} dB");
    }
    // Its latents are of another kind than Stable Diffusion's.
    let parent = tempfile::tempdir().unwrap();
    let folder = FolderFiles::open(&pipeline::write(&parent.path().join("small"))).unwrap();
    let small = Pipeline::<Flex>::load(&folder, &Loading::default(), &Default::default()).unwrap();
    let message = small.with_tiny_autoencoder(&files).unwrap_err().to_string();
    assert!(message.contains("4 channels") && message.contains("have 32"), "{message}");
}

#[test]
fn what_is_no_tiny_autoencoder_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let refused = |mentions: &[&str]| {
        let files = FolderFiles::open(parent.path()).unwrap();
        let error =
            tiny_autoencoder::<Flex>(&files, None, Precision::F32, &Default::default()).unwrap_err().to_string();
        assert!(!error.contains('\n'), "{error:?}");
        mentions.iter().for_each(|wanted| assert!(error.contains(wanted), "{error:?} does not name {wanted:?}"));
    };
    refused(&["_encoder.safetensors", "config.json", "give the folder"]);
    let weight = TensorView::new(Dtype::F32, vec![2], &[0; 8]).unwrap();
    let other = safetensors::serialize([("0.weight", weight)], None).unwrap();
    fs::write(parent.path().join("some_encoder.safetensors"), &other).unwrap();
    refused(&["_decoder.safetensors"]);
    fs::write(parent.path().join("some_decoder.safetensors"), &other).unwrap();
    refused(&["some_encoder.safetensors", "'0.weight'"]);
    fs::write(parent.path().join("config.json"), r#"{"_class_name": "AutoencoderTiny", "act_fn": "gelu"}"#).unwrap();
    refused(&["config.json", "act_fn", "gelu"]);
    fs::write(parent.path().join("config.json"), r#"{"_class_name": "AutoencoderTiny"}"#).unwrap();
    refused(&["there is no diffusion_pytorch_model.safetensors"]);
}
