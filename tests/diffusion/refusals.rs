//! What is no pipeline, or a broken one, is refused in one line that says what to do.

use std::fs;
use std::path::{Path, PathBuf};

use burn_flex::Flex;
use image::RgbImage;
use lowshot::diffusion::schedule::SchedulerKind;
use lowshot::diffusion::{Loading, Noise, Pipeline, Request, Settings};
use lowshot::platform::native::FolderFiles;
use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::support::pipeline;

const UNET: &str = "unet/diffusion_pytorch_model.safetensors";
const VAE: &str = "vae/diffusion_pytorch_model.safetensors";

fn load(path: &Path) -> lowshot::Result<Pipeline<Flex>> {
    Pipeline::load(&FolderFiles::open(path).unwrap(), &Loading::default(), &Default::default())
}

/// Fails unless loading ends with one line that names all of `mentions`.
fn refused(path: &Path, mentions: &[&str]) {
    let error = load(path).expect_err(&format!("{} was loaded", path.display()));
    check(&error, mentions);
}

fn check(error: &lowshot::Error, mentions: &[&str]) {
    let message = error.to_string();
    assert!(error.is_usage(), "{message}");
    assert!(!message.contains('\n'), "{message:?}");
    for wanted in mentions {
        assert!(message.contains(wanted), "{message:?} does not name {wanted:?}");
    }
}

/// A sound pipeline to break, and what makes a sound one of it again.
struct Sound {
    _parent: tempfile::TempDir,
    folder: PathBuf,
}

impl Sound {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let folder = pipeline::write(&parent.path().join("small"));
        Self { _parent: parent, folder }
    }

    /// Refused with this JSON file changed.
    fn refused_with(&self, file: &str, change: impl FnOnce(&mut Value), mentions: &[&str]) {
        self.refused_after(
            file,
            |path| {
                let mut json = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
                change(&mut json);
                fs::write(path, json.to_string()).unwrap();
            },
            mentions,
        );
    }

    /// Refused with this file changed or gone.
    fn refused_after(&self, file: &str, change: impl FnOnce(&Path), mentions: &[&str]) {
        let path = self.folder.join(file);
        let before = fs::read(&path).unwrap();
        change(&path);
        refused(&self.folder, mentions);
        fs::write(&path, before).unwrap();
    }
}

#[test]
fn places_that_are_no_pipeline() {
    let parent = tempfile::tempdir().unwrap();
    let place = |name: &str| {
        let folder = parent.path().join(name.replace('.', "-"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(name), b"what").unwrap();
        folder
    };
    refused(&place("notes.txt"), &["notes-txt", "model_index.json", "give the folder"]);
    refused(&place("pytorch_lora_weights.safetensors"), &["LoRA weights only", "fuse_lora"]);
    let checkpoint = place("v1-5-pruned.ckpt");
    refused(&checkpoint, &["v1-5-pruned.ckpt", "from_single_file"]);
    refused(&checkpoint.join("v1-5-pruned.ckpt"), &["one file", "from_single_file"]);
    refused(&place("model.safetensors").join("model.safetensors"), &["one file", "from_single_file"]);
}

#[test]
fn pipelines_of_another_kind() {
    let sound = Sound::new();
    let class = |class: &'static str| move |json: &mut Value| json["_class_name"] = json!(class);
    let index = "model_index.json";
    sound.refused_with(index, class("StableDiffusionXLPipeline"), &[index, "Stable Diffusion XL", "use a"]);
    sound.refused_with(index, class("StableDiffusion3Pipeline"), &["Stable Diffusion 3"]);
    sound.refused_with(index, class("FluxPipeline"), &["Flux", "use a Stable Diffusion 1, 2 or Turbo model"]);
    sound.refused_with(index, class("StableDiffusionInpaintPipeline"), &["inpainting"]);
    sound.refused_with(index, class("NoSuchPipeline"), &["NoSuchPipeline", "not supported"]);
    sound.refused_with(index, |json| json["_class_name"] = json!(7), &[index, "_class_name"]);
    let component = |name: &'static str, class: Value| move |json: &mut Value| json[name][1] = class;
    sound.refused_with(index, component("vae", json!("AsymmetricAutoencoderKL")), &["vae", "AsymmetricAutoencoderKL"]);
    sound.refused_with(index, component("text_encoder", json!("T5EncoderModel")), &["T5EncoderModel", "CLIPTextModel"]);
    sound.refused_with(index, component("unet", Value::Null), &["names no unet"]);
    sound.refused_after(index, |path| fs::write(path, "{\"_class").unwrap(), &[index, "not valid JSON", "download"]);
    load(&sound.folder).expect("the sound pipeline");
}

#[test]
fn components_that_are_missing_or_broken() {
    let sound = Sound::new();
    let gone = |path: &Path| fs::remove_file(path).unwrap();
    for file in ["unet/config.json", "vae/config.json", "text_encoder/config.json", "scheduler/scheduler_config.json"] {
        sound.refused_after(file, gone, &[file, "missing", "download"]);
    }
    sound.refused_after(UNET, gone, &["unet", "there is no diffusion_pytorch_model.safetensors", "download"]);
    let pickle = |path: &Path| fs::rename(path, path.with_extension("bin")).unwrap();
    sound.refused_after(VAE, pickle, &["vae", "diffusion_pytorch_model.bin", "pickle"]);
    fs::remove_file(sound.folder.join(VAE).with_extension("bin")).unwrap();
    let cut = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() - 1000]).unwrap();
    };
    sound.refused_after(UNET, cut, &[UNET, "cut off", "download it again"]);
    sound.refused_after(VAE, |path| fs::write(path, b"").unwrap(), &[VAE, "empty"]);
    sound.refused_after(
        "text_encoder/model.safetensors",
        |path| drop(fs::copy(sound.folder.join(VAE), path)),
        &["text_encoder/model.safetensors", "missing", "unexpected"],
    );
    sound.refused_after("tokenizer/merges.txt", gone, &["tokenizer", "tokenizer.json", "merges.txt"]);
    sound.refused_with(
        "tokenizer/special_tokens_map.json",
        |json| json["pad_token"] = json!("<nothing>"),
        &["tokenizer", "<nothing>"],
    );
    let variant = Loading { variant: Some("fp16".into()), ..Loading::default() };
    let error = Pipeline::<Flex>::load(&FolderFiles::open(&sound.folder).unwrap(), &variant, &Default::default());
    check(&error.unwrap_err(), &["diffusion_pytorch_model.fp16.safetensors"]);
    load(&sound.folder).expect("the sound pipeline");
}

