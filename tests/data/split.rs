use lowshot::data::{Split, base_classes, novel_classes};
use proptest::prelude::*;

use crate::{assert_says, item, made, message};

const SOUND: &str = r#"{"train": [["a/1.jpg", 0, "ant"], ["b/1.jpg", 1, "bee"]], "val": [["a/2.jpg", 0, "ant"]],
    "test": [["b/2.jpg", 1, "bee"]]}"#;

fn read(json: &str) -> lowshot::Result<(Split, Vec<String>)> {
    Split::from_json(json.as_bytes(), "s.json")
}

#[test]
fn the_form_of_coop_is_read() {
    let (split, notes) = read(SOUND).unwrap();
    assert_eq!(split.classes, ["ant", "bee"]);
    assert_eq!(split.train, [item("a/1.jpg", 0, "ant"), item("b/1.jpg", 1, "bee")]);
    assert_eq!(split.val, [item("a/2.jpg", 0, "ant")]);
    assert_eq!(split.test, [item("b/2.jpg", 1, "bee")]);
    assert_eq!(notes, Vec::<String>::new());
}

#[test]
fn labels_and_names_may_be_numbers_or_text() {
    let (split, _) = read(r#"{"train": [["1.jpg", "1", 1], ["2.jpg", 0, "0"]], "test": []}"#).unwrap();
    assert_eq!(split.classes, ["0", "1"]);
    assert_eq!(split.train[0], item("1.jpg", 1, "1"));
}

#[test]
fn writing_and_reading_gives_the_same_split_and_hash() {
    let (split, _) = read(SOUND).unwrap();
    let (again, _) = read(&split.to_json()).unwrap();
    assert_eq!(again, split);
    assert_eq!(again.sha256(), split.sha256());
    assert_eq!(split.sha256().len(), 64);
    let (other, _) = read(&SOUND.replace("a/2.jpg", "a/3.jpg")).unwrap();
    assert_ne!(other.sha256(), split.sha256());
}

#[test]
fn wrong_splits_are_refused_by_name() {
    let train = |entries: &str| format!(r#"{{"train": [{entries}], "test": []}}"#);
    for (json, words) in [
        ("{".to_owned(), &["s.json", "not JSON"][..]),
        ("[]".to_owned(), &["s.json", "not an object"]),
        ("{}".to_owned(), &["s.json", "no list \"train\""]),
        (train(""), &["s.json", "no images"]),
        (r#"{"train": 1, "test": []}"#.to_owned(), &["s.json: train", "not a list"]),
        (train(r#"["1.jpg", 0, "ant"], 7"#), &["s.json: train[1]", "7", "not a list"]),
        (train(r#"["1.jpg", 0]"#), &["train[0]", "2 fields"]),
        (train(r#"[1, 0, "ant"]"#), &["train[0]", "path"]),
        (train(r#"["1.jpg", -1, "ant"]"#), &["train[0]", "label", "-1"]),
        (train(r#"["1.jpg", 0.5, "ant"]"#), &["train[0]", "label", "0.5"]),
        (train(r#"["1.jpg", 1e30, "ant"]"#), &["train[0]", "label"]),
        (train(r#"["1.jpg", 0, null]"#), &["train[0]", "class name"]),
        (train(r#"["1.jpg", 0, ""]"#), &["train[0]", "class name", "empty"]),
        (train(r#"["1.jpg", 0, "ant"], ["2.jpg", 2, "cat"]"#), &["s.json", "label 1", "go up to 2"]),
        (train(r#"["1.jpg", 1, "ant"]"#), &["s.json", "label 0", "go up to 1"]),
        (train(r#"["1.jpg", 18446744073709551615, "ant"]"#), &["label 0"]),
        (train(r#"["1.jpg", 0, "ant"], ["2.jpg", 0, "bee"]"#), &["\"ant\"", "\"bee\"", "label 0", "2.jpg"]),
        (train(r#"["1.jpg", 0, "ant"], ["1.jpg", 1, "bee"]"#), &["\"1.jpg\"", "\"ant\"", "\"bee\""]),
        (train(r#"["../1.jpg", 0, "ant"]"#), &["train[0]", "\"../1.jpg\"", "leaves"]),
        (train(r#"["/1.jpg", 0, "ant"]"#), &["train[0]", "absolute"]),
        (train(r#"["C:\\1.jpg", 0, "ant"]"#), &["train[0]", "backslash"]),
        (train(r#"["C:1.jpg", 0, "ant"]"#), &["train[0]", "drive"]),
        (train(r#"["a/..\\..\\1.jpg", 0, "ant"]"#), &["train[0]", "backslash"]),
        (train(r#"["1.jpg\u0000.png", 0, "ant"]"#), &["train[0]", "NUL"]),
    ] {
        assert_says(&message(read(&json)), words);
    }
    assert_says(&message(Split::from_json(b"\xff\xfe{", "s.json")), &["s.json", "UTF-8"]);
}

#[test]
fn a_test_image_elsewhere_is_an_error_and_other_repetitions_are_noted() {
    let at = |train: &str, val: &str, test: &str| {
        let entry = |path: &str| format!(r#"["{path}", 0, "ant"]"#);
        read(&format!(
            r#"{{"train": [["t.jpg", 0, "ant"], {}], "val": [["v.jpg", 0, "ant"], {}], "test": [["e.jpg", 0, "ant"], {}]}}"#,
            entry(train),
            entry(val),
            entry(test)
        ))
    };
    assert_says(&message(at("x.jpg", "y.jpg", "x.jpg")), &["\"x.jpg\"", "both train and test"]);
    assert_says(&message(at("y.jpg", "x.jpg", "./x.jpg")), &["\"x.jpg\"", "both val and test"]);
    let (split, notes) = at("t.jpg", "t.jpg", "z.jpg").unwrap();
    assert_eq!((split.train.len(), split.val.len(), split.test.len()), (2, 2, 2));
    assert_eq!(notes.len(), 2);
    assert_says(&notes[0], &["1 repeated", "train", "t.jpg"]);
    assert_says(&notes[1], &["both train and val", "t.jpg"]);
}

#[test]
fn unusual_but_usable_splits_are_noted() {
    let json = r#"{"train": [["1.jpg", 0, "ant"], ["2.jpg", 1, "ant"]], "test": [], "extra": []}"#;
    let (split, notes) = read(json).unwrap();
    assert_eq!(split.classes, ["ant", "ant"]);
    assert_says(&notes.join(" "), &["labels 0 and 1", "\"ant\"", "\"extra\""]);
}

#[test]
fn base_and_novel_halves_share_the_classes() {
    for (classes, base) in [(0, 0), (1, 1), (2, 1), (7, 4), (10, 5)] {
        assert_eq!(base_classes(classes), 0..base);
        assert_eq!(novel_classes(classes), base..classes);
    }
}

#[test]
fn a_restricted_split_is_renumbered() {
    let split = made(&[("ant", [2, 1, 1]), ("bee", [1, 0, 2]), ("cat", [1, 1, 1])]);
    let novel = split.restrict(novel_classes(3)).unwrap();
    assert_eq!(novel.classes, ["cat"]);
    assert_eq!(novel.train, [item("train/cat/0.jpg", 0, "cat")]);
    let turned = split.restrict([2, 1]).unwrap();
    assert_eq!(turned.classes, ["cat", "bee"]);
    assert_eq!(turned.test.len(), 3);
    for item in turned.items() {
        assert_eq!(turned.classes[item.label], item.class);
    }
    assert_says(&message(split.restrict([3])), &["class 3", "there are 3"]);
    assert_says(&message(split.restrict([1, 1])), &["class 1", "twice"]);
}

/// JSON that is near to a split, so that all checks are reached.
fn near_split() -> impl Strategy<Value = String> {
    let path = prop_oneof!["[a-c]{1,2}\\.jpg", Just("../x".to_owned()), Just("/x".to_owned()), ".{0,6}"];
    let label = prop_oneof![
        4 => (0u64..3).prop_map(|label| label.to_string()),
        1 => any::<i64>().prop_map(|label| label.to_string()),
        1 => Just("null".to_owned())
    ];
    let class = prop_oneof![4 => "[xy]", 1 => ".{0,3}"];
    let entry = (path, label, class).prop_map(|(path, label, class)| {
        format!("[{}, {label}, {}]", serde_json::Value::from(path), serde_json::Value::from(class))
    });
    let list = || prop::collection::vec(entry.clone(), 0..5).prop_map(|entries| entries.join(","));
    (list(), list(), list())
        .prop_map(|(train, val, test)| format!(r#"{{"train": [{train}], "val": [{val}], "test": [{test}]}}"#))
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Split::from_json(&bytes, "s.json");
    }

    #[test]
    fn a_split_that_is_accepted_is_sound(json in near_split()) {
        if let Ok((split, _)) = read(&json) {
            for item in split.items() {
                prop_assert_eq!(&split.classes[item.label], &item.class);
                prop_assert!(!item.path.split('/').any(|part| part == ".." || part.is_empty()), "{}", item.path);
            }
            let elsewhere = |path: &str| split.train.iter().chain(&split.val).any(|item| item.path == path);
            prop_assert!(!split.test.iter().any(|item| elsewhere(&item.path)));
            prop_assert_eq!(read(&split.to_json()).unwrap().0, split);
        } else {
            let error = message(read(&json));
            prop_assert!(error.starts_with("s.json"), "{}", error);
        }
    }
}
