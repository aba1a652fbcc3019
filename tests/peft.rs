//! PEFT's files against PEFT: what it wrote is read and computes the same features, and what is written is what it wrote.
//!
//! `tests/parity/peft_files.py` made the fixtures in `tests/parity/peft`, and checks what this test leaves in `target/tmp/peft` by
//! loading it with PEFT.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "support/command.rs"]
#[allow(dead_code)]
mod command;
mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use command::{Machine, tile};
use lowshot::{
    Result,
    adapter::{
        bitfit::BitFitConfig,
        lora::{Encoder, LoraConfig, Position, Projection, Scaling},
        tuning::{Tuning, TuningConfig},
    },
    clip::Clip,
    platform::models::demo_files,
    session::Backbone,
    weights::{
        TensorFile,
        peft::{CONFIG, Imported, LowRank, Matrices, Matrix, PeftFiles, WEIGHTS, export, import},
        tensors::{Values, encode},
    },
};
use serde_json::{Value, json};
use support::{
    folders,
    reference::{Reference, relative_error},
    seeded::{self, Precision},
};

/// Features in f32 against PEFT's in f64.
const TOLERANCE: f64 = 1e-4;

fn demo() -> Backbone<Flex> {
    Backbone::load("demo", &demo_files(), &Default::default()).unwrap()
}

fn fixture(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/peft").join(case)
}

fn files(case: &str) -> PeftFiles {
    let folder = fixture(case);
    PeftFiles {
        config: fs::read_to_string(folder.join(CONFIG)).unwrap(),
        weights: fs::read(folder.join(WEIGHTS)).unwrap(),
    }
}

fn read(files: &PeftFiles) -> Result<Imported> {
    import(
        "adapter_config.json",
        files.config.as_bytes(),
        &TensorFile::open("adapter_model.safetensors", Arc::new(files.weights.clone()))?,
    )
}

/// All tensors of a safetensors file as matrices, vectors as rows.
fn tensors(bytes: &[u8]) -> Matrices {
    let file = TensorFile::open("file", Arc::new(bytes.to_vec())).unwrap();
    let read = |(name, shape): (String, Vec<usize>)| {
        let mut values = Vec::new();
        file.read(&name, &mut values).unwrap();
        let shape = if shape.len() == 1 { [1, shape[0]] } else { shape.try_into().unwrap() };
        (name, Matrix { shape, values })
    };
    file.shapes().map(read).collect()
}

fn bytes(tensors: &Matrices) -> Vec<u8> {
    let shape = |name: &str, matrix: &Matrix| {
        if name.ends_with(".bias") { vec![matrix.shape[1]] } else { matrix.shape.to_vec() }
    };
    let entries: Vec<_> =
        tensors.iter().map(|(name, m)| (name.as_str(), shape(name, m), Values::F32(&m.values))).collect();
    encode(&entries, &[]).unwrap()
}

/// The towers with an adapter's tensors in them.
fn tuned(backbone: &Backbone<Flex>, config: TuningConfig, matrices: &Matrices) -> Clip<Flex> {
    let tensor = |(name, matrix): (&String, &Matrix)| {
        let data = TensorData::new(matrix.values.clone(), matrix.shape);
        (name.clone(), Tensor::from_data(data, backbone.clip.device()))
    };
    let tensors = matrices.iter().map(tensor).collect();
    Tuning::from_tensors(config, &backbone.clip, &backbone.config, tensors).unwrap().merged(&backbone.clip)
}

/// Unit features of the fixture's pictures and captions.
fn features(backbone: &Backbone<Flex>, clip: &Clip<Flex>, expected: &Value) -> [Vec<f32>; 2] {
    let [count, side] = ["pictures", "side"].map(|key| expected[key].as_u64().unwrap() as usize);
    let pixels = Tensor::from_data(TensorData::new(seeded::pixels(count, side), [count, 3, side, side]), clip.device());
    let captions: Vec<String> = serde_json::from_value(expected["captions"].clone()).unwrap();
    let ids: Vec<Vec<u32>> = captions.iter().map(|caption| backbone.tokenizer.encode_within(caption, 77)).collect();
    [clip.image_features(pixels), clip.text_features(&ids)].map(|features| features.into_data().to_vec().unwrap())
}