#[test]
fn shards_one_of_which_is_cut_off_or_gone() {
    let sound = Sound::new();
    let whole = load(&sound.folder).unwrap();
    let file = sound.folder.join(UNET);
    let bytes = fs::read(&file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut map = serde_json::Map::new();
    let names =
        ["diffusion_pytorch_model-00001-of-00002.safetensors", "diffusion_pytorch_model-00002-of-00002.safetensors"];
    let half = tensors.len() / 2;
    let mut all = tensors.tensors();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    for (shard, name) in [&all[..half], &all[half..]].into_iter().zip(names) {
        map.extend(shard.iter().map(|(tensor, _)| (tensor.clone(), json!(name))));
        let shard = shard.iter().map(|(name, tensor)| (name.clone(), tensor.clone()));
        fs::write(file.with_file_name(name), safetensors::serialize(shard, None).unwrap()).unwrap();
    }
    fs::write(
        file.with_file_name("diffusion_pytorch_model.safetensors.index.json"),
        json!({"weight_map": map}).to_string(),
    )
    .unwrap();
    fs::remove_file(&file).unwrap();
    let sharded = load(&sound.folder).expect("two shards");
    assert_eq!(picture(&sharded), picture(&whole));

    let second = format!("unet/{}", names[1]);
    let cut = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    sound.refused_after(&second, cut, &[names[1], "cut off", "download it again"]);
    sound.refused_after(&second, |path| fs::remove_file(path).unwrap(), &[names[1], "not there", "download"]);
}

#[test]
fn networks_that_are_not_built_here() {
    let sound = Sound::new();
    let unet = "unet/config.json";
    let set = |key: &'static str, value: Value| move |json: &mut Value| json[key] = value;
    for (key, value, mentions) in [
        ("addition_embed_type", json!("text_time"), ["addition_embed_type", "Stable Diffusion XL"]),
        ("class_embed_type", json!("projection"), ["class_embed_type", "projection"]),
        ("resnet_time_scale_shift", json!("scale_shift"), ["resnet_time_scale_shift", "not supported"]),
        ("mid_block_type", json!("UNetMidBlock2DSimpleCrossAttn"), ["mid_block_type", "UNetMidBlock2DSimpleCrossAttn"]),
        (
            "down_block_types",
            json!(["DownBlock2D", "AttnDownBlock2D", "DownBlock2D"]),
            ["down_block_types", "AttnDownBlock2D"],
        ),
        ("down_block_types", json!(["DownBlock2D"]), ["down_block_types", "1 entries for 3 blocks"]),
        ("block_out_channels", json!([32, 0, 64]), ["block_out_channels", "0"]),
        ("block_out_channels", json!("many"), ["block_out_channels", "many"]),
        ("block_out_channels", json!([32, 36, 64]), ["norm_num_groups 8", "36"]),
        ("attention_head_dim", json!(5), ["attention_head_dim", "5"]),
        ("layers_per_block", json!([1, 1]), ["layers_per_block", "2 entries"]),
        ("layers_per_block", json!(-1), ["layers_per_block", "-1"]),
        ("norm_eps", json!("tiny"), ["norm_eps", "tiny"]),
        ("norm_num_groups", Value::Null, ["norm_num_groups", "null"]),
        ("transformer_layers_per_block", json!([[1], [], 1]), ["transformer_layers_per_block", "0 entries"]),
        ("in_channels", json!(9), ["9 channels", "inpainting"]),
        ("cross_attention_dim", json!(768), ["768", "different models"]),
        ("_class_name", json!("UNet3DConditionModel"), ["UNet3DConditionModel", "UNet2DConditionModel"]),
    ] {
        let mentions = if key == "cross_attention_dim" { mentions.to_vec() } else { [&mentions[..], &[unet]].concat() };
        sound.refused_with(unet, set(key, value), &mentions);
    }
    sound.refused_with(
        "vae/config.json",
        set("up_block_types", json!(["UpDecoderBlock2D"])),
        &["vae/config.json", "1 entries"],
    );
    sound.refused_with("vae/config.json", set("scaling_factor", json!(0)), &["scaling_factor", "above 0"]);
    sound.refused_with("vae/config.json", set("latent_channels", json!(16)), &["16", "do not belong together"]);
    sound.refused_with("text_encoder/config.json", set("model_type", json!("t5")), &["t5", "clip_text_model"]);
    sound.refused_with("text_encoder/config.json", set("hidden_size", json!(-3)), &["hidden_size", "-3"]);
    sound.refused_with(
        "text_encoder/config.json",
        set("vocab_size", json!(100)),
        &["49408 tokens", "different models"],
    );
    sound.refused_with(unet, set("layers_per_block", json!(2)), &["unet", "missing", "is this the config"]);
    load(&sound.folder).expect("the sound pipeline");
}

/// Another scheduler reads the same betas, so the pipeline's own matters only where it is used.
#[test]
fn a_scheduler_that_is_not_known_and_not_used() {
    let sound = Sound::new();
    let ddim = Some(SchedulerKind::Ddim);
    let whole = picture_by(&load(&sound.folder).unwrap(), ddim).unwrap();
    for (file, change) in [
        ("model_index.json", (|json| json["scheduler"][1] = json!("NoSuchScheduler")) as fn(&mut Value)),
        ("scheduler/scheduler_config.json", |json| json["_class_name"] = json!("NoSuchScheduler")),
    ] {
        let path = sound.folder.join(file);
        let mut json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut json);
        fs::write(path, json.to_string()).unwrap();
    }
    let pipeline = load(&sound.folder).unwrap();
    assert_eq!(picture_by(&pipeline, ddim).unwrap(), whole);
    let mentions = ["scheduler_config.json", "NoSuchScheduler is not known", "DDIMScheduler"];
    check(&picture_by(&pipeline, None).unwrap_err(), &mentions);
    // One that does not say how its noise grows is of another kind.
    sound.refused_with(
        "scheduler/scheduler_config.json",
        |json| drop(json.as_object_mut().unwrap().remove("beta_schedule")),
        &mentions,
    );
}

