//! Wrong flags: one line, exit code 2, before any work is done.

use crate::command::{Machine, each, repository, tile};

#[test]
fn every_wrong_flag_is_refused_in_one_line() {
    let machine = Machine::new();
    let (tile, samples) = (tile(0), repository("samples"));
    let words = |text: &str| -> Vec<String> {
        let fill = |word: &str| word.replace("TILE", &tile).replace("SAMPLES", &samples);
        text.split_whitespace().map(fill).collect()
    };
    // What is wrong, and what the line must name.
    let cases: &[(&str, &[&str])] = &[
        ("frobnicate", &["frobnicate"]),
        ("classify", &["IMAGES"]),
        ("classify TILE", &["--classes"]),
        ("classify TILE --classes a,b --bogus", &["--bogus"]),
        ("classify TILE --classes a,b --adapter run", &["--classes", "--adapter"]),
        ("classify TILE --classes a,,b", &["class 2", "--classes"]),
        ("classify TILE --classes a,b --top many", &["--top", "many"]),
        ("classify TILE --classes a,b --template picture", &["picture", "{}"]),
        ("classify TILE --classes a,b --device tpu", &["tpu", "cpu"]),
        ("classify TILE --classes a,b --model ViT-Z/99", &["ViT-Z/99", "demo", "ViT-B/16", "RN50"]),
        ("classify TILE --classes a,b --model ViT-B/16", &["ViT-B/16", "lowshot fetch ViT-B/16"]),
        ("classify TILE --adapter absent", &["absent"]),
        ("embed", &["INPUTS"]),
        ("embed TILE", &["--out"]),
        ("embed absent.jpg --out features.safetensors", &["absent.jpg"]),
        ("demo --seed -1", &["-1"]),
        ("demo --seed=-1", &["--seed", "-1"]),
        ("demo --model nothing", &["nothing", "demo"]),
        ("eval --dataset eurosat", &["--adapter"]),
        ("eval --adapter absent --dataset eurosat", &["absent"]),
        ("train", &["--dataset"]),
        ("train --dataset eurosat --method tip", &["--out"]),
        ("train --dataset eurosat --root_path SAMPLES --out run", &["--method", "zero-shot", "linear-probe"]),
        ("TRAIN --method tipp", &["tipp", "zero-shot", "tip", "tip-f", "meta", "linear-probe"]),
        ("TRAIN --method tip --enable_MetaAdapter", &["tip", "--enable", "meta"]),
        ("TRAIN --method lora --enable_BitFit", &["lora", "--enable", "bitfit"]),
        ("TRAIN --enable_breaking_loss", &["--enable_breaking_loss", "--enable_lora"]),
        ("TRAIN --method meta+breaking", &["meta+breaking", "lora+bitfit"]),
        ("TRAIN --enable_lora --r 0", &["rank", "0"]),
        ("TRAIN --enable_lora --params q x", &["--params", "x"]),
        ("TRAIN --enable_lora --params q q", &["projection", "twice"]),
        ("TRAIN --enable_lora --dropout_rate_LoRA 1", &["dropout", "1"]),
        ("TRAIN --enable_lora --position middle", &["--position", "middle", "half-up"]),
        ("TRAIN --enable_lora --n_iters 8 --shots all", &["--iters", "--epochs"]),
        ("TRAIN --enable_lora --iters 0", &["0 training steps"]),
        ("TRAIN --enable_lora --accumulate 99", &["99 parts", "24"]),
        ("TRAIN --enable_lora --batch_size 0", &["batch of 0"]),
        ("TRAIN --enable_lora --meta-dropout 0.1", &["--meta-dropout", "--enable_MetaAdapter"]),
        ("TRAIN --enable_lora --breaking-pair independent", &["--breaking-pair", "--enable_breaking_loss"]),
        ("TRAIN --enable_BitFit --scaling standard", &["--scaling", "--enable_lora"]),
        ("TRAIN --enable_lora --encoder text --enable_breaking_loss", &["breaking loss", "image tower"]),
        ("TRAIN --enable_lora --enable_breaking_loss", &["label_breaking", "lowshot augment"]),
        ("TRAIN --enable_lora --preserving 2", &["label_preserving", "lowshot augment"]),
        ("TRAIN --enable_lora --load_ckpt last.safetensors", &["last.safetensors"]),
        ("TRAIN --enable_lora --c 1", &["--c", "lora"]),
        ("TRAIN --method tip --position up", &["--position", "tip"]),
        ("TRAIN --method tip --eval_only --load_ckpt absent", &["absent"]),
        ("TRAIN --method tip --load_ckpt last.pt", &["lowshot eval"]),
        ("TRAIN --method tip --filename run", &["save_path"]),
        ("TRAIN --method tip --shots many", &["many", "all"]),
        ("TRAIN --method tip --shots -1", &["-1"]),
        ("TRAIN --method tip --shots 10001", &["10001", "10000"]),
        ("TRAIN --method tip --shots 0", &["--shots 0", "tip"]),
        ("TRAIN --method tip --lr 0.1", &["--lr", "tip"]),
        ("TRAIN --method meta --lr fast", &["--lr", "fast"]),
        ("TRAIN --method meta --lr 0", &["learning rate"]),
        ("TRAIN --method meta --lr nan", &["learning rate"]),
        ("TRAIN --method tip-f --lr -1", &["-1"]),
        ("TRAIN --method meta --iters 5 --n_iters 5", &["--iters", "--n-iters"]),
        ("TRAIN --method meta --n_iters 5 --shots all", &["--iters"]),
        ("TRAIN --method zero-shot --iters 5", &["--iters", "zero-shot"]),
        ("TRAIN --method meta --meta-dropout 1.5", &["dropout", "1.5"]),
        ("TRAIN --method tip --meta-dropout 0.1", &["--meta-dropout", "tip"]),
        ("TRAIN --method meta --c 1", &["--c", "meta"]),
        ("TRAIN --method linear-probe --c -1", &["-1"]),
        ("TRAIN --method linear-probe --c=-1", &["--c", "-1"]),
        ("TRAIN --method tip --logit-scale 0", &["0", "model"]),
        ("TRAIN --method tip --logit-scale warm", &["warm", "model"]),
        ("TRAIN --method tip --templates absent.txt", &["absent.txt"]),
        ("TRAIN --method tip --dataset dogs", &["--dataset"]),
        ("TRAIN --method tip --model nothing", &["nothing", "demo", "ViT-B/32"]),
        ("TRAIN --method tip-f --base-to-novel", &["tip-f"]),
        ("TRAIN --method linear-probe --base-to-novel", &["linear-probe"]),
    ];
    each(cases, |(text, mentions)| {
        let text = text.replace("TRAIN", "train --dataset eurosat --root-path SAMPLES --out run");
        machine.run(words(&text)).refused_for(mentions);
        assert_eq!(machine.files().len(), 0, "{text}: {:?}", machine.files());
    });
}

/// Without a command there is help, which is long, and still exit code 2.
#[test]
fn no_command_shows_the_help() {
    let output = Machine::new().command().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(output.stdout, b"");
    let help = String::from_utf8(output.stderr).unwrap();
    assert!(["demo", "classify", "embed", "train", "eval", "models", "doctor"].iter().all(|name| help.contains(name)));
    let help = Machine::new().run(["--help"]).done();
    assert!(help.stdout.contains("Usage:") && help.stderr.is_empty(), "{help:?}");
    let version = Machine::new().run(["--version"]).done();
    assert_eq!(version.stdout, format!("lowshot {}\n", env!("CARGO_PKG_VERSION")));
}
