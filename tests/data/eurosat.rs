//! The sample set of the package, and the real EuroSAT where it is on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lowshot::data::{FewShot, Item, Shots, sample};
use lowshot::experiment::dataset::Dataset;
use serde_json::Value;

fn sample_set() -> Dataset {
    Dataset::open("eurosat", Some(&Path::new(env!("CARGO_MANIFEST_DIR")).join("samples"))).unwrap()
}

/// The first folder that is there: that of the variable, or the one beside the sources.
fn found(variable: &str, beside: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let folder = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(beside));
    if !folder.is_dir() {
        println!("skipped: no folder {}; set {variable}", folder.display());
    }
    folder.is_dir().then_some(folder)
}

fn per_class(items: &[Item]) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item.label).or_default() += 1;
    }
    counts
}

#[test]
fn the_sample_set_is_whole() {
    let dataset = sample_set();
    let split = &dataset.split;
    assert_eq!(split.classes.len(), 10);
    for (list, each) in [(&split.train, 16), (&split.val, 4), (&split.test, 40)] {
        assert_eq!(per_class(list), (0..10).map(|label| (label, each)).collect());
        dataset.check_files(list).unwrap();
    }
    for item in split.items() {
        assert!(dataset.read(item).unwrap().starts_with(&[0xff, 0xd8]), "{} is no JPEG", item.path);
    }
    assert!(dataset.notes.is_empty(), "{:?}", dataset.notes);
    let (shots, notes) = sample(split, Shots::PerClass(16), 1).unwrap();
    assert_eq!((shots.train.len(), shots.val.len()), (160, 40));
    assert!(notes.is_empty());
    let file = std::fs::read_to_string(dataset.root.parent().unwrap().join("split_zhou_EuroSAT.json")).unwrap();
    assert_eq!(split.to_json(), file);
}

#[test]
fn the_real_split_is_read_and_holds_the_sample_set() {
    let Some(folder) = found("LOWSHOT_EUROSAT", "../data/eurosat") else { return };
    let dataset = Dataset::open("eurosat", Some(&folder)).unwrap();
    let split = &dataset.split;
    assert_eq!((split.train.len(), split.val.len(), split.test.len()), (13_500, 5_400, 8_100));
    assert!(dataset.notes.is_empty(), "{:?}", dataset.notes);
    assert_eq!(split.classes, sample_set().split.classes);
    let small = sample_set().split;
    for (small, real) in [(small.train, &split.train), (small.val, &split.val), (small.test, &split.test)] {
        let real: std::collections::HashSet<&Item> = real.iter().collect();
        assert!(small.iter().all(|item| real.contains(item)));
    }
    let all: Vec<Item> = split.items().cloned().collect();
    dataset.check_files(&all).unwrap();
}

#[test]
fn the_reference_lists_fit_the_real_split() {
    let Some(folder) = found("LOWSHOT_EUROSAT", "../data/eurosat") else { return };
    let Some(data) = found("LOWSHOT_DATA", "../shared/data") else { return };
    let split = Dataset::open("eurosat", Some(&folder)).unwrap().split;
    for seed in 1..=3 {
        let path = data.join(format!("eurosat/fewshot/shots_16-seed_{seed}.json"));
        let bytes = std::fs::read(&path).unwrap();
        let (list, notes) = FewShot::from_json(&bytes, &path.display().to_string(), &split).unwrap();
        assert_eq!(per_class(&list.train), (0..10).map(|label| (label, 16)).collect());
        assert_eq!(per_class(&list.val), (0..10).map(|label| (label, 4)).collect());
        assert!(notes.is_empty(), "{notes:?}");
        let parsed: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&list.to_json()).unwrap(), parsed);
        if seed == 1 {
            let small = sample_set().split;
            assert_eq!((list.train, list.val), (small.train, small.val));
        }
    }
    let reference: Value =
        serde_json::from_slice(&std::fs::read(data.join("reference/eurosat-demo-clip.json")).unwrap()).unwrap();
    assert_eq!(Value::from(split.classes), reference["classes"]);
}
