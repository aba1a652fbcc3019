//! Running the same command again, after something has changed.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;

use serde_json::Value;

use crate::command::repository;
use crate::studio::{Generated, MANIFEST, Studio, made};

/// The pictures whose bytes differ between two states of a folder.
fn changed(before: &std::collections::BTreeMap<String, Vec<u8>>, folder: &Generated) -> BTreeSet<String> {
    let after = folder.bytes();
    let names = after.keys().chain(before.keys()).filter(|name| name.as_str() != MANIFEST);
    names.filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

/// How many of a kind were found in a state.
fn found(json: &Value, kind: &str, state: &str) -> u64 {
    json["pictures"][kind]["found"][state].as_u64().unwrap()
}

#[test]
fn only_what_is_missing_damaged_or_different_is_made() {
    let studio = Studio::new();
    studio.augment("out", "").done();
    let folder = studio.folder("out");
    let whole = folder.bytes();
    let again = |more: &str| {
        let json = studio.augment("out", &format!("{more} --json")).json();
        folder.check();
        json
    };
    assert_eq!(made(&again("")), [0, 0, 0]);
    assert_eq!(folder.bytes(), whole);

    // One removed, one damaged, one replaced by another of the same kind.
    let pictures = folder.pictures();
    let of = |kind: &str| pictures.iter().filter(|name| name.starts_with(kind)).cloned().collect::<Vec<_>>();
    let (preserving, breaking) = (of("label_preserving/"), of("label_breaking/"));
    fs::remove_file(folder.0.join(&preserving[0])).unwrap();
    let mut damaged = whole[&preserving[1]].clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(folder.0.join(&preserving[1]), damaged).unwrap();
    fs::copy(folder.0.join(&preserving[3]), folder.0.join(&preserving[2])).unwrap();
    let json = again("");
    assert_eq!(made(&json), [3, 0, 0]);
    assert_eq!((found(&json, "label_preserving", "absent"), found(&json, "label_preserving", "damaged")), (1, 2));
    assert_eq!(folder.bytes(), whole);

    // A breaking picture's view stays when the picture comes back as it was.
    fs::remove_file(folder.0.join(&breaking[0])).unwrap();
    assert_eq!(made(&again("")), [0, 1, 0]);
    assert_eq!(folder.bytes(), whole);

    // Without the manifest the pictures say themselves what they are.
    fs::remove_file(folder.0.join(MANIFEST)).unwrap();
    assert_eq!(made(&again("")), [0, 0, 0]);
    assert_eq!(folder.bytes(), whole);

    // Other settings make other pictures of just the kinds that they concern.
    let json = again("--negative blurry");
    assert_eq!(made(&json), [20, 20, 20]);
    assert_eq!(found(&json, "label_preserving", "different"), 20);
    assert_eq!(made(&again("")), [20, 20, 20]);
    assert_eq!(folder.bytes(), whole);
    let mut arguments = Studio::arguments("out", "--strength 0.9 --json");
    let at = arguments.iter().position(|argument| argument == "both").unwrap();
    arguments[at] = "breaking".into();
    assert_eq!(made(&studio.0.run(arguments).json()), [0, 20, 20]);
    assert!(changed(&whole, &folder).iter().all(|name| name.starts_with("label_breaking")));
    // More pictures of each leave those that are there.
    let folder = studio.folder("more");
    studio.augment("more", "--shard 1/10").done();
    let before = folder.bytes();
    let mut arguments = Studio::arguments("more", "--shard 1/10 --json");
    let at = arguments.iter().position(|argument| argument == "--per-image").unwrap();
    arguments[at + 1] = "3".into();
    assert_eq!(made(&studio.0.run(arguments).json()), [1, 1, 1]);
    assert_eq!(changed(&before, &folder).len(), 3);
}

#[test]
fn another_source_or_model_makes_other_pictures() {
    let studio = Studio::new();
    let machine = &studio.0;
    let data = machine.path("tiles");
    for class in ["River", "Forest"] {
        let from = repository(&format!("samples/eurosat/2750/{class}"));
        fs::create_dir_all(data.join(class)).unwrap();
        let mut tiles: Vec<_> = fs::read_dir(from).unwrap().flatten().map(|entry| entry.path()).collect();
        tiles.sort();
        for tile in &tiles[..8] {
            fs::copy(tile, data.join(class).join(tile.file_name().unwrap())).unwrap();
        }
    }
    let usual = "augment --dataset tiles --kind both --model sd --per-image 1 --size 32 --steps 4 --json";
    let run = || machine.run(usual.split(' ')).json();
    let first = run();
    let images = first["images"].as_u64().unwrap();
    assert_eq!(made(&first), [images; 3]);
    // The pictures lie in the data set's own folder, and are not taken for classes.
    let again = run();
    assert_eq!((again["images"].as_u64().unwrap(), made(&again)), (images, [0; 3]));

    let folder = Generated(data.clone());
    let line = folder.lines().into_iter().find(|line| line["kind"] == "label_preserving").unwrap();
    let source = line["source"].as_str().unwrap();
    let other = if source.starts_with("River") { "Forest" } else { "River" };
    let replacement = fs::read_dir(data.join(other)).unwrap().flatten().next().unwrap().path();
    fs::copy(replacement, data.join(source)).unwrap();
    assert_eq!(made(&run()), [1, 1, 1]);

    let config = machine.path("sd/scheduler/scheduler_config.json");
    let text = fs::read_to_string(&config).unwrap();
    let changed = text.replace("0.012", "0.013");
    assert_ne!(changed, text);
    fs::write(&config, changed).unwrap();
    assert_eq!(made(&run()), [images; 3]);
}

#[test]
fn a_damaged_manifest_costs_nothing_but_its_line() {
    let studio = Studio::new();
    studio.augment("out", "--shard 1/5").done();
    let folder = studio.folder("out");
    let whole = folder.bytes();
    let path = folder.0.join(MANIFEST);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();

    // Torn at the end, by a kill.
    fs::write(&path, &text[..text.len() - 40]).unwrap();
    assert_eq!(made(&studio.augment("out", "--shard 1/5 --json").json()), [0, 0, 0]);
    assert_eq!(folder.bytes(), whole);

    // Damaged in the middle, by whatever.
    let damaged = lines.iter().enumerate().map(|(at, line)| if at == 3 { "{\"picture\": 3" } else { *line });
    fs::write(&path, damaged.collect::<Vec<_>>().join("\n") + "\n").unwrap();
    let finished = studio.augment("out", "--shard 1/5 --json").done();
    assert!(finished.stderr.contains("augment.jsonl line 4 is damaged"), "{finished:?}");
    assert_eq!(folder.bytes(), whole);
    assert_eq!(fs::read_to_string(folder.0.join("augment.damaged.txt")).unwrap(), "{\"picture\": 3\n");
    let quiet = studio.augment("out", "--shard 1/5").done();
    assert!(!quiet.stderr.contains("damaged"), "{quiet:?}");

    // Two lines for a picture, of which the older is of other settings: the last one counts.
    let mut file = fs::File::options().append(true).open(&path).unwrap();
    file.write_all(lines[0].replace("\"steps\":8", "\"steps\":9").as_bytes()).unwrap();
    file.write_all(format!("\n{}\n", lines[0]).as_bytes()).unwrap();
    assert_eq!(made(&studio.augment("out", "--shard 1/5 --json").json()), [0, 0, 0]);
    assert_eq!(folder.bytes(), whole);
}