fn expected(case: &str) -> Value {
    serde_json::from_slice(&fs::read(fixture(case).join("expected.json")).unwrap()).unwrap()
}

fn settings(case: &str) -> (LoraConfig, Option<BitFitConfig>) {
    match case {
        "lora+bitfit" => {
            let projections = vec![Projection::Query, Projection::Value];
            (LoraConfig { projections, ..LoraConfig::default() }, Some(BitFitConfig::default()))
        }
        _ => {
            let lora = LoraConfig {
                rank: 4,
                alpha: 8.0,
                dropout: 0.0,
                scaling: Scaling::Standard,
                projections: vec![Projection::Query, Projection::Key, Projection::Value, Projection::Output],
                position: Position::HalfUp,
                encoder: Encoder::Vision,
            };
            (lora, None)
        }
    }
}

const CASES: [&str; 2] = ["lora+bitfit", "lora-vision-up"];

#[test]
fn what_peft_wrote_computes_the_same_features() {
    let backbone = demo();
    for case in CASES {
        let imported = read(&files(case)).unwrap();
        assert_eq!(imported.base, "demo-clip");
        let config = imported.config(&backbone.config).unwrap();
        let (lora, bitfit) = settings(case);
        assert_eq!((config.lora.as_ref(), config.bitfit), (Some(&lora), bitfit));
        let expected = expected(case);
        let found = features(&backbone, &tuned(&backbone, config, &imported.matrices), &expected);
        let rows = |key: &str| serde_json::from_value::<Vec<Vec<f32>>>(expected[key].clone()).unwrap();
        let [image, text] = [("image_features", &found[0]), ("text_features", &found[1])]
            .map(|(key, found)| relative_error(found, &rows(key)));
        println!("{case:16} image {image:.1e}  text {text:.1e}");
        assert!(image < TOLERANCE && text < TOLERANCE, "{case}: image off by {image:.2e}, text by {text:.2e}");
    }
}

/// Import forgets nothing and export adds nothing: PEFT's own names, shapes and numbers come back.
#[test]
fn what_is_written_is_what_peft_wrote() {
    for case in CASES {
        let theirs = files(case);
        let imported = read(&theirs).unwrap();
        let ours = export(case, &imported.matrices, imported.low_rank, &imported.base).unwrap();
        assert_eq!(tensors(&ours.weights), tensors(&theirs.weights), "{case}");
        assert_eq!(ours, export(case, &imported.matrices, imported.low_rank, &imported.base).unwrap());
        let [ours, theirs]: [Value; 2] =
            [&ours.config, &theirs.config].map(|config| serde_json::from_str(config).unwrap());
        for (key, value) in ours.as_object().unwrap() {
            match key.as_str() {
                "target_modules" => {}
                // PEFT writes 8 and we 8.0.
                "lora_alpha" => assert_eq!(value.as_f64(), theirs[key].as_f64()),
                _ => assert_eq!(value, &theirs[key], "{case}: {key}"),
            }
        }
    }
}

