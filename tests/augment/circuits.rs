//! A data set whose classes are numbers in its split: prompts are of their words.

use std::fs;

use image::{Rgb, RgbImage};
use serde_json::json;

use crate::studio::{Generated, Studio};

#[test]
fn prompts_are_of_the_classes_words() {
    let studio = Studio::new();
    let top = studio.0.path("data/circuit-diagrams");
    fs::create_dir_all(top.join("data")).unwrap();
    for (index, name) in ["a.png", "b.png", "c.png"].into_iter().enumerate() {
        // Wider than high, as schematics are.
        let picture = RgbImage::from_fn(90, 40, |x, y| Rgb([(x * 2) as u8, (y * 5) as u8, index as u8 * 80]));
        picture.save(top.join("data").join(name)).unwrap();
    }
    let split = json!({"train": [["a.png", 0, "0"], ["b.png", 1, "1"]], "val": [], "test": [["c.png", 0, "0"]]});
    fs::write(top.join("split_config.json"), split.to_string()).unwrap();
    let words = json!({"0": "RC low-pass filter", "1": "voltage_divider"});
    fs::write(top.join("label_map.json"), words.to_string()).unwrap();

    let usual =
        "augment --dataset circuits --root-path data --kind preserving --model sd --per-image 1 --size 64 --steps 4";
    studio.0.run(usual.split(' ')).done();
    let folder = Generated(top.join("data"));
    let made: Vec<String> = folder.pictures().into_iter().filter(|name| name.starts_with("label_")).collect();
    assert_eq!(made, ["label_preserving/a/0.png", "label_preserving/b/0.png"]);
    let prompts: Vec<_> = folder.lines().iter().map(|line| line["prompt"].as_str().unwrap().to_owned()).collect();
    assert_eq!(prompts, ["a circuit diagram of RC low-pass filter", "a circuit diagram of voltage divider"]);

    let own = usual.split(' ').chain(["--prompt", "{}, hand-drawn", "--out", "drawn"]);
    studio.0.run(own).done();
    assert_eq!(studio.folder("drawn").lines()[0]["prompt"], "RC low-pass filter, hand-drawn");
}
