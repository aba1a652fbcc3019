//! `lowshot demo`: the quick start, in an empty folder with nothing else.

use std::fs;

use serde_json::Value;

use crate::command::Machine;
use crate::run_folder::wilson;

#[test]
fn the_demo_climbs_its_ladder_the_same_every_time() {
    let machine = Machine::new();
    let first = machine.run(["demo", "--out", "first.svg", "--json"]).json();
    let ladder = first["ladder"].as_array().unwrap();
    let methods: Vec<&str> = ladder.iter().map(|rung| rung["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["zero-shot", "tip", "tip-f", "meta", "linear-probe"]);
    assert_eq!(first["n_test"], 400);
    assert_eq!(first["classes"].as_array().unwrap().len(), 10);
    assert_eq!(first["picture"], "first.svg");
    for rung in ladder {
        let top1 = rung["top1"].as_f64().unwrap();
        let [low, high] = wilson(top1 * 400.0, 400.0);
        assert!((rung["ci95"][0].as_f64().unwrap() - low).abs() < 1e-9, "{rung}");
        assert!((rung["ci95"][1].as_f64().unwrap() - high).abs() < 1e-9, "{rung}");
        assert!(low < top1 && top1 < high, "{rung}");
    }
    let top1 = |index: usize| ladder[index]["top1"].as_f64().unwrap();
    assert!(top1(3) > top1(0) + 0.2, "the Meta-Adapter climbs above zero-shot: {} and {}", top1(3), top1(0));

    let second = machine.run(["demo", "--out", "second.svg", "--json"]).json();
    let without_times = |value: &Value| {
        let rungs = value["ladder"].as_array().unwrap().iter().cloned().map(|mut rung| {
            rung.as_object_mut().unwrap().remove("seconds");
            rung
        });
        rungs.collect::<Vec<_>>()
    };
    assert_eq!(without_times(&first), without_times(&second));

    let picture = fs::read_to_string(machine.path("first.svg")).unwrap();
    assert!(picture.trim_start().starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
    assert_eq!(picture.matches("data:image/jpeg;base64,").count(), 10);
    for label in first["classes"].as_array().unwrap() {
        assert!(picture.contains(label.as_str().unwrap()), "no {label} in the picture");
    }
    assert_eq!(machine.files(), [machine.path("first.svg"), machine.path("second.svg")]);
}

#[test]
fn the_demo_prints_its_ladder_for_people() {
    let machine = Machine::new();
    let finished = machine.run(["demo"]).done();
    for word in ["Zero-shot", "Tip-Adapter", "Tip-Adapter-F", "Meta-Adapter", "Linear probe", "lowshot-demo.svg"] {
        assert!(finished.stdout.contains(word), "no {word:?} in {finished:?}");
    }
    assert!(finished.stderr.contains("zero-shot is a guess here"), "{finished:?}");
    assert_eq!(machine.files(), [machine.path("lowshot-demo.svg")]);
}