#[test]
fn settings_that_do_not_go_together() {
    let sound = Sound::new();
    let pipeline = load(&sound.folder).unwrap();
    let (square, wide, dot) = (RgbImage::new(32, 32), RgbImage::new(64, 32), RgbImage::new(5, 40));
    let request = |picture| Request { picture, prompt: "a", negative_prompt: "", noise: Noise::Seed(1) };
    let refused = |requests: &[Request<'_>], settings: Settings, mentions: &[&str]| {
        let made = pipeline.image_to_image(requests, &settings, &mut |_, _| Ok(()));
        check(&made.unwrap_err(), mentions);
    };
    let scheduler = Some(SchedulerKind::Ddim);
    let fine = Settings { scheduler, steps: 4, strength: 0.5, ..Settings::default() };
    refused(&[], fine, &["no picture"]);
    refused(&[request(&square), request(&wide)], fine, &["one size"]);
    refused(&[request(&dot)], fine, &["at least 8 × 8"]);
    refused(&[request(&square)], Settings { size: Some([30, 32]), ..fine }, &["30 × 32", "multiples of 8"]);
    refused(&[request(&square)], Settings { strength: 1.5, ..fine }, &["strength of 1.5"]);
    refused(&[request(&square)], Settings { steps: 0, ..fine }, &["0 steps"]);
    let short = [vec![0.0; 64]];
    let given = Request { noise: Noise::Given(&short), ..request(&square) };
    refused(&[given], fine, &["more noise of 64"]);
    let stop = |step: usize, steps: usize| {
        assert_eq!(steps, 2);
        if step == 2 { Err(lowshot::Error::Usage("enough".into())) } else { Ok(()) }
    };
    let stopped = pipeline.image_to_image(&[request(&square)], &fine, &mut { stop });
    check(&stopped.unwrap_err(), &["enough"]);
}

fn picture(pipeline: &Pipeline<Flex>) -> RgbImage {
    picture_by(pipeline, None).unwrap()
}

fn picture_by(pipeline: &Pipeline<Flex>, scheduler: Option<SchedulerKind>) -> lowshot::Result<RgbImage> {
    let from = RgbImage::from_fn(64, 64, |x, y| image::Rgb([x as u8 * 3, y as u8 * 2, 90]));
    let request = Request { picture: &from, prompt: "a", negative_prompt: "", noise: Noise::Seed(1) };
    let settings = Settings { scheduler, steps: 4, strength: 0.5, ..Settings::default() };
    Ok(pipeline.image_to_image(&[request], &settings, &mut |_, _| Ok(()))?.remove(0))
}
