//! The layouts as they lie on disk.

use std::fs;
use std::path::Path;

use lowshot::experiment::dataset::Dataset;
use tempfile::TempDir;

use crate::{assert_says, message};

/// Makes files; a path that ends in `/` makes a folder.
fn tree(files: &[(&str, &str)]) -> TempDir {
    let top = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let full = top.path().join(path);
        if path.ends_with('/') {
            fs::create_dir_all(full).unwrap();
        } else {
            fs::create_dir_all(full.parent().unwrap()).unwrap();
            fs::write(full, content).unwrap();
        }
    }
    top
}

fn open(path: impl AsRef<Path>, root: Option<&Path>) -> lowshot::Result<Dataset> {
    Dataset::open(path.as_ref().to_str().unwrap(), root)
}

const SPLIT: &str = r#"{"train": [["x/1.jpg", 0, "0"], ["y/1.jpg", 1, "1"]], "test": [["x/2.jpg", 0, "0"]]}"#;

#[test]
fn a_known_data_set_is_found_in_either_root() {
    let top = tree(&[("eurosat/split_zhou_EuroSAT.json", SPLIT), ("eurosat/2750/x/1.jpg", "")]);
    let folder = top.path().join("eurosat");
    let images = folder.join("2750");
    let list = folder.join("split_zhou_EuroSAT.json");
    for dataset in [
        open("eurosat", Some(top.path())).unwrap(),
        open("EuroSAT", Some(&folder)).unwrap(),
        open(&folder, None).unwrap(),
        open(&list, None).unwrap(),
        open(&list, Some(top.path())).unwrap(),
        open(&list, Some(&folder)).unwrap(),
        open(&list, Some(&images)).unwrap(),
    ] {
        assert_eq!(dataset.name, "eurosat");
        assert_eq!(dataset.root, images);
        assert_eq!(dataset.templates, ["a centered satellite photo of {}."]);
        assert_eq!(dataset.split.train.len(), 2);
        assert_eq!(dataset.split_sha256, dataset.split.sha256());
    }
}

#[test]
fn images_are_missed_only_when_they_are_used() {
    let top = tree(&[("eurosat/split_zhou_EuroSAT.json", SPLIT), ("eurosat/2750/x/1.jpg", "jpeg")]);
    let dataset = open("eurosat", Some(top.path())).unwrap();
    dataset.check_files(&dataset.split.train[..1]).unwrap();
    assert_eq!(dataset.read(&dataset.split.train[0]).unwrap(), b"jpeg");
    let missing = dataset.path(&dataset.split.train[1]).display().to_string();
    assert_says(&message(dataset.check_files(&dataset.split.train)), &[&missing, "1 of the 2 images", "eurosat"]);
    assert_says(&message(dataset.read(&dataset.split.train[1])), &[&missing, "cannot read"]);
}

#[test]
fn eurosat_without_its_split_is_divided_under_the_usual_names() {
    let top = tree(&[("2750/SeaLake/1.jpg", ""), ("2750/AnnualCrop/1.jpg", ""), ("2750/Forest/1.jpg", "")]);
    let dataset = open("eurosat", Some(top.path())).unwrap();
    assert_eq!(dataset.split.classes, ["Annual Crop Land", "Forest", "Sea or Lake"]);
    assert!(dataset.split.items().any(|item| item.class == "Sea or Lake" && item.path == "SeaLake/1.jpg"));
    assert_says(&dataset.notes.join("; "), &["split_zhou_EuroSAT.json is absent"]);
}

#[test]
fn an_absent_data_set_is_refused_with_the_places() {
    let top = tree(&[("elsewhere/", "")]);
    let error = message(open("eurosat", Some(top.path())));
    assert_says(&error, &["split_zhou_EuroSAT.json", "eurosat/", top.path().to_str().unwrap(), "root"]);
    assert_says(&message(open("no-such-set", None)), &["\"no-such-set\"", "eurosat", "dtd", ".csv"]);
    let half = tree(&[("eurosat/split_zhou_EuroSAT.json", SPLIT)]);
    assert_says(&message(open("eurosat", Some(half.path()))), &["2750", "no such folder"]);
}

