//! Event files are those that `TensorBoard`'s own writer makes.

use std::fs;

use lowshot::experiment::tensorboard::{Writer, frame, scalars, version};
use lowshot::experiment::{Event, Observer};
use lowshot::train::Step;

/// Made by tfevents.py beside this file.
const EXPECTED: &[u8] = include_bytes!("tensorboard.tfevents");

#[test]
fn records_are_tensorboards_own_to_the_byte() {
    let long = format!("tag/{}", "long".repeat(50));
    let records = [
        version(1_700_000_000.0),
        scalars(1_700_000_000.25, 1, &[("train/loss", 2.7), ("train/learning_rate", 1e-3)]),
        scalars(1_700_000_001.5, 300, &[("train/loss", 1e-9), ("train/learning_rate", 0.0)]),
        scalars(1_700_000_002.0, 0, &[("test/top1", 0.8125)]),
        scalars(1_700_000_003.0, 1 << 40, &[(&long, -1.5)]),
    ];
    let bytes: Vec<u8> = records.iter().flat_map(|record| frame(record)).collect();
    assert!(bytes == EXPECTED, "{bytes:?}");
}

/// The data of each record, by the lengths in their frames.
fn records(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let data = &bytes[12..12 + length];
        assert_eq!(frame(data), bytes[..16 + length]);
        found.push(data);
        bytes = &bytes[16 + length..];
    }
    found
}

#[test]
fn a_writer_follows_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut writer = Writer::create(&run).unwrap();
    writer.observe(&Event::note("no scalar"));
    for step in 1..=12 {
        writer.observe(&Event::Step(Step { step, steps: 12, loss: 1.0 / step as f32, learning_rate: None }));
    }
    // What a killed run leaves: all but the last few steps.
    let files: Vec<_> = fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    let name = files[0].file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("events.out.tfevents."), "{name}");
    drop(writer);
    let bytes = fs::read(&files[0]).unwrap();
    let records = records(&bytes);
    assert_eq!(records.len(), 13);
    // The wall time is the first nine bytes of an event.
    let after_time = |event: Vec<u8>| event[9..].to_vec();
    assert_eq!(records[0][9..], after_time(version(0.0)));
    for (step, record) in (1..=12).zip(&records[1..]) {
        assert_eq!(record[9..], after_time(scalars(0.0, step, &[("train/loss", 1.0 / step as f32)])), "step {step}");
    }
    let seconds = f64::from_le_bytes(records[12][1..9].try_into().unwrap());
    assert!(seconds > 1.7e9, "{seconds}");

    // A second file of the same run has a name of its own.
    drop(Writer::create(&run).unwrap());
    assert_eq!(fs::read_dir(&run).unwrap().count(), 2);
    assert!(Writer::create(&files[0]).unwrap_err().to_string().contains("events.out"));
}
