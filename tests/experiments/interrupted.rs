//! A sweep that is asked to stop, and goes on.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::command::{Machine, repository};
use crate::sweep_folder::{SweepFolder, write_plan};

/// Steps enough that it cannot be done before it has been asked to stop, however busy the machine.
const CELL: &str = "eurosat/demo/lora,augment=none,steps-per-shot=60-1-shots-seed-1";
const LISTS: &str =
    "shots = 1\nmethods = [{ name = \"lora\", augment = \"none\", steps-per-shot = 60 }, \"zero-shot\"]";

#[cfg(unix)]
#[test]
fn a_sweep_that_is_asked_to_stop_goes_on_from_its_checkpoint() {
    let samples = repository("samples");
    let single = Machine::new();
    let usual = ["train", "--dataset", "eurosat", "--root-path", &samples, "--shots", "1", "--seed", "1"];
    single
        .run(usual.iter().chain(&["--method", "lora", "--augment", "none", "--n-iters", "60", "--out", "run"]))
        .done();

    let machine = Machine::new();
    write_plan(&machine, "plan.toml", LISTS);
    let sweep = SweepFolder(machine.path("plan"));
    let mut command = machine.command();
    let mut process = command.args(["sweep", "plan.toml"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while !sweep.0.join(CELL).join("checkpoint.safetensors").exists() {
        assert!(process.try_wait().unwrap().is_none() && start.elapsed() < Duration::from_mins(2), "no checkpoint");
        sleep(Duration::from_millis(1));
    }
    assert!(Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap().success());
    assert_eq!(process.wait().unwrap().code(), Some(130));
    assert_eq!(sweep.history(CELL).last().map(String::as_str), Some("interrupted"));
    assert!(sweep.finished().is_empty());

    machine.run(["sweep", "plan.toml"]).done();
    assert_eq!(sweep.finished().len(), 2);
    assert_eq!(sweep.history(CELL).last().map(String::as_str), Some("finished"));
    let note = fs::read_to_string(sweep.0.join(CELL).join("events.jsonl")).unwrap();
    assert!(note.contains("going on after step "), "{note}");
    // It is what a single run gives that nothing has interrupted.
    for name in ["plan.toml", "predictions.csv", "adapter.safetensors", "fewshot.json"] {
        let (here, there) = (sweep.0.join(CELL).join(name), single.path("run").join(name));
        assert!(fs::read(here).unwrap() == fs::read(there).unwrap(), "{name} differs");
    }
}
