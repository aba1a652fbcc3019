use lowshot::data::{FewShot, Shots, Split, sample};
use proptest::prelude::*;

use crate::{assert_says, made, message};

fn split() -> Split {
    made(&[("ant", [3, 2, 1]), ("bee", [3, 2, 1])])
}

fn read(json: &str) -> lowshot::Result<(FewShot, Vec<String>)> {
    FewShot::from_json(json.as_bytes(), "f.json", &split())
}

#[test]
fn a_list_is_read_in_its_order_and_written_as_it_was() {
    let json = r#"{"train": [["train/bee/1.jpg", 1, "bee"], ["train/ant/2.jpg", 0, "ant"], ["train/bee/1.jpg", 1, "bee"]],
        "val": [["val/ant/0.jpg", 0, "ant"], ["train/ant/0.jpg", 0, "ant"]]}"#;
    let (list, notes) = read(json).unwrap();
    let paths: Vec<&str> = list.train.iter().map(|item| item.path.as_str()).collect();
    assert_eq!(paths, ["train/bee/1.jpg", "train/ant/2.jpg", "train/bee/1.jpg"]);
    assert!(notes.is_empty(), "{notes:?}");
    assert_eq!(read(&list.to_json()).unwrap().0, list);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&list.to_json()).unwrap(),
        serde_json::from_str::<serde_json::Value>(json).unwrap()
    );
}

#[test]
fn a_drawn_list_can_be_read_again() {
    let (drawn, _) = sample(&split(), Shots::PerClass(2), 9).unwrap();
    let (again, notes) = read(&drawn.to_json()).unwrap();
    assert_eq!(again, drawn);
    assert!(notes.is_empty(), "{notes:?}");
}

#[test]
fn entries_that_disagree_with_the_data_set_are_named() {
    for (list, entry, words) in [
        ("train", r#"["train/ant/9.jpg", 0, "ant"]"#, &["f.json: train[0]", "no image \"train/ant/9.jpg\""][..]),
        ("train", r#"["train/ant/0.jpg", 1, "bee"]"#, &["f.json: train[0]", "label 1", "says 0"]),
        ("train", r#"["train/ant/0.jpg", 0, "wasp"]"#, &["f.json: train[0]", "\"wasp\"", "\"ant\""]),
        ("train", r#"["test/ant/0.jpg", 0, "ant"]"#, &["f.json: train[0]", "test image"]),
        ("train", r#"["val/ant/0.jpg", 0, "ant"]"#, &["f.json: train[0]", "validation image"]),
        ("val", r#"["test/bee/0.jpg", 1, "bee"]"#, &["f.json: val[0]", "test image"]),
        ("val", r#"["../test/bee/0.jpg", 1, "bee"]"#, &["f.json: val[0]", "leaves"]),
    ] {
        let other = if list == "train" { "val" } else { "train" };
        let error = message(read(&format!(r#"{{"{list}": [{entry}], "{other}": []}}"#)));
        assert_says(&error, words);
    }
    assert_says(&message(read("{}")), &["f.json", "\"train\""]);
}

#[test]
fn classes_without_shots_and_shared_images_are_noted() {
    let entry = r#"[["train/ant/0.jpg", 0, "ant"]]"#;
    let (_, notes) = read(&format!(r#"{{"train": {entry}, "val": {entry}, "test": []}}"#)).unwrap();
    assert_says(&notes.join(" "), &["1 of 2 classes have no shots: \"bee\"", "both train and val", "\"test\""]);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = FewShot::from_json(&bytes, "f.json", &split());
    }
}
