//! `lowshot eval`: a trained adapter gives the predictions of its run again.

use crate::command::{Machine, repository};
use crate::run_folder::{Run, train};

#[test]
fn every_methods_adapter_gives_its_runs_predictions() {
    let machine = Machine::new();
    let samples = repository("samples");
    for method in ["zero-shot", "tip", "tip-f", "meta", "linear-probe"] {
        train(&machine, method, method, &[]).done();
        let run = Run::new(machine.path(method));
        let usual = ["eval", "--dataset", "eurosat", "--root_path", &samples, "--json", "--out", "evaluated"];
        for adapter in [method.to_owned(), format!("{method}/adapter.safetensors")] {
            let printed = machine.run(usual.iter().chain(&["--adapter", adapter.as_str()])).json();
            let evaluated = Run::new(machine.path("evaluated"));
            assert!(evaluated.bytes("predictions.csv") == run.bytes("predictions.csv"), "{adapter}");
            evaluated.check();
            assert_eq!(printed, evaluated.result());
            let (trained, evaluated) = (run.result(), evaluated.result());
            for key in ["top1", "top5", "macro", "confusion", "backbone_sha256", "split_sha256", "trainable_parameters"]
            {
                assert_eq!(trained[key], evaluated[key], "{adapter}: {key}");
            }
        }
    }
}

/// What a training run says of itself is not overwritten.
#[test]
fn a_training_runs_folder_is_not_written_to() {
    let machine = Machine::new();
    train(&machine, "zero-shot", "run", &[]).done();
    let before = Run::new(machine.path("run")).bytes("result.json");
    let samples = repository("samples");
    let arguments = ["eval", "--adapter", "run", "--dataset", "eurosat", "--root-path", &samples, "--out", "run"];
    machine.run(arguments).refused_for(&["run", "--out"]);
    assert!(Run::new(machine.path("run")).bytes("result.json") == before);
}

/// An adapter of half the classes is tested on the images of that half.
#[test]
fn an_adapter_of_the_base_classes_is_tested_on_them() {
    let machine = Machine::new();
    train(&machine, "meta", "run", &["--base-to-novel"]).done();
    let samples = repository("samples");
    let arguments = ["eval", "--adapter", "run", "--dataset", "eurosat", "--root-path", &samples, "--out", "evaluated"];
    machine.run(arguments).done();
    let (run, evaluated) = (Run::new(machine.path("run")), Run::new(machine.path("evaluated")));
    assert!(run.bytes("predictions.csv") == evaluated.bytes("predictions.csv"));
}
