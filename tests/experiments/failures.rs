//! Cells that cannot be computed do not stop the others, and are named.

use std::fs;

use crate::command::{Machine, repository};
use crate::sweep_folder::SweepFolder;

/// Two data sets, one of which has a picture that is none.
const PLAN: &str = r#"
datasets = ["bad", "good"]
shots = 1
methods = ["zero-shot", "tip"]
"#;

/// A folder of two classes with some sample tiles each.
fn copy_tiles(machine: &Machine, name: &str) {
    for class in ["Forest", "River"] {
        let folder = machine.path(name).join(class);
        fs::create_dir_all(&folder).unwrap();
        let mut tiles: Vec<_> =
            fs::read_dir(repository(&format!("samples/eurosat/2750/{class}"))).unwrap().map(Result::unwrap).collect();
        tiles.sort_by_key(fs::DirEntry::file_name);
        for tile in tiles.iter().take(6) {
            fs::copy(tile.path(), folder.join(tile.file_name())).unwrap();
        }
    }
}

#[test]
fn a_cell_that_fails_is_named_and_does_not_stop_the_others() {
    let machine = Machine::new();
    copy_tiles(&machine, "good");
    copy_tiles(&machine, "bad");
    let forest = machine.path("bad/Forest");
    for tile in fs::read_dir(&forest).unwrap() {
        fs::write(tile.unwrap().path(), "not a picture").unwrap();
    }
    fs::write(machine.path("plan.toml"), PLAN).unwrap();
    let finished = machine.run(["sweep", "plan.toml", "--out", "sweep"]);
    let sweep = SweepFolder(machine.path("sweep"));
    let good = ["good/demo/tip-1-shots-seed-1", "good/demo/zero-shot-1-shots-seed-1"];
    assert_eq!(sweep.finished(), good);
    sweep.check_results();
    let message = finished.failed();
    for cell in ["bad/demo/tip-1-shots-seed-1", "bad/demo/zero-shot-1-shots-seed-1", "2 of 4 cells failed", "Forest"] {
        assert!(message.contains(cell), "no {cell} in {message}");
    }
    let shown = machine.run(["sweep", "plan.toml", "--out", "sweep", "--dry-run"]).done().stdout;
    assert_eq!(shown.matches("missing, last failed: ").count(), 2, "{shown}");
    assert_eq!(shown.matches("finished, top-1 ").count(), 2, "{shown}");

    // Mended, the same command computes what is missing and nothing else.
    fs::remove_dir_all(machine.path("bad")).unwrap();
    copy_tiles(&machine, "bad");
    let summary = machine.run(["sweep", "plan.toml", "--out", "sweep", "--json"]).json();
    assert_eq!(summary["found"].as_array().unwrap().len(), 2, "{summary}");
    assert_eq!(summary["finished"].as_array().unwrap().len(), 2, "{summary}");
    assert_eq!(sweep.finished().len(), 4);
}

#[test]
fn a_data_set_that_is_not_there_fails_its_cells_alone() {
    let machine = Machine::new();
    copy_tiles(&machine, "good");
    fs::write(machine.path("plan.toml"), PLAN.replace("bad", "absent")).unwrap();
    let message = machine.run(["sweep", "plan.toml", "--out", "sweep"]).failed();
    assert!(message.contains("2 of 4 cells failed") && message.contains("no data set \"absent\""), "{message}");
    assert_eq!(SweepFolder(machine.path("sweep")).finished().len(), 2);
}

#[test]
fn the_folder_of_another_plan_is_left_alone() {
    let machine = Machine::new();
    copy_tiles(&machine, "good");
    let plan = |scale: &str| {
        fs::write(machine.path("plan.toml"), format!("dataset = \"good\"\nshots = 1\nmethods = \"tip\"\n{scale}"))
            .unwrap();
    };
    plan("");
    machine.run(["sweep", "plan.toml"]).done();
    let cell = machine.path("plan/good/demo/tip-1-shots-seed-1");
    let before = fs::read(cell.join("result.json")).unwrap();
    plan("logit-scale = 50");
    machine.run(["sweep", "plan.toml"]).refused_for(&["tip-1-shots-seed-1", "another plan"]);
    let shown = machine.run(["sweep", "plan.toml", "--dry-run"]).done().stdout;
    assert!(shown.contains("in the way"), "{shown}");
    assert_eq!(fs::read(cell.join("result.json")).unwrap(), before);
}

#[test]
fn a_wrong_command_is_refused_in_one_line() {
    let machine = Machine::new();
    fs::write(machine.path("plan.toml"), "dataset = \"x\"\nmethods = \"tip\"\ndevice = \"abacus\"").unwrap();
    machine.run(["sweep", "absent.toml"]).refused_for(&["absent.toml"]);
    machine.run(["sweep", "plan.toml"]).refused_for(&["plan.toml", "abacus"]);
    machine.run(["sweep", "plan.toml", "--device", "cpu", "--shard", "3/2"]).refused_for(&["3/2"]);
    machine.run(["sweep", "plan.toml", "--shard", "1/2", "--submit", "slurm"]).refused_for(&["--shard", "--submit"]);
    fs::write(machine.path("plan"), "dataset = \"x\"\nmethods = \"tip\"").unwrap();
    machine.run(["sweep", "plan"]).refused_for(&["plan", "--out"]);
    fs::write(machine.path("latin.toml"), b"dataset = \"\xe9\"").unwrap();
    machine.run(["sweep", "latin.toml"]).refused_for(&["latin.toml", "UTF-8"]);
}