/// For `peft_files.py check`: exports of every kind beside the features that they must give in PEFT.
#[test]
fn exports_for_peft_to_load() {
    let backbone = demo();
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peft");
    let _ = fs::remove_dir_all(&out);
    let lora = |lora: LoraConfig| TuningConfig { lora: Some(lora), ..TuningConfig::default() };
    let bitfit = |encoder| Some(BitFitConfig { encoder });
    let only = |position, encoder| LoraConfig { position, encoder, ..LoraConfig::default() };
    let cases = [
        ("lora", lora(LoraConfig::default())),
        (
            "lora-standard-o",
            lora(LoraConfig {
                rank: 3,
                scaling: Scaling::Standard,
                projections: vec![Projection::Output],
                ..LoraConfig::default()
            }),
        ),
        ("lora-text-top3", lora(only(Position::Top3, Encoder::Text))),
        ("lora-vision-bottom", lora(only(Position::Bottom, Encoder::Vision))),
        ("lora+bitfit", TuningConfig { bitfit: bitfit(Encoder::Both), ..lora(LoraConfig::default()) }),
        (
            "lora-vision+bitfit-text",
            TuningConfig { bitfit: bitfit(Encoder::Text), ..lora(only(Position::Mid, Encoder::Vision)) },
        ),
        ("bitfit", TuningConfig { bitfit: bitfit(Encoder::Both), ..TuningConfig::default() }),
        ("bitfit-vision", TuningConfig { bitfit: bitfit(Encoder::Vision), ..TuningConfig::default() }),
    ];
    for (case, config) in cases {
        let start = Tuning::new(config.clone(), &backbone.clip, &backbone.config, 1).unwrap();
        let mut matrices = Matrices::new();
        for (name, tensor) in start.tensors() {
            let shape = tensor.dims();
            let mut values: Vec<f32> = tensor.clone().into_data().to_vec().unwrap();
            let scale = if name.ends_with(".up") { 0.3 } else { 0.05 };
            values
                .iter_mut()
                .zip(seeded::uniform(&format!("{case}.{name}"), shape[0] * shape[1]))
                .for_each(|(v, u)| *v += scale * u);
            matrices.insert(name.to_owned(), Matrix { shape, values });
        }
        let low_rank = config.lora.as_ref().map(LowRank::from);
        let mut with_head = matrices.clone();
        with_head.insert("head.text".into(), Matrix { shape: [1, 2], values: vec![1.0, 0.0] });
        let files = export(case, &with_head, low_rank, "demo-clip").unwrap();
        let again = read(&files).unwrap();
        assert_eq!((again.low_rank, &again.matrices), (low_rank, &matrices), "{case}");
        let read_config = again.config(&backbone.config).unwrap();
        assert_eq!((read_config.lora, read_config.bitfit), (config.lora.clone(), config.bitfit), "{case}");

        let inputs = expected(CASES[0]);
        let [image, text] = features(&backbone, &tuned(&backbone, config, &matrices), &inputs);
        let [plain, _] = features(&backbone, &backbone.clip, &inputs);
        assert!(case.contains("text") || relative_error(&image, &[plain]) > 0.01, "{case}: the adapter does nothing");
        let width = backbone.config.embedding;
        let shape = |values: &[f32]| vec![values.len() / width, width];
        let features = [
            ("image_features", shape(&image), Values::F32(&image)),
            ("text_features", shape(&text), Values::F32(&text)),
        ];
        let folder = out.join(case);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(CONFIG), files.config).unwrap();
        fs::write(folder.join(WEIGHTS), files.weights).unwrap();
        fs::write(folder.join("features.safetensors"), encode(&features, &[]).unwrap()).unwrap();
    }
}

/// PEFT's settings with one changed.
fn with(case: &str, key: &str, value: Value) -> PeftFiles {
    let PeftFiles { config, weights } = files(case);
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config[key] = value;
    PeftFiles { config: config.to_string(), weights }
}

/// PEFT's tensors changed.
fn changed(case: &str, change: impl Fn(&mut Matrices)) -> PeftFiles {
    let PeftFiles { config, weights } = files(case);
    let mut tensors = tensors(&weights);
    change(&mut tensors);
    PeftFiles { config, weights: bytes(&tensors) }
}

fn refusal(files: &PeftFiles) -> String {
    let message = read(files).unwrap_err().to_string();
    assert!(message.starts_with("adapter_") && message.lines().count() == 1, "{message}");
    message
}

