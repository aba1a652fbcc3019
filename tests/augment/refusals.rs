//! Input that is wrong: one line that says what and what to do, and nothing made.

use std::fs;

use crate::command::{each, tile};
use crate::studio::{MANIFEST, Studio};
use crate::support::faults;

#[test]
fn settings_that_make_no_sense() {
    let studio = Studio::new();
    each(
        [
            ("--steps 0", &["--steps"][..]),
            ("--steps 2", &["2 steps", "0.3", "none"]),
            ("--steps 2000", &["2000", "steps"]),
            ("--strength 0.5", &["--strength", "both"]),
            ("--guidance nan", &["--guidance"]),
            ("--guidance=-1", &["--guidance", "-1"]),
            ("--scheduler heun", &["heun", "ddim"]),
            ("--scheduler euler --original-strength", &["--original-strength", "ddim"]),
            ("--size 0", &["--size"]),
            ("--size 36", &["36", "multiples of 8"]),
            ("--batch 0", &["--batch"]),
            ("--prompt circuit", &["--prompt", "{}"]),
            ("--shard 4/3", &["4/3"]),
            ("--fewshot none.json", &["--fewshot", "--shots"]),
            ("--precision f8", &["f8", "f16"]),
            ("--clip nobody --filter 0.2", &["nobody"]),
            ("--filter 0.2 --dry-run", &["--filter", "--dry-run"]),
        ],
        |(more, words)| {
            // A flag that stands there twice is refused by itself, so the usual ones make room.
            let given = more.split(' ').next().unwrap();
            let mut arguments = Studio::arguments("out", "");
            if let Some(at) = arguments.iter().position(|argument| argument == given) {
                arguments.drain(at..at + 2);
            }
            arguments.extend(more.split(' ').map(str::to_owned));
            studio.0.run(arguments).refused_for(words);
            assert!(studio.folder("out").pictures().is_empty());
        },
    );
    let mut arguments = Studio::arguments("out", "--strength 1.5");
    let at = arguments.iter().position(|argument| argument == "both").unwrap();
    arguments[at] = "breaking".into();
    studio.0.run(arguments).refused_for(&["1.5", "at most 1"]);
    let mut arguments = Studio::arguments("out", "--filter 0.2");
    let at = arguments.iter().position(|argument| argument == "both").unwrap();
    arguments[at] = "breaking".into();
    studio.0.run(arguments).refused_for(&["--filter", "--kind breaking"]);
    let mut arguments = Studio::arguments("out", "--breaking-pair independent");
    let at = arguments.iter().position(|argument| argument == "--per-image").unwrap();
    arguments[at + 1] = "1".into();
    studio.0.run(arguments.clone()).refused_for(&["independent", "--per-image 2"]);
    arguments[at + 1] = "0".into();
    arguments.retain(|argument| !["--breaking-pair", "independent"].contains(&argument.as_str()));
    studio.0.run(arguments).refused_for(&["--per-image 0"]);
}

#[test]
fn models_that_are_none() {
    let studio = Studio::new();
    let machine = &studio.0;
    let with_model = |model: &str| {
        let mut arguments = Studio::arguments("out", "");
        let at = arguments.iter().position(|argument| argument == "sd").unwrap();
        arguments[at] = model.to_owned();
        machine.run(arguments)
    };
    fs::create_dir(machine.path("empty")).unwrap();
    fs::create_dir(machine.path("lora")).unwrap();
    fs::write(machine.path("lora/pytorch_lora_weights.safetensors"), "x").unwrap();
    with_model("nowhere").refused_for(&["nowhere"]);
    with_model("empty").refused_for(&["empty", "model_index.json"]);
    with_model("lora").refused_for(&["lora", "LoRA"]);
    let weights = machine.path("sd/unet/diffusion_pytorch_model.safetensors");
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    with_model("sd").refused_for(&["unet", "diffusion_pytorch_model.safetensors"]);
    fs::write(&weights, &whole).unwrap();
    fs::remove_dir_all(machine.path("sd/vae")).unwrap();
    with_model("sd").refused_for(&["sd/vae"]);
    assert!(!machine.path("out").exists(), "something was written before the model was found good");
}

#[test]
fn data_that_cannot_be_used() {
    let studio = Studio::new();
    let machine = &studio.0;
    let with_dataset = |dataset: &str| {
        let mut arguments = Studio::arguments("out", "");
        let at = arguments.iter().position(|argument| argument == "eurosat").unwrap();
        arguments[at] = dataset.to_owned();
        machine.run(arguments)
    };
    with_dataset("nonesuch").refused_for(&["nonesuch"]);
    // A training image that is broken is found before anything is made.
    for name in ["x.jpg", "x.png", "y.png", "z.png"] {
        fs::copy(tile(8), machine.path(name)).unwrap();
    }
    fs::write(machine.path("tiles.csv"), "path,label,split\nx.jpg,a,train\nz.png,b,train\ny.png,a,test\n").unwrap();
    let usual = "augment --dataset tiles.csv --kind preserving --model sd --per-image 1 --size 32 --steps 8 --out made";
    fs::write(machine.path("z.png"), "no picture").unwrap();
    machine.run(usual.split(' ')).refused_for(&["z.png", "not an image"]);
    assert!(studio.folder("made").pictures().is_empty());
    fs::remove_file(machine.path("z.png")).unwrap();
    machine.run(usual.split(' ')).refused_for(&["z.png", "not found"]);

    // Two images whose pictures would have the same names.
    fs::write(machine.path("pairs.csv"), "path,label,split\nx.jpg,a,train\nx.png,b,train\ny.png,a,test\n").unwrap();
    let pairs = usual.replace("tiles.csv", "pairs.csv");
    machine.run(pairs.split(' ')).refused_for(&["x.jpg", "x.png", "rename"]);
}

#[test]
fn pictures_of_others_are_not_replaced() {
    let studio = Studio::new();
    studio.augment("out", "--shard 1/10").done();
    let folder = studio.folder("out");
    let picture = folder.pictures()[0].clone();
    let path = folder.0.join(&picture);
    fs::remove_file(folder.0.join(MANIFEST)).unwrap();
    let own = fs::read(tile(8)).unwrap();
    fs::write(&path, &own).unwrap();
    studio.augment("out", "--shard 1/10").refused_for(&[&picture, "not from 'lowshot augment'", "--out"]);
    assert_eq!(fs::read(&path).unwrap(), own);
}

#[test]
fn places_that_cannot_be_written() {
    let studio = Studio::new();
    if let Some(fault) = faults::read_only_folder(studio.0.work().as_path()) {
        let out = fault.path.join("pictures");
        let message = studio.augment(out.to_str().unwrap(), "").refused();
        assert!(message.to_lowercase().contains("permission") && message.contains("pictures"), "{message}");
    }
    fs::write(studio.0.path("file"), "mine").unwrap();
    studio.augment("file", "").refused_for(&["file"]);
    assert_eq!(fs::read_to_string(studio.0.path("file")).unwrap(), "mine");
    if let Some(disk) = faults::FullDisk::mount(studio.0.work().as_path()) {
        let out = disk.fault().path;
        let message = studio.augment(out.to_str().unwrap(), "").refused();
        assert!(message.contains("space"), "{message}");
    }
}
