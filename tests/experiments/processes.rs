//! Several processes share a sweep, and one of them is killed.

use std::collections::HashSet;
use std::fs;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::command::{Machine, files, repository};
use crate::sweep_folder::{SweepFolder, write_plan};

const LISTS: &str = r#"
shots = [2, 4]
seeds = [1, 2, 3]
methods = ["zero-shot", "tip", { name = "tip-f", steps = 60 }, { name = "meta", steps = 60 }]
"#;
const CELLS: usize = 24;
/// Longer than the whole sweep takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(5);

fn spawn(machine: &Machine) -> Child {
    let mut command = machine.command();
    command.args(["sweep", "plan.toml", "--out", "sweep"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// The sample tiles that differ: what has to go through the tower.
fn pictures() -> usize {
    let folder = repository("samples/eurosat/2750");
    let tiles = files(folder.as_ref()).into_iter().filter(|path| path.extension().is_some_and(|end| end == "jpg"));
    tiles.map(|path| fs::read(path).unwrap()).collect::<HashSet<_>>().len()
}

#[test]
fn a_sweep_by_three_processes_of_which_one_is_killed_has_every_cell_once() {
    let alone = Machine::new();
    write_plan(&alone, "plan.toml", LISTS);
    let summary = alone.run(["sweep", "plan.toml", "--out", "sweep", "--json"]).json();
    assert_eq!(summary["finished"].as_array().unwrap().len(), CELLS);
    let expected = SweepFolder(alone.path("sweep"));
    expected.check_results();

    let machine = Machine::new();
    write_plan(&machine, "plan.toml", LISTS);
    let shared = SweepFolder(machine.path("sweep"));
    let mut processes: Vec<Child> = (0..3).map(|_| spawn(&machine)).collect();
    let mut victim = processes.remove(1);
    // Killed in the middle of the sweep, and in the middle of a cell.
    let claim = format!("claimed by process {} on ", victim.id());
    let start = Instant::now();
    let in_a_cell = || {
        expected.finished().iter().any(|cell| shared.history(cell).last().is_some_and(|line| line.starts_with(&claim)))
    };
    while shared.finished().len() < CELLS / 4 || !in_a_cell() {
        assert!(
            victim.try_wait().unwrap().is_none() && start.elapsed() < PATIENCE,
            "the victim was not caught at work"
        );
        sleep(Duration::from_millis(1));
    }
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert!(shared.finished().len() < CELLS, "killed too late to mean anything");
    for mut process in processes {
        assert!(process.wait().unwrap().success());
    }

    // Then once more, for whatever is missing: there is nothing, because the others took over.
    let again = machine.run(["sweep", "plan.toml", "--out", "sweep", "--json"]).json();
    assert_eq!((again["found"].as_array().unwrap().len(), again["finished"].as_array().unwrap().len()), (CELLS, 0));
    shared.check_equal(&expected, CELLS);
    shared.check_results();

    // Every cell was claimed once and finished once, but for that in which a process was killed: another has claimed it
    // after it, or, where the kill hit between the cell's last file and this line, its end was not recorded.
    let mut interrupted = 0;
    for cell in shared.finished() {
        let history = shared.history(&cell);
        let is_claim = |line: &String| line.starts_with("claimed by ");
        let whole = |history: &[String]| matches!(history, [first, last] if is_claim(first) && last == "finished");
        let rest = history.get(1..).unwrap_or_default();
        if history[0].starts_with(&claim) && (rest.is_empty() || whole(rest)) {
            interrupted += 1;
        } else {
            assert!(whole(&history), "{cell}: {history:?}");
        }
    }
    assert!(interrupted <= 1, "{interrupted} cells of the killed process; it had one");

    // All cells together put each picture through the tower once, also with three processes at it.
    assert!(shared.computed() <= pictures() as u64, "{} of {} pictures", shared.computed(), pictures());
    assert!(expected.computed() <= pictures() as u64);
}

#[test]
fn shards_together_are_the_sweep() {
    let lists = "shots = 1\nseeds = [1, 2]\nmethods = [\"zero-shot\", \"tip\"]";
    let (alone, machine) = (Machine::new(), Machine::new());
    write_plan(&alone, "plan.toml", lists);
    write_plan(&machine, "plan.toml", lists);
    alone.run(["sweep", "plan.toml"]).done();
    for (index, count) in ["1/3", "2/3", "3/3"].into_iter().zip([1, 1, 2]) {
        let summary = machine.run(["sweep", "plan.toml", "--shard", index, "--json"]).json();
        assert_eq!(summary["finished"].as_array().unwrap().len(), count, "{index}");
    }
    // The default folder is the plan's name.
    let (alone, shared) = (SweepFolder(alone.path("plan")), SweepFolder(machine.path("plan")));
    shared.check_equal(&alone, 4);
    shared.check_results();

    // A cell is what a single run would have written.
    let plan = fs::read_to_string(shared.0.join("eurosat/demo/tip-1-shots-seed-2/plan.toml")).unwrap();
    let samples = repository("samples");
    let usual = ["train", "--dataset", "eurosat", "--root-path", &samples, "--shots", "1", "--seed", "2"];
    machine.run(usual.iter().chain(&["--method", "tip", "--out", "single"])).done();
    assert_eq!(plan, fs::read_to_string(machine.path("single/plan.toml")).unwrap());
}