#[test]
fn what_is_no_plain_lora_is_refused_by_name() {
    for (key, value) in [
        ("peft_type", json!("LOHA")),
        ("use_dora", json!(true)),
        ("fan_in_fan_out", json!(true)),
        ("modules_to_save", json!(["visual_projection"])),
        ("rank_pattern", json!({"q_proj": 8})),
        ("alpha_pattern", json!({"q_proj": 8})),
        ("bias", json!("lora_only")),
        ("init_lora_weights", json!("pissa_niter_4")),
        ("layer_replication", json!([[0, 2]])),
        ("r", json!(0)),
        ("lora_alpha", json!(-1)),
        ("lora_dropout", json!(1.0)),
    ] {
        let message = refusal(&with("lora+bitfit", key, value.clone()));
        assert!(message.contains(key), "{key} = {value}: {message}");
    }
    assert!(refusal(&with("lora+bitfit", "r", json!(3))).contains("does not fit rank 3"));
    assert!(refusal(&with("lora+bitfit", "bias", json!("none"))).contains("\"bias\": \"none\""));
    assert!(refusal(&with("lora-vision-up", "bias", json!("all"))).contains("\"bias\": \"all\""));
    for config in ["", "[]", "{}", "{\"peft_type\": 3}"] {
        refusal(&PeftFiles { config: config.into(), ..files("lora+bitfit") });
    }
}

