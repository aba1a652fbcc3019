//! `lowshot bench`: what it says it measured, and that its numbers fit together. How large they are is the machine's affair.

use serde_json::Value;

use crate::command::Machine;

/// `bench` on the demo model, as short as it can be.
fn bench(more: &str) -> Vec<String> {
    let seconds = if more.contains("--seconds") { "" } else { "--seconds 0" };
    format!("bench {seconds} --json {more}").split_whitespace().map(str::to_owned).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Whether the numbers of one measurement can be true together.
#[track_caller]
fn check(found: &Value) {
    let wall = &found["wall_ms"];
    let product = number(&found["per_second"]) * number(&wall["median"]);
    assert!((product - 1000.0).abs() < 1e-6, "{found}");
    for spread in [wall, &found["processor_ms"]].into_iter().filter(|spread| !spread.is_null()) {
        let [min, q1, median, q3] = ["min", "q1", "median", "q3"].map(|name| number(&spread[name]));
        assert!(0.0 <= min && min <= q1 && q1 <= median && median <= q3, "{found}");
    }
    assert!(number(&wall["min"]) > 0.0, "{found}");
    if cfg!(target_os = "linux") {
        // The program with its model takes tens of megabytes.
        assert!((10.0..100_000.0).contains(&number(&found["peak_memory_mib"])), "{found}");
        assert!(found["processor_ms"].is_object(), "{found}");
    }
}

#[test]
fn everything_that_was_asked_for_is_measured() {
    let machine = Machine::new();
    let json = machine.run(bench("--threads 1,2 --batch 1,3 --only first,pictures,files,images,texts,steps")).json();
    assert_eq!(
        (&json["model"], &json["random_weights"], &json["precision"]),
        (&"demo".into(), &false.into(), &"f32".into())
    );
    assert_eq!((&json["lowshot"], &json["interrupted"]), (&env!("CARGO_PKG_VERSION").into(), &false.into()));
    assert!(json["machine"]["cores"].as_u64().unwrap() > 0 && json["device"].is_string(), "{json}");
    let measurements = json["measurements"].as_array().unwrap();
    measurements.iter().for_each(check);
    let of = |what: &str| -> Vec<(u64, u64)> {
        let of_this = measurements.iter().filter(|found| found["what"] == what);
        of_this.map(|found| (found["batch"].as_u64().unwrap(), found["threads"].as_u64().unwrap())).collect()
    };
    let all = vec![(1, 1), (1, 2), (3, 1), (3, 2)];
    assert_eq!((of("images"), of("texts")), (all.clone(), all));
    assert_eq!(of("steps"), [(8, 1), (8, 2)]);
    assert_eq!(of("first"), [(1, 1); 3].into_iter().chain([(1, 2); 3]).collect::<Vec<_>>());
    assert_eq!(of("pictures"), [(32, 1), (32, 2), (4, 1), (4, 2)]);
    assert_eq!(of("files"), [(128, 1), (128, 2), (128, 1), (128, 2)]);
    assert_eq!(measurements.len(), 4 + 4 + 2 + 6 + 4 + 4);
    assert!(machine.files().is_empty());
}

#[test]
fn random_weights_are_said_to_be_random() {
    let machine = Machine::new();
    let json = machine.run(bench("--random --model tinyclip-8m --threads 1 --batch 1 --only images")).json();
    assert_eq!((&json["model"], &json["random_weights"]), (&"tinyclip-8m".into(), &true.into()));
    assert_eq!(json["measurements"].as_array().map(Vec::len), Some(1));
    check(&json["measurements"][0]);
    let table = "bench --random --seconds 0 --threads 1 --batch 2 --only texts";
    let table = machine.run(table.split_whitespace()).done().stdout;
    assert!(table.contains("RANDOM weights") && table.contains("texts"), "{table}");
}

#[test]
fn what_cannot_be_measured_is_refused_in_a_line() {
    let machine = Machine::new();
    for (more, words) in [
        ("--only images,speed", &["speed", "images"][..]),
        ("--threads 0", &["--threads", "0"]),
        ("--batch none", &["--batch", "none"]),
        ("--seconds -1", &["-1"]),
        ("--seconds=nan", &["--seconds", "NaN"]),
        ("--precision f8", &["f8", "bf16"]),
        ("--model ViT-B/16", &["lowshot fetch ViT-B/16", "--random"]),
        ("--random --model absent", &["absent", "ViT-B/16"]),
        ("--random --only first", &["first", "--random"]),
        ("--only unet --threads 1 --unet absent", &["absent", "sd-1.5"]),
    ] {
        // Notes of progress may come before what is wrong with a pipeline, which is opened when it is measured.
        let finished = machine.run(format!("bench {more}").split_whitespace());
        let message = if more.contains("--unet") { finished.refused_after_notes() } else { finished.refused() };
        assert!(words.iter().all(|word| message.contains(word)), "{more}: {message}");
    }
}
