//! Damaged, unfinished and foreign folders: named, and never the end of the report.

use std::fs;

use super::folders::{Made, Shelf};
use crate::command::{Machine, each};

/// What is done to a run's folder, and words of the complaint.
const DAMAGES: [(&str, &str, &str, &str); 12] = [
    ("result.json", "\"schema\": 1", "\"schema\": 2", "schema 2"),
    ("result.json", "\"confusion\"", "\"confused\"", "result.json is damaged"),
    ("result.json", "\"top1\": 0.8", "\"top1\": 0.9", "not its confusion matrix's"),
    ("result.json", "\"top5\": 1.0", "\"top5\": 1.5", "outside of 0..1"),
    ("result.json", "\"n_test\": 20", "\"n_test\": 21", "does not add up"),
    ("result.json", "\"n\": 10", "\"n\": 11", "in two ways"),
    ("result.json", "\"train\": 2.0", "\"train\": -2.0", "a time that is none"),
    ("plan.toml", "seed = ", "seed = = ", "plan.toml is damaged"),
    ("predictions.csv", "0.750000", "7.5", "the confidence of image 1"),
    ("predictions.csv", "00.png,jug,vase", "00.png,jug,teapot", "the class of image 1"),
    ("predictions.csv", "00.png,jug,vase", "00.png,jug,jug", "does not agree with result.json"),
    ("predictions.csv", "00.png,jug,vase,", "00.png,jug,", "the line of image 1"),
];

#[test]
fn a_damaged_run_is_named_and_the_others_are_reported() {
    each(DAMAGES, |(file, from, to, words)| {
        let shelf = Shelf::new();
        shelf.put("whole", &Made::new("tip", 4, 1, 2));
        let damaged = shelf.put("damaged", &Made::new("tip", 4, 2, 4));
        shelf.change(&format!("damaged/{file}"), from, to);
        let report = shelf.report();
        assert_eq!(report.runs.len(), 1, "{words}");
        let [problem] = &report.problems[..] else { panic!("{:?}", report.problems) };
        assert_eq!(problem.place, damaged.display().to_string());
        assert!(problem.why.contains(words) && !problem.why.contains('\n'), "{words:?} not in {problem:?}");
    });
}

#[test]
fn bytes_that_are_no_text_are_named() {
    for file in ["result.json", "plan.toml", "predictions.csv"] {
        let shelf = Shelf::new();
        shelf.put("whole", &Made::new("tip", 4, 1, 2));
        let folder = shelf.put("damaged", &Made::new("tip", 4, 2, 4));
        fs::write(folder.join(file), [0xff, 0xfe, 0x00]).unwrap();
        let problems = shelf.report().problems;
        assert!(problems[0].why.starts_with(&format!("{file} is not text")), "{problems:?}");
    }
}

#[test]
fn an_unfinished_run_is_named() {
    let shelf = Shelf::new();
    shelf.put("whole", &Made::new("tip", 4, 1, 2));
    let folder = shelf.put("cut", &Made::new("tip", 4, 2, 4));
    fs::remove_file(folder.join("result.json")).unwrap();
    let report = shelf.report();
    assert!(report.problems[0].why.contains("not finished"), "{:?}", report.problems);
    // The plan alone may be a sweep's.
    fs::remove_file(folder.join("fewshot.json")).unwrap();
    assert_eq!(shelf.report().problems, []);
}

#[test]
fn a_run_without_predictions_has_its_numbers_and_no_tests() {
    let shelf = Shelf::new();
    shelf.put("a", &Made::new("tip", 4, 1, 2));
    let folder = shelf.put("b", &Made::new("meta", 4, 1, 4));
    fs::remove_file(folder.join("predictions.csv")).unwrap();
    let report = shelf.report();
    assert_eq!(report.runs.len(), 2);
    let comparison = &report.benchmarks[0].comparisons[0];
    assert!((comparison.mean + 0.1).abs() < 1e-12 && comparison.mcnemar.is_empty(), "{comparison:?}");
    assert!(report.problems[0].why.contains("no predictions.csv"), "{:?}", report.problems);
}

#[test]
fn nothing_to_report_is_refused() {
    let machine = Machine::new();
    machine.run(["report", "absent"]).refused_for(&["absent", "check the path"]);
    machine.run(["report", "."]).refused_for(&["no run there", "lowshot train"]);
    let shelf = Shelf::new();
    shelf.put("only", &Made::new("tip", 4, 1, 2));
    shelf.change("only/result.json", "\"schema\": 1", "\"schema\": 9");
    let path = shelf.path().display().to_string();
    machine.run(["report", &path]).refused_for(&["no usable run", "schema 9"]);
}

#[test]
fn the_command_names_what_it_could_not_use_and_goes_on() {
    let machine = Machine::new();
    let shelf = Shelf::new();
    shelf.put("whole", &Made::new("tip", 4, 1, 2));
    shelf.put("damaged", &Made::new("tip", 4, 2, 4));
    shelf.change("damaged/result.json", "{", "[");
    let path = shelf.path().display().to_string();
    let finished = machine.run(["report", &path, "--out", "page.html"]).done();
    assert!(finished.stderr.contains("damaged: result.json is damaged"), "{finished:?}");
    let page = fs::read_to_string(machine.path("page.html")).unwrap();
    assert!(page.contains("result.json is damaged"));
}
