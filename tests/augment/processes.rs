//! The same pictures, whatever process makes them in whatever order and batch.

use std::process::{Child, Stdio};

use crate::studio::{Studio, made};

fn spawn(studio: &Studio, out: &str, more: &str) -> Child {
    let mut command = studio.0.command();
    command.args(Studio::arguments(out, more)).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn shards_batches_and_processes_give_the_same_bytes() {
    let studio = Studio::new();
    studio.augment("alone", "").done();
    let alone = studio.folder("alone");
    alone.check();
    assert_eq!(alone.pictures().len(), 60);

    for (out, batch) in [("three", "--batch 3"), ("many", "--batch 64")] {
        studio.augment(out, batch).done();
        studio.folder(out).check_equal(&alone);
    }

    // Three shards at once, of which one takes other batches.
    let shards = ["--shard 1/3", "--shard 2/3 --batch 4", "--shard 3/3"].map(|more| spawn(&studio, "shards", more));
    for mut shard in shards {
        assert!(shard.wait().unwrap().success());
    }
    studio.folder("shards").check_equal(&alone);

    // Three processes at once that share all of the work, and then one for what they have left to one another.
    let sharing = ["", "--batch 2", ""].map(|more| spawn(&studio, "sharing", more));
    for mut process in sharing {
        assert!(process.wait().unwrap().success());
    }
    let last = studio.augment("sharing", "--json").json();
    assert_eq!(made(&last), [0, 0, 0], "every process returns when the rest is in other hands");
    studio.folder("sharing").check_equal(&alone);
}

#[test]
fn another_seed_gives_other_pictures_of_the_same_image() {
    let studio = Studio::new();
    let run = |seed: &str| {
        let mut arguments = Studio::arguments(seed, &format!("--seed {seed} --shard 1/160"));
        let at = arguments.iter().position(|argument| argument == "--shots").unwrap();
        arguments[at + 1] = "all".into();
        studio.0.run(arguments).done();
        studio.folder(seed).check();
        studio.folder(seed).bytes()
    };
    let (one, other) = (run("1"), run("2"));
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    assert_eq!(one.len(), 7);
    for (name, bytes) in &one {
        assert!(*bytes != other[name], "{name} is the same");
    }
}
