//! A run that is killed and started again ends like one that was not.

use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::command::{Machine, repository};
use crate::run_folder::{FILES, Run};

fn arguments(samples: &str) -> [&str; 15] {
    let (dataset, method) = (["--dataset", "eurosat"], ["--method", "tip-f"]);
    let (root, shots, seed, steps) = (["--root-path", samples], ["--shots", "8"], ["--seed", "3"], ["--iters", "60"]);
    let pairs = [dataset, method, root, shots, seed, steps, ["--out", "run"]].concat();
    let mut all = ["train"; 15];
    all[1..].copy_from_slice(&pairs);
    all
}

#[test]
fn a_killed_run_is_finished_by_the_same_command() {
    let samples = repository("samples");
    let unbroken = Machine::new();
    let start = Instant::now();
    unbroken.run(arguments(&samples)).done();
    let whole = start.elapsed();
    let expected = Run::new(unbroken.path("run"));

    let machine = Machine::new();
    let spawn = || {
        let mut command = machine.command();
        command.args(arguments(&samples)).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    };
    // While it starts, sees pictures and learns. Later rounds find what earlier ones have left in the cache.
    for part in [0.1, 0.35, 0.6, 0.85] {
        let mut child = spawn();
        sleep(whole.mul_f64(part));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // While it writes: as soon as the folder is there, and then a little later each time.
    for pause in [0, 1, 2, 4, 8] {
        let mut child = spawn();
        let start = Instant::now();
        let fresh = machine.path("run");
        let _ = std::fs::remove_file(fresh.join("result.json"));
        while !fresh.exists() && start.elapsed() < 20 * whole && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_micros(200));
        }
        sleep(Duration::from_millis(pause));
        child.kill().unwrap();
        child.wait().unwrap();
        machine.run(arguments(&samples)).done();
        let run = Run::new(fresh.clone());
        assert_eq!(run.names(), FILES, "after {pause} ms");
        for name in ["predictions.csv", "adapter.safetensors", "plan.toml", "fewshot.json"] {
            assert!(run.bytes(name) == expected.bytes(name), "{name} differs after {pause} ms");
        }
        run.check();
        std::fs::remove_dir_all(fresh).unwrap();
    }
}

/// Trains all that can be trained in the towers, with drop-out, crops and mirroring.
fn towers(samples: &str, out: &str, steps: usize) -> Vec<String> {
    let arguments = format!(
        "train --dataset eurosat --enable_lora --enable_BitFit --enable_MetaAdapter --shots 2 --seed 3 --iters {steps} \
         --batch_size 6 --lr 1e-3 --out {out} --root_path"
    );
    arguments.split_whitespace().map(str::to_owned).chain([samples.to_owned()]).collect()
}

/// Files that are the same whatever happened on the way.
const SAME: [&str; 5] =
    ["predictions.csv", "adapter.safetensors", "checkpoint.safetensors", "plan.toml", "fewshot.json"];

/// Kills at random moments: as many as `LOWSHOT_TEST_KILLS` says, a few without it.
#[test]
fn training_through_the_towers_survives_kills_at_any_moment() {
    let kills: u64 = std::env::var("LOWSHOT_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(5);
    let samples = repository("samples");
    let machine = Machine::new();
    let arguments = towers(&samples, "unbroken", 30);
    // Once for the feature cache, so that the second one takes as long as those that follow.
    machine.run(arguments.iter()).done();
    std::fs::remove_dir_all(machine.path("unbroken")).unwrap();
    let start = Instant::now();
    machine.run(arguments.iter()).done();
    let whole = start.elapsed();
    let expected = Run::new(machine.path("unbroken"));
    let arguments = towers(&samples, "run", 30);
    let mut went_on = 0;
    for kill in 0..kills {
        let mut command = machine.command();
        let mut child = command.args(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Fractions that fill the time evenly, whatever their number: multiples of the golden ratio.
        sleep(whole.mul_f64((kill as f64 * 0.618_033_988_75 + 0.3).fract()));
        child.kill().unwrap();
        child.wait().unwrap();
        went_on += u64::from(machine.path("run").join("checkpoint.safetensors").exists());
        machine.run(arguments.iter()).done();
        let run = Run::new(machine.path("run"));
        for name in SAME {
            assert!(run.bytes(name) == expected.bytes(name), "{name} differs after kill {kill}");
        }
        let steps: Vec<u64> = run.events().iter().filter_map(|event| event["step"].as_u64()).collect();
        assert_eq!(steps, (1..=30).collect::<Vec<_>>(), "every step has one line, after kill {kill}");
        std::fs::remove_dir_all(machine.path("run")).unwrap();
    }
    println!("{kills} kills, {went_on} of them after a checkpoint: {kills} equal results");
}

#[cfg(unix)]
#[test]
fn interrupting_writes_a_checkpoint_and_exits_130() {
    // A checkpoint is first written after a second, and then steps must be left.
    const STEPS: usize = 150;
    let samples = repository("samples");
    let machine = Machine::new();
    machine.run(towers(&samples, "unbroken", STEPS).iter()).done();
    let arguments = towers(&samples, "run", STEPS);
    let mut command = machine.command();
    let mut child = command.args(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    // The first checkpoint says that steps are being done.
    while !machine.path("run").join("checkpoint.safetensors").exists() {
        assert!(child.try_wait().unwrap().is_none() && start.elapsed() < Duration::from_mins(2), "no checkpoint");
        sleep(Duration::from_millis(1));
    }
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{message}");
    assert!(message.contains("interrupted after step") && message.contains("the same command goes on"), "{message}");
    assert!(!machine.path("run").join("result.json").exists());
    machine.run(arguments.iter()).done();
    let (run, expected) = (Run::new(machine.path("run")), Run::new(machine.path("unbroken")));
    for name in SAME {
        assert!(run.bytes(name) == expected.bytes(name), "{name} differs");
    }
}

/// What a killed run left half-written is swept away by the run that finishes it.
#[test]
fn a_half_written_file_does_not_stay() {
    let samples = repository("samples");
    let machine = Machine::new();
    machine.run(arguments(&samples)).done();
    let folder = machine.path("run");
    // What a kill between making a file and renaming it leaves.
    for half in HALF_WRITTEN {
        std::fs::write(folder.join(half), "half").unwrap();
    }
    std::fs::write(folder.join("notes.txt"), "mine").unwrap();
    machine.run(arguments(&samples)).done();
    let mut expected: Vec<&str> = FILES.to_vec();
    expected.push("notes.txt");
    expected.sort_unstable();
    assert_eq!(Run::new(folder).names(), expected);
}

/// As the program names them.
const HALF_WRITTEN: [&str; 2] = [".lowshot-aB3dEf.tmp", ".lowshot-000000.tmp"];