#[test]
fn circuits_get_their_words() {
    let files = [
        (
            "circuit-diagrams/split_config.json",
            r#"{"train": [["1.png", 0, "0"], ["2.png", 1, "1"]], "val": [["3.png", 1, "1"]],
            "test": [["4.png", 0, "0"]]}"#,
        ),
        ("circuit-diagrams/label_map.json", r#"{"0": "others", "1": "audio amplifier"}"#),
        ("circuit-diagrams/data/1.png", ""),
        ("circuit-diagrams/data/label_preserving/1/0.png", ""),
    ];
    let top = tree(&files);
    for dataset in
        [open("circuits", Some(top.path())).unwrap(), open(top.path().join("circuit-diagrams"), None).unwrap()]
    {
        assert_eq!(dataset.name, "circuit-diagrams");
        assert_eq!(dataset.split.classes, ["others", "audio amplifier"]);
        assert_eq!(dataset.split.val[0].class, "audio amplifier");
        assert_eq!(dataset.templates, ["a circuit diagram of {}."]);
        assert_eq!(dataset.path(&dataset.split.train[0]), top.path().join("circuit-diagrams/data/1.png"));
        assert!(dataset.notes.is_empty());
    }
    let renamed = tree(&files.map(|(path, content)| (path.strip_prefix("circuit-diagrams/").unwrap(), content)));
    let own = renamed.path().join("drawn");
    fs::create_dir(&own).unwrap();
    for part in ["split_config.json", "label_map.json", "data"] {
        fs::rename(renamed.path().join(part), own.join(part)).unwrap();
    }
    let dataset = open(&own, None).unwrap();
    assert_eq!((dataset.name.as_str(), dataset.templates.as_slice()), ("drawn", &["a photo of a {}.".to_owned()][..]));
    assert_eq!(dataset.split.classes, ["others", "audio amplifier"]);

    fs::write(top.path().join("circuit-diagrams/label_map.json"), r#"{"0": "others"}"#).unwrap();
    assert_says(&message(open("circuits", Some(top.path()))), &["label_map.json", "\"1\""]);
}

#[test]
fn own_splits_and_tables_lie_beside_their_images_or_under_the_root() {
    let top = tree(&[("mine/my.json", SPLIT), ("mine/my.csv", "path,label,split\nx/1.jpg,a,train\n"), ("photos/", "")]);
    let photos = top.path().join("photos");
    for file in ["mine/my.json", "mine/my.csv"] {
        let dataset = open(top.path().join(file), None).unwrap();
        assert_eq!((dataset.name.as_str(), dataset.root), ("my", top.path().join("mine")));
        assert_eq!(open(top.path().join(file), Some(&photos)).unwrap().root, photos);
    }
    let other = top.path().join("mine/list.txt");
    fs::write(&other, "").unwrap();
    assert_says(&message(open(&other, None)), &["list.txt", ".json", ".csv"]);
}

#[test]
fn class_folders_are_opened() {
    let top = tree(&[
        ("pets/cat/1.jpg", ""),
        ("pets/cat/2.jpg", ""),
        ("pets/dog/a/1.jpg", ""),
        ("pets/dog/2.jpg", ""),
        ("pets/.cache/1.jpg", ""),
    ]);
    let dataset = open(top.path().join("pets"), None).unwrap();
    assert_eq!((dataset.name.as_str(), dataset.split.items().count()), ("pets", 4));
    dataset.check_files(&dataset.split.items().cloned().collect::<Vec<_>>()).unwrap();
    fs::create_dir(top.path().join("pets/eel")).unwrap();
    assert_says(&message(open(top.path().join("pets"), None)), &["pets", "\"eel\"", "no image"]);
}

#[cfg(unix)]
#[test]
fn a_link_to_a_folder_above_ends() {
    let top = tree(&[("cat/1.jpg", ""), ("dog/1.jpg", "")]);
    std::os::unix::fs::symlink(top.path(), top.path().join("dog/again")).unwrap();
    let dataset = open(top.path(), None).unwrap();
    assert_eq!(dataset.split.items().count(), 2);
}

#[test]
fn aircraft_are_found_in_the_archives_own_folder() {
    let (list, variants) = (|name: &str| format!("fgvc_aircraft/data/images_variant_{name}.txt"), "A\nB\n");
    let (train, val, test) = (list("train"), list("val"), list("test"));
    let top = tree(&[
        ("fgvc_aircraft/data/variants.txt", variants),
        (&train, "1 A\n2 B\n"),
        (&val, ""),
        (&test, "3 B\n"),
        ("fgvc_aircraft/data/images/1.jpg", ""),
    ]);
    let dataset = open("fgvc-aircraft", Some(top.path())).unwrap();
    assert_eq!(dataset.split.classes, ["A", "B"]);
    dataset.check_files(&dataset.split.train[..1]).unwrap();
}
