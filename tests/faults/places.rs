//! Places that nothing can be written to: exit code 2, one line, and nothing left behind.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::command::{Finished, Machine, files, repository, tile};
use crate::support::faults::{Fault, FullDisk, full_file, read_only_folder};

fn train(machine: &Machine, out: &Path) -> Finished {
    let samples = repository("samples");
    let usual =
        ["train", "--dataset", "eurosat", "--root-path", &samples, "--shots", "4", "--method", "zero-shot", "--out"];
    machine.run(usual.iter().map(AsRef::as_ref).chain([out.as_os_str()]))
}

fn embed(machine: &Machine, out: &Path) -> Finished {
    let tile = tile(0);
    machine.run(["embed", &tile, "a river", "--out"].map(AsRef::as_ref).into_iter().chain([out.as_os_str()]))
}

/// What lies in a folder, sorted. Not what lies deeper: the folder may be a part of the system.
fn listing(folder: &Path) -> Vec<OsString> {
    let mut names: Vec<OsString> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

/// Tries to write a run (into the place and into a new folder in it), features and the demo's picture.
fn try_all(machine: &Machine, fault: &Fault) {
    let before = listing(&fault.path);
    let intact = |what: &str| assert_eq!(listing(&fault.path), before, "{}: left behind by {what}", fault.name);
    fault.check(&train(machine, &fault.path).refused());
    intact("train into the folder");
    fault.check(&train(machine, &fault.path.join("runs/first")).refused());
    intact("train into a new folder");
    // Large enough not to fit where a page is free.
    fault.check(&embed_many(machine, &fault.path.join("new/features.safetensors")).refused());
    intact("embed");
    let picture = fault.path.join("picture.svg");
    fault.check(&machine.run(["demo", "--out", picture.to_str().unwrap()]).refused());
    intact("demo");
}

fn embed_many(machine: &Machine, out: &Path) -> Finished {
    let texts = (0..12).map(|number| format!("text number {number}"));
    let out = out.to_str().unwrap().to_owned();
    machine.run(["embed".to_owned()].into_iter().chain(texts).chain(["--out".to_owned(), out]))
}

#[test]
fn a_full_disk_gets_no_half_run() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = FullDisk::mount(folder.path()) else { return };
    try_all(&Machine::new(), &disk.fault());
}

#[test]
fn a_folder_without_permission_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let Some(fault) = read_only_folder(folder.path()) else { return };
    // The message of the system is in its own words: "Permission denied".
    let mentions = vec![fault.mentions[0].clone(), "ermission".to_owned()];
    try_all(&Machine::new(), &Fault { mentions, ..fault });
}

/// A device is written to, never replaced by a file.
#[test]
fn a_full_device_stays_a_device() {
    let folder = tempfile::tempdir().unwrap();
    let Some(fault) = full_file(folder.path()) else { return };
    fault.check(&embed(&Machine::new(), &fault.path).refused());
    assert!(fs::symlink_metadata(&fault.path).unwrap().is_symlink(), "the link was replaced");
    assert_eq!(files(folder.path()), [fault.path]);
}

#[test]
fn a_folder_in_the_place_of_a_file_is_refused_and_so_is_the_reverse() {
    let machine = Machine::new();
    fs::create_dir(machine.path("folder")).unwrap();
    fs::write(machine.path("file"), "mine").unwrap();
    let before = machine.files();
    embed(&machine, &machine.path("folder")).refused_for(&["folder"]);
    train(&machine, &machine.path("file")).refused_for(&["file"]);
    train(&machine, &machine.path("file/run")).refused_for(&["file"]);
    assert_eq!(machine.files(), before);
    assert_eq!(fs::read_to_string(machine.path("file")).unwrap(), "mine");
}

/// An unusable cache is an error that says which folder it is, not a slow run without one.
#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let machine = Machine::new();
    fs::write(machine.cache(), "a file where the cache should be").unwrap();
    train(&machine, &machine.path("run")).refused_for(&[machine.cache().to_str().unwrap()]);
    assert_eq!(machine.files().len(), 0);
}
