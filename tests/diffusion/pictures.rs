//! Whole pipelines, from a folder on disk to pixels, make of a picture what diffusers' make of it with the same noise.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use burn_flex::Flex;
use image::RgbImage;
use lowshot::diffusion::schedule::SchedulerKind;
use lowshot::diffusion::{Loading, Noise, Pipeline, Request, Settings};
use lowshot::platform::native::FolderFiles;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::Value;

use crate::reference::{Errors, Tensors, kept, read, sampled, values};
use crate::support::pipeline;
use crate::support::seeded::Precision;

/// More than any of the cases draws.
const NOISES: usize = 40;

#[test]
fn pictures_from_pictures() {
    let (cases, tensors) = (read("pictures"), Tensors::read("pictures"));
    let parent = tempfile::tempdir().unwrap();
    let mut pipelines = HashMap::new();
    let mut errors = Errors::new();
    for (name, case) in cases.as_object().unwrap() {
        let of = (case["pipeline"].as_str().unwrap(), case["config"].clone().to_string());
        let made = pipelines.entry(of).or_insert_with_key(|(pipeline, config)| {
            let folder = parent.path().join(name);
            pipeline::write_as(&folder, pipeline, Precision::F32, None);
            if config != "null" {
                fs::write(folder.join("scheduler/scheduler_config.json"), config).unwrap();
            }
            load(&folder)
        });
        let (picture, noise) = (picture(case), noises(case));
        let request = request(case, &picture, &noise);
        let latents = made.latents(&[request], &settings(case), &mut |_, _| Ok(())).unwrap();
        errors.check(&tensors, &format!("{name}.latents"), &kept(latents.clone()));
        let pixels = made.decode(latents, false);
        errors.check(&tensors, &format!("{name}.pixels"), &kept(pixels));
    }
    errors.finish(2 * cases.as_object().unwrap().len());
}

#[test]
fn pictures_in_a_batch_in_bytes() {
    let (cases, tensors) = (read("pictures"), Tensors::read("pictures"));
    let parent = tempfile::tempdir().unwrap();
    let made = load(&pipeline::write(&parent.path().join("small")));
    let case = &cases["ddim"];
    let (picture, noise) = (picture(case), noises(case));
    let one = request(case, &picture, &noise);
    let other = Request { prompt: "a dog", noise: Noise::Seed(3), ..one };
    let pictures = made.image_to_image(&[other, one], &settings(case), &mut |_, _| Ok(())).unwrap();
    let bytes: Vec<f32> = pictures[1].as_raw().iter().map(|byte| f32::from(*byte)).collect();
    let (_, expected) = tensors.get("ddim.pixels").unwrap();
    let bytes = sampled(&bytes);
    assert_eq!(bytes.len(), expected.len());
    for (byte, pixel) in bytes.iter().zip(expected) {
        let exact = (pixel / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0;
        assert!((byte - exact).abs() < 0.51, "{byte} {exact}");
    }
    assert_ne!(pictures[0], pictures[1]);
}

#[test]
fn other_names_and_files_of_the_same_weights() {
    let parent = tempfile::tempdir().unwrap();
    let plain = load(&pipeline::write(&parent.path().join("plain")));
    let folder = pipeline::write(&parent.path().join("other"));
    // The autoencoder's attention as diffusers named it before 0.15, and the text encoder's tensors as transformers does since 5.0.
    rename(&folder.join("vae/diffusion_pytorch_model.safetensors"), |name| {
        let (head, tail) = name.split_once("attentions.0.")?;
        let tail = tail
            .replace("to_q", "query")
            .replace("to_k", "key")
            .replace("to_v", "value")
            .replace("to_out.0", "proj_attn");
        Some(format!("{head}attentions.0.{tail}"))
    });
    rename(&folder.join("text_encoder/model.safetensors"), |name| name.strip_prefix("text_model.").map(str::to_owned));
    // The tokenizer as transformers saves it since 5.0.
    for file in ["vocab.json", "merges.txt", "special_tokens_map.json"] {
        fs::remove_file(folder.join("tokenizer").join(file)).unwrap();
    }
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo-clip/tokenizer.json");
    fs::copy(demo, folder.join("tokenizer/tokenizer.json")).unwrap();
    let other = load(&folder);
    let case = &read("pictures")["euler"];
    let (picture, noise) = (picture(case), noises(case));
    let make = |pipeline: &Pipeline<Flex>| {
        let request = request(case, &picture, &noise);
        pipeline.image_to_image(&[request], &settings(case), &mut |_, _| Ok(())).unwrap()
    };
    assert_eq!(make(&plain), make(&other));
}

fn load(folder: &Path) -> Pipeline<Flex> {
    Pipeline::load(&FolderFiles::open(folder).unwrap(), &Loading::default(), &Default::default()).unwrap()
}

fn settings(case: &Value) -> Settings {
    let number = |key: &str| case[key].as_f64().unwrap();
    let scheduler = case["scheduler"].as_str().map(|name| name.parse::<SchedulerKind>().unwrap());
    Settings {
        scheduler,
        steps: number("steps") as usize,
        strength: number("strength"),
        guidance: number("guidance"),
        ..Settings::default()
    }
}

fn request<'a>(case: &'a Value, picture: &'a RgbImage, noise: &'a [Vec<f32>]) -> Request<'a> {
    let text = |key: &str| case[key].as_str().unwrap();
    Request { picture, prompt: text("prompt"), negative_prompt: text("negative"), noise: Noise::Given(noise) }
}

/// The case's tile, cut to its size.
fn picture(case: &Value) -> RgbImage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/towers/tiles");
    let tile = image::open(path.join(case["picture"].as_str().unwrap())).unwrap().to_rgb8();
    let [width, height]: [u32; 2] = serde_json::from_value(case["crop"].clone()).unwrap();
    image::imageops::crop_imm(&tile, 0, 0, width, height).to_image()
}

fn noises(case: &Value) -> Vec<Vec<f32>> {
    let [height, width, channels]: [usize; 3] = serde_json::from_value(case["shape"].clone()).unwrap();
    let noise = |index| values(&format!("noise.{index}"), [height, width, channels]).to_data().to_vec().unwrap();
    (0..NOISES).map(noise).collect()
}

/// Gives tensors of a file other names; those for which there is none keep theirs. At least one must change.
fn rename(path: &Path, other: impl Fn(&str) -> Option<String>) {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let renamed: Vec<(String, TensorView<'_>)> =
        file.tensors().into_iter().map(|(name, tensor)| (other(&name).unwrap_or(name), tensor)).collect();
    assert!(renamed.iter().any(|(name, _)| file.tensor(name).is_err()));
    fs::write(path, safetensors::serialize(renamed, None).unwrap()).unwrap();
}