#[test]
fn tensors_that_do_not_fit_are_refused_by_name() {
    let rename = |from: &'static str, to: &'static str| {
        move |tensors: &mut Matrices| {
            let names: Vec<String> = tensors.keys().filter(|name| name.contains(from)).cloned().collect();
            assert!(!names.is_empty());
            for name in names {
                let matrix = tensors.remove(&name).unwrap();
                tensors.insert(name.replace(from, to), matrix);
            }
        }
    };
    let case = "lora-vision-up";
    for (files, part) in [
        (changed(case, rename("self_attn.q_proj", "mlp.fc1")), "mlp.fc1.lora_A.weight"),
        (changed(case, rename("vision_model", "audio_model")), "audio_model.encoder"),
        (changed(case, rename("base_model.model.", "base_model.")), "none of LoRA"),
        (changed(case, rename("lora_A", "lora_magnitude")), "lora_magnitude"),
        (changed(case, rename("layers.3.self_attn.q_proj.lora_B", "layers.2.self_attn.q_proj.lora_B")), "lacks a half"),
        (changed(case, rename("layers.3.self_attn.q_proj", "layers.2.self_attn.q_proj")), "layers.2.self_attn.k_proj"),
        (
            changed("lora+bitfit", rename("layers.0.self_attn.k_proj.bias", "layers.9.self_attn.k_proj.bias")),
            "in_proj_bias",
        ),
        (changed("lora+bitfit", rename("pre_layrnorm", "pre_layernorm")), "pre_layernorm.bias"),
    ] {
        let message = refusal(&files);
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
    let transposed = changed(case, |tensors| tensors.values_mut().for_each(|m| m.shape.reverse()));
    assert!(refusal(&transposed).contains("does not fit rank 4"));
    let truncated = PeftFiles { weights: files(case).weights[..5000].into(), ..files(case) };
    assert!(refusal(&truncated).contains("cut off"));

    // Blocks that no position stands for are well-formed files; the towers' depth shows that they cannot be an adapter here.
    let lone = changed(case, |tensors| tensors.retain(|name, _| name.contains("layers.4")));
    let why = read(&lone).unwrap().config(&demo().config).unwrap_err();
    assert!(why.contains("blocks {4}"), "{why}");
}

#[test]
fn what_peft_cannot_hold_is_not_written() {
    let low_rank = read(&files(CASES[0])).unwrap().low_rank;
    let row = |values: usize| Matrix { shape: [1, values], values: vec![0.5; values] };
    let refused = |matrices: &[(&str, Matrix)], low_rank: Option<LowRank>| {
        let matrices = matrices.iter().map(|(name, matrix)| ((*name).to_owned(), matrix.clone())).collect();
        let message = export("adapter.safetensors", &matrices, low_rank, "demo-clip").unwrap_err().to_string();
        assert!(message.starts_with("adapter.safetensors: ") && message.lines().count() == 1, "{message}");
        message
    };
    assert!(refused(&[("head.text", row(4))], None).contains("nothing in CLIP's towers"));
    assert!(refused(&[("head.text", row(4))], low_rank).contains("disagree"));
    assert!(refused(&[("lora.visual.attnpool.attn.q.down", row(4))], low_rank).contains("attnpool"));
    let fused = ("bias.transformer.resblocks.0.attn.in_proj_bias", row(6));
    assert!(refused(&[fused, ("bias.visual.bn1.bias", row(8))], None).contains("visual.bn1.bias"));
    assert!(refused(&[("bias.transformer.resblocks.0.attn.in_proj_bias", row(7))], None).contains("does not split"));
}

/// Into an adapter file and back by the program: what PEFT wrote comes back, and the adapter file is one that can be used.
#[test]
fn the_program_converts_both_ways() {
    let machine = Machine::new();
    for case in CASES {
        let folder = fixture(case).display().to_string();
        let to_lowshot = [
            "convert",
            &folder,
            "--to",
            "lowshot",
            "--model",
            "demo",
            "--classes",
            "river,forest",
            "--out",
            "a.safetensors",
        ];
        let answer = machine.run([&to_lowshot[..], &["--json"]].concat()).json();
        assert_eq!(answer["left_out"], 0);
        let answer = machine.run(["convert", "a.safetensors", "--to", "peft", "--out", "back", "--json"]).json();
        assert_eq!(answer["left_out"], 1);
        let weights = fs::read(machine.path("back").join(WEIGHTS)).unwrap();
        assert_eq!(tensors(&weights), tensors(&files(case).weights), "{case}");
        let config: Value = serde_json::from_slice(&fs::read(machine.path("back").join(CONFIG)).unwrap()).unwrap();
        assert_eq!((&config["base_model_name_or_path"], &config["peft_type"]), (&json!("demo"), &json!("LORA")));

        let adapter = fs::read(machine.path("a.safetensors")).unwrap();
        machine.run(to_lowshot).done();
        assert_eq!(fs::read(machine.path("a.safetensors")).unwrap(), adapter, "{case}: other bytes the second time");
        let answer = machine.run(["classify", &tile(8), "--adapter", "a.safetensors", "--json"]).json();
        assert_eq!(answer[0]["classes"].as_array().unwrap().len(), 2);
        // Without --out, beside what is converted; the base model's name is known by then.
        machine.run(["convert", "a.safetensors", "--to", "peft"]).done();
        machine.run(["convert", "peft", "--to", "lowshot", "--classes", "river,forest"]).done();
        assert_eq!(fs::read(machine.path("peft/adapter.safetensors")).unwrap(), adapter, "{case}");
    }
}

#[test]
fn the_program_refuses_what_it_cannot_convert() {
    let machine = Machine::new();
    let folder = fixture("lora+bitfit").display().to_string();
    let lowshot = |more: &[&str]| machine.run([&["convert", &folder, "--to", "lowshot"], more].concat());
    lowshot(&["--model", "demo"]).refused_for(&["--classes"]);
    lowshot(&["--model", "demo", "--classes", "a,b,a"]).refused_for(&["--classes", "'a'"]);
    lowshot(&["--classes", "a,b"]).refused_for(&["adapter_config.json", "demo-clip", "--model"]);
    let tiny = folders::write(&machine.work(), &Reference::load("tiny"), Precision::F32).display().to_string();
    lowshot(&["--classes", "a,b", "--model", &tiny]).refused_for(&["adapter_config.json", "blocks"]);
    machine.run(["convert", &folder, "--to", "safetensors-hf"]).refused_for(&["safetensors-hf", "merge_and_unload"]);
    machine
        .run(["convert", "nowhere", "--to", "lowshot", "--classes", "a"])
        .refused_for(&["nowhere/adapter_config.json"]);
    machine.run(["convert", "nowhere.safetensors", "--to", "peft"]).refused_for(&["nowhere.safetensors"]);

    lowshot(&["--model", "demo", "--classes", "a,b", "--out", "a.safetensors"]).done();
    let wrong_base = machine.run(["convert", "a.safetensors", "--to", "peft", "--model", &tiny]);
    wrong_base.refused_for(&["a.safetensors", "trained on backbone demo", "tiny"]);
    assert!(!machine.path("peft").exists());
}
