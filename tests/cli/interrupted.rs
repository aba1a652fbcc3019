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
