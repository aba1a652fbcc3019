use std::collections::{BTreeMap, BTreeSet};

use lowshot::data::{Item, Shots, Split, base_classes, sample};
use proptest::prelude::*;
use serde_json::Value;

use crate::{assert_says, item, made, message};

fn paths(items: &[Item]) -> Vec<&str> {
    items.iter().map(|item| item.path.as_str()).collect()
}

#[test]
fn the_draw_is_that_of_an_independent_implementation() {
    let reference: Value = serde_json::from_str(include_str!("sampler_reference.json")).unwrap();
    let classes = reference["classes"].as_object().unwrap();
    let count = |counts: &Value, list: usize| counts[list].as_u64().unwrap() as usize;
    let classes: Vec<_> =
        classes.iter().map(|(name, counts)| (name.as_str(), [count(counts, 0), count(counts, 1), 0])).collect();
    let split = made(&classes);
    let cases = reference["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let shots = Shots::PerClass(case["shots"].as_u64().unwrap() as usize);
        let (drawn, _) = sample(&split, shots, case["seed"].as_u64().unwrap()).unwrap();
        assert_eq!(Value::from(paths(&drawn.train)), case["train"], "{shots:?}");
        assert_eq!(Value::from(paths(&drawn.val)), case["val"], "{shots:?}");
    }
}

#[test]
fn more_shots_than_images_repeat_some_and_say_how_many_there_are() {
    let split = made(&[("ant", [20, 9, 0]), ("bee", [3, 1, 0]), ("cat", [1, 0, 0])]);
    let (drawn, notes) = sample(&split, Shots::PerClass(16), 1).unwrap();
    assert_eq!(drawn.train.len(), 48);
    let of = |name: &str| {
        let items: Vec<&str> = drawn.train.iter().filter(|item| item.class == name).map(|item| &*item.path).collect();
        (items.len(), items.into_iter().collect::<BTreeSet<_>>().len())
    };
    assert_eq!((of("ant"), of("bee"), of("cat")), ((16, 16), (16, 3), (16, 1)));
    assert_eq!(drawn.val.len(), 4 + 1);
    assert_eq!(notes.len(), 2);
    assert_says(&notes[0], &["16 shots", "2 of 3 classes", "\"bee\" has 3", "\"cat\" has 1", "replacement"]);
    assert_says(&notes[1], &["1 of 3 classes", "no validation image", "\"cat\""]);
}

#[test]
fn a_repeated_entry_is_one_image() {
    let train = vec![item("1.jpg", 0, "ant"), item("1.jpg", 0, "ant"), item("2.jpg", 0, "ant")];
    let (split, _) = Split::new(train, vec![], vec![], "made").unwrap();
    let (drawn, notes) = sample(&split, Shots::PerClass(2), 5).unwrap();
    assert_eq!(paths(&drawn.train).into_iter().collect::<BTreeSet<_>>().len(), 2);
    assert!(notes.is_empty());
}

#[test]
fn a_class_without_training_images_is_named() {
    let split = made(&[("ant", [1, 0, 1]), ("bee", [0, 1, 1])]);
    for shots in [Shots::PerClass(1), Shots::All] {
        assert_says(&message(sample(&split, shots, 1)), &["\"bee\"", "training"]);
    }
    assert!(sample(&split, Shots::PerClass(0), 1).unwrap().0.train.is_empty());
    assert!(sample(&split.restrict([0]).unwrap(), Shots::PerClass(1), 1).is_ok());
}

#[test]
fn all_means_all() {
    let split = made(&[("ant", [5, 2, 1]), ("bee", [7, 9, 1])]);
    let (drawn, notes) = sample(&split, "all".parse().unwrap(), 1).unwrap();
    assert_eq!((drawn.train, drawn.val), (split.train, split.val));
    assert!(notes.is_empty());
}

#[test]
fn a_number_of_shots_is_checked() {
    assert_eq!("16".parse::<Shots>().unwrap(), Shots::PerClass(16));
    for text in ["", "-1", "1.5", "many", "10001", "99999999999999999999"] {
        assert_says(&message(text.parse::<Shots>()), &["shots", "all"]);
    }
    assert_says(&message(sample(&made(&[("ant", [1, 0, 0])]), Shots::PerClass(usize::MAX), 1)), &["shots"]);
}

#[test]
fn a_class_keeps_its_shots_when_others_leave() {
    let split = made(&[("ant", [30, 9, 0]), ("bee", [30, 9, 0]), ("cat", [30, 9, 0])]);
    let (whole, _) = sample(&split, Shots::PerClass(8), 3).unwrap();
    let (base, _) = sample(&split.restrict(base_classes(3)).unwrap(), Shots::PerClass(8), 3).unwrap();
    assert_eq!(base.train, whole.train[..16]);
    assert_eq!(whole.restrict(&split.classes, base_classes(3)).unwrap(), base);
}

#[test]
fn every_image_is_as_likely_as_any_other() {
    // 4 of 10 images by 2,000 seeds: each is expected 800 times, with a standard deviation of 22.
    let split = made(&[("ant", [10, 0, 0])]);
    let mut drawn: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..2000 {
        for item in sample(&split, Shots::PerClass(4), seed).unwrap().0.train {
            *drawn.entry(item.path).or_default() += 1;
        }
    }
    assert_eq!(drawn.len(), 10);
    assert!(drawn.values().all(|count| (690..=910).contains(count)), "{drawn:?}");
}

proptest! {
    #[test]
    fn each_class_gets_its_shots_and_no_others(
        counts in prop::collection::vec((1usize..30, 0usize..8), 1..6),
        shots in 1usize..20,
        seed: u64,
    ) {
        let names: Vec<String> = (0..counts.len()).map(|label| format!("class {label}")).collect();
        let classes: Vec<_> = names.iter().zip(&counts).map(|(name, &(train, val))| (name.as_str(), [train, val, 0])).collect();
        let split = made(&classes);
        let (drawn, _) = sample(&split, Shots::PerClass(shots), seed).unwrap();
        for (label, &(train, val)) in counts.iter().enumerate() {
            let of = |items: &[Item]| items.iter().filter(|item| item.label == label).cloned().collect::<Vec<_>>();
            let (shots_here, val_here) = (of(&drawn.train), of(&drawn.val));
            prop_assert_eq!(shots_here.len(), shots);
            prop_assert_eq!(shots_here.iter().collect::<BTreeSet<_>>().len(), shots.min(train));
            prop_assert_eq!(val_here.len(), shots.min(4).min(val));
            prop_assert_eq!(val_here.iter().collect::<BTreeSet<_>>().len(), val_here.len());
        }
        prop_assert!(drawn.train.iter().all(|item| split.train.contains(item)));
        prop_assert!(drawn.val.iter().all(|item| split.val.contains(item)));
        prop_assert!(drawn.train.is_sorted_by_key(|item| item.label), "grouped by class");
    }

    #[test]
    fn the_draw_depends_on_the_seed_and_not_on_the_order(seed: u64, turn in 0usize..60) {
        let split = made(&[("ant", [40, 20, 0]), ("bee", [30, 10, 0])]);
        let (drawn, _) = sample(&split, Shots::PerClass(16), seed).unwrap();
        let mut turned = split.clone();
        turned.train.rotate_left(turn);
        turned.val.reverse();
        prop_assert_eq!(&sample(&turned, Shots::PerClass(16), seed).unwrap().0, &drawn);
        prop_assert_ne!(&sample(&split, Shots::PerClass(16), seed.wrapping_add(1)).unwrap().0, &drawn);
    }
}
