//! Learning from all of a data set: how long, what is looked at, and the same result on any number of threads and after kills.

use std::process::Stdio;
use std::thread::sleep;
use std::time::Instant;

use crate::command::{Finished, Machine, repository};
use crate::run_folder::Run;

/// Files that are the same whatever happened on the way.
const SAME: [&str; 5] =
    ["predictions.csv", "adapter.safetensors", "checkpoint.safetensors", "plan.toml", "fewshot.json"];

/// The sample tiles: 160 to learn from.
fn arguments(out: &str, extra: &str) -> Vec<String> {
    let samples = repository("samples");
    let words = format!("train --dataset eurosat --shots all --seed 3 --out {out} {extra}");
    words.split_whitespace().map(str::to_owned).chain(["--root-path".to_owned(), samples]).collect()
}

fn train(machine: &Machine, out: &str, extra: &str) -> Finished {
    machine.run(arguments(out, extra).iter())
}

fn same(run: &Run, expected: &Run, when: &str) {
    for name in SAME {
        assert!(run.bytes(name) == expected.bytes(name), "{name} differs {when}");
    }
}

#[test]
fn epochs_become_steps_and_no_picture_is_looked_at_for_nothing() {
    let machine = Machine::new();
    // 2 · 160 pictures, 24 a step.
    for (out, extra, steps) in [("two", "--epochs 2", 14), ("steps", "--iters 3", 3), ("large", "--batch_size 200", 4)]
    {
        train(&machine, out, &format!("--enable_lora {extra}")).done();
        let run = Run::new(machine.path(out));
        let plan: toml::Table = run.text("plan.toml").parse().unwrap();
        assert_eq!(plan["recipe"]["steps"].as_integer(), Some(steps), "{extra}");
        assert!(!plan.contains_key("epochs"), "{plan}");
        let done = run.events().iter().filter(|event| event["event"] == "step").count();
        assert_eq!(done as i64, steps);
        // Neither the shots nor those for validation: only what is tested.
        assert_eq!(run.pictures(), (400, 0), "{extra}");
        let result = run.result();
        assert_eq!(result["shots"], "all");
        let [train, waiting] = ["train", "waiting"].map(|key| result["seconds"][key].as_f64().unwrap());
        assert!((0.0..=train).contains(&waiting), "{result}");
        run.check();
    }
    // Meta-Adapter's support is looked at too: up to 16 of each class, which here are all.
    train(&machine, "meta", "--enable_lora --enable_MetaAdapter --iters 2").done();
    assert_eq!(Run::new(machine.path("meta")).pictures(), (560, 0));
    train(&machine, "zero", "--method zero-shot").done();
    assert_eq!(Run::new(machine.path("zero")).pictures().0, 400);
}

#[test]
fn passes_that_cannot_be_are_refused() {
    let machine = Machine::new();
    train(&machine, "run", "--enable_lora --epochs 0").refused_for(&["--epochs 0", "at least one"]);
    train(&machine, "run", "--method tip --epochs 2").refused_for(&["--epochs", "tip"]);
    train(&machine, "run", "--enable_lora --n_iters 8").refused_for(&["--n_iters", "--epochs"]);
    assert!(machine.files().is_empty());
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let machine = Machine::new();
    for threads in ["1", "2", "5"] {
        let extra = "--enable_lora --enable_BitFit --iters 4 --lr 1e-3";
        let status = (machine.command().env("RAYON_NUM_THREADS", threads))
            .args(arguments(threads, extra))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{threads} threads");
        same(&Run::new(machine.path(threads)), &Run::new(machine.path("1")), &format!("with {threads} threads"));
    }
}

#[test]
fn a_run_over_several_epochs_survives_kills() {
    let extra = "--enable_lora --enable_MetaAdapter --epochs 3 --batch_size 20 --lr 1e-3";
    let machine = Machine::new();
    let start = Instant::now();
    train(&machine, "unbroken", extra).done();
    let whole = start.elapsed();
    let expected = Run::new(machine.path("unbroken"));
    let mut went_on = 0;
    for part in [0.35, 0.5, 0.65, 0.8] {
        let mut command = machine.command();
        let mut child =
            command.args(arguments("run", extra)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(whole.mul_f64(part));
        child.kill().unwrap();
        child.wait().unwrap();
        went_on += usize::from(machine.path("run").join("checkpoint.safetensors").exists());
        train(&machine, "run", extra).done();
        let run = Run::new(machine.path("run"));
        same(&run, &expected, &format!("after a kill at {part}"));
        let events = run.events();
        let steps: Vec<u64> = events.iter().filter_map(|event| event["step"].as_u64()).collect();
        assert_eq!(steps, (1..=24).collect::<Vec<_>>(), "after a kill at {part}");
        // Time goes on from the checkpoint's, and the result has all of it.
        let spent: Vec<f64> = (events.iter().filter(|event| event["event"] == "spent"))
            .map(|event| event["train"].as_f64().unwrap())
            .collect();
        assert!(spent.is_sorted(), "{spent:?}");
        assert!(run.result()["seconds"]["train"].as_f64() >= spent.last().copied(), "{spent:?}");
        std::fs::remove_dir_all(machine.path("run")).unwrap();
    }
    println!("4 kills, {went_on} of them after a checkpoint");
}
