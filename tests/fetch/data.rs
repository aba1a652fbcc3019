//! Data sets: fetched, checked, unpacked into the layout that `--dataset` reads.

use std::{
    fs,
    io::{Cursor, Write},
    path::Path,
};

use lowshot::platform::{
    homes::{HOMES, Home},
    hub::{self, Environment},
};
use md5::{Digest, Md5};
use sha2::Sha256;
use zip::{ZipWriter, write::FileOptions};

use crate::{
    command::{repository, sample_split},
    server::{Fault, Hub, hex},
};

/// A zip of files.
fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(name, FileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The sample tiles as a data set like EuroSAT, on a hub and a server of its own.
fn small_eurosat(count: usize) -> (Hub, &'static Home) {
    let folder = repository("samples/eurosat/2750");
    let mut files =
        vec![("2750/".to_owned() + "../../outside.txt", b"out".to_vec()), ("readme.txt".into(), b"read".to_vec())];
    for path in crate::command::files(Path::new(&folder)).into_iter().filter(|path| path.is_file()) {
        let name = path.strip_prefix(&folder).unwrap().to_str().unwrap().replace('\\', "/");
        files.push((format!("2750/{name}"), fs::read(&path).unwrap()));
    }
    let images = files.len() - 2;
    let archive = archive(&files);
    let split = sample_split().to_string();
    let hub = Hub::empty();
    hub.put_as("datasets", "torchgeo/eurosat", HOMES[0].commit, HOMES[0].commit, &[("EuroSAT.zip", &archive)]);
    hub.file("/split", split.as_bytes());
    let home = Home {
        md5: hex(&Md5::digest(&archive)).leak(),
        count: if count == 0 { images } else { count },
        split_url: format!("{}/split", hub.address).leak(),
        split_sha256: hex(&Sha256::digest(&split)).leak(),
        split_bytes: split.len() as u64,
        ..HOMES[0]
    };
    (hub, Box::leak(Box::new(home)))
}

/// Fetches it into `folder/data`, with a cache in `folder/hub`; returns what was told.
fn fetch(hub: &Hub, home: &'static Home, folder: &Path, offline: bool) -> lowshot::Result<()> {
    let cache = folder.join("hub");
    let environment = Environment::from(&|name| match name {
        "HF_ENDPOINT" => Some(hub.address.clone().into()),
        "HF_HUB_CACHE" => Some(cache.clone().into()),
        "HF_HUB_OFFLINE" => Some(if offline { "1" } else { "" }.into()),
        _ => None,
    })?;
    let hub = hub::Hub::new(environment)?;
    let mut tell = |_| ();
    home.plan(&hub, &folder.join("data"), &mut tell)?.fetch(&hub, &mut tell)
}

#[test]
fn a_data_set_is_unpacked_into_its_layout() {
    let (hub, home) = small_eurosat(0);
    let folder = tempfile::tempdir().unwrap();
    let error = fetch(&hub, home, folder.path(), true).unwrap_err();
    assert!(error.to_string().contains("HF_HUB_OFFLINE"), "{error}");
    // A killed process left half of it.
    let set = folder.path().join("data/eurosat");
    fs::create_dir_all(set.join(".unpacking/2750/Forest")).unwrap();
    hub.next("/split", &[Fault::Cut(100)]);
    fetch(&hub, home, folder.path(), false).unwrap();
    let data = lowshot::experiment::dataset::Dataset::open("eurosat", Some(&folder.path().join("data"))).unwrap();
    for items in [&data.split.train, &data.split.val, &data.split.test] {
        assert!(!items.is_empty());
        data.check_files(items).unwrap();
    }
    assert!(!set.join(".unpacking").exists());
    let outside = [folder.path().join("outside.txt"), folder.path().join("data/outside.txt"), set.join("outside.txt")];
    assert!(outside.iter().all(|path| !path.exists()), "an archive writes nowhere else");
    // It is here, so nobody is asked, with a network or without.
    let before = hub.asked().len();
    fetch(&hub, home, folder.path(), false).unwrap();
    fetch(&hub, home, folder.path(), true).unwrap();
    assert_eq!(hub.asked().len(), before);
}

#[test]
fn another_archive_than_the_authors_is_refused() {
    let (hub, home) = small_eurosat(0);
    let folder = tempfile::tempdir().unwrap();
    let other: &'static Home = Box::leak(Box::new(Home { md5: "00000000000000000000000000000000", ..*home }));
    let error = fetch(&hub, other, folder.path(), false).unwrap_err().to_string();
    assert!(error.contains("EuroSAT.zip") && error.contains("MD5"), "{error}");
    let (hub, home) = small_eurosat(7);
    let error = fetch(&hub, home, folder.path().join("b").as_path(), false).unwrap_err().to_string();
    assert!(error.contains("not 7"), "{error}");
    let (hub, home) = small_eurosat(0);
    hub.file("/split", b"<html>sign in</html>");
    let error = fetch(&hub, home, folder.path().join("c").as_path(), false).unwrap_err().to_string();
    assert!(error.contains("split_zhou_EuroSAT.json"), "{error}");
    assert!(!folder.path().join("data/eurosat/2750").exists() && !folder.path().join("b/data/eurosat/2750").exists());
}

/// Where `lowshot fetch` puts data sets, `--dataset` finds them without a root.
#[test]
fn a_fetched_data_set_is_found_by_its_name() {
    let machine = crate::command::Machine::new();
    let arguments = ["train", "--dataset", "eurosat", "--method", "zero-shot", "--out", "run"];
    machine.run(arguments).refused_for(&["eurosat", machine.cache().join("data/eurosat").to_str().unwrap()]);
    for path in crate::command::files(Path::new(&repository("samples/eurosat"))) {
        let place =
            machine.cache().join("data/eurosat").join(path.strip_prefix(repository("samples/eurosat")).unwrap());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        if path.is_file() {
            fs::copy(&path, place).unwrap();
        }
    }
    machine.run(arguments).done();
    assert!(machine.path("run/result.json").exists());
}
