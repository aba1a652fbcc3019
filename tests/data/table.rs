use lowshot::data::{Split, aircraft, class_names, table};
use proptest::prelude::*;

use crate::{assert_says, item, message};

fn read(csv: &str) -> lowshot::Result<(Split, Vec<String>)> {
    table::from_csv(csv.as_bytes(), "t.csv")
}

#[test]
fn a_divided_table_is_read() {
    let (split, notes) = read(
        "\u{feff}Split,label,note,path\r\ntrain,sea cat,x,a/1.jpg\ntest,ant,,b/2.jpg\nvalid,ant,,\"b/3, 4.jpg\"\n",
    )
    .unwrap();
    assert_eq!(split.classes, ["ant", "sea cat"]);
    assert_eq!(split.train, [item("a/1.jpg", 1, "sea cat")]);
    assert_eq!(split.val, [item("b/3, 4.jpg", 0, "ant")]);
    assert_eq!(split.test, [item("b/2.jpg", 0, "ant")]);
    assert!(notes.is_empty(), "{notes:?}");
}

#[test]
fn an_undivided_table_is_divided() {
    let rows: Vec<String> = (0..10).map(|index| format!("{index}.jpg,{}\n", ["ant", "bee"][index % 2])).collect();
    let rows = rows.concat();
    let (split, notes) = read(&format!("path,label\n{rows}0.jpg,ant\n")).unwrap();
    assert_eq!((split.train.len(), split.val.len(), split.test.len()), (6, 2, 2));
    assert_says(&notes.join("; "), &["t.csv", "50/20/30", "1 repeated"]);
}

#[test]
fn wrong_tables_are_refused_with_the_line() {
    for (csv, words) in [
        ("", &["t.csv", "first line", "path,label"][..]),
        ("file,class\n", &["t.csv", "file,class", "path,label"]),
        ("path,label\n", &["t.csv", "no images"]),
        ("path,label\n1.jpg,ant\n2.jpg\n", &["t.csv line 3", "1 values", "2"]),
        ("path,label\n../1.jpg,ant\n", &["t.csv line 2", "leaves"]),
        ("path,label\n1.jpg,\n", &["t.csv line 2", "class name", "empty"]),
        (
            "path,label,split\n1.jpg,ant,train\n\n2.jpg,ant,later\n",
            &["t.csv line 4", "\"later\"", "train, val or test"],
        ),
        ("path,label,split\n1.jpg,ant,train\n1.jpg,ant,test\n", &["both train and test"]),
        ("path,label\n1.jpg,ant\n1.jpg,bee\n", &["\"1.jpg\"", "\"ant\"", "\"bee\""]),
    ] {
        assert_says(&message(read(csv)), words);
    }
}

#[test]
fn a_label_map_gives_the_words() {
    let classes = ["0".to_owned(), "1".to_owned()];
    let read = |json: &str| class_names::from_label_map(json.as_bytes(), "m.json", &classes);
    for json in [
        r#"{"1": "lock", "0": "alarm", "2": "fan"}"#,
        r#"{"alarm": 0, "lock": 1}"#,
        r#"{"alarm": "0", "lock": "1"}"#,
        r#"["alarm", "lock"]"#,
    ] {
        assert_eq!(read(json).unwrap(), ["alarm", "lock"]);
    }
    for (json, words) in [
        (r#"{"0": "alarm"}"#, &["m.json", "no words for class \"1\""][..]),
        (r#"{"alarm": 0, "bell": 0}"#, &["m.json", "0 means both", "\"alarm\"", "\"bell\""]),
        (r#"{"0": "", "1": "lock"}"#, &["m.json", "class 0"]),
        (r#"{"0": null}"#, &["m.json", "\"0\""]),
        ("[1]", &["m.json", "entry 0"]),
        ("3", &["m.json", "neither"]),
        ("{", &["m.json", "not JSON"]),
    ] {
        assert_says(&message(read(json)), words);
    }
}

#[test]
fn aircraft_lists_are_read() {
    let variants = b"707-320\nA300B4\n" as &[u8];
    let lists = |train: &'static [u8]| {
        let lists = [(train, "train.txt"), (b"2 A300B4\n" as &[u8], "val.txt"), (b"3 707-320\n" as &[u8], "test.txt")];
        aircraft::from_lists((variants, "variants.txt"), lists)
    };
    let (split, _) = lists(b"1 707-320\r\n4 A300B4\n").unwrap();
    assert_eq!(split.classes, ["707-320", "A300B4"]);
    assert_eq!(split.train, [item("1.jpg", 0, "707-320"), item("4.jpg", 1, "A300B4")]);
    assert_says(&message(lists(b"1 707-320\n4 A300\n")), &["train.txt line 2", "\"A300\"", "variants.txt"]);
    assert_says(&message(lists(b"1\n")), &["train.txt line 1", "no variant"]);
}

proptest! {
    #[test]
    fn no_table_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), rows in "(path|label|split|,|\n|\"|a|\\.\\./){0,20}") {
        let _ = table::from_csv(&bytes, "t.csv");
        let _ = table::from_csv(format!("path,label,split\n{rows}").as_bytes(), "t.csv");
        let _ = class_names::from_label_map(&bytes, "m.json", &["0".to_owned()]);
    }
}
