//! Hubs that refuse, and disks that do.

use std::time::{Duration, Instant};

use crate::{
    Client,
    server::{Fault, Hub, REPOSITORY, list, path},
    support::faults::{FullDisk, read_only_folder},
};

fn refused(fault: Fault, words: &[&str]) {
    let hub = Hub::new(2000);
    hub.always(&list("main"), fault);
    let client = Client::of(&hub);
    let message = client.fetch().refused_for(words);
    assert!(message.contains(REPOSITORY), "{message}");
    assert!(!client.cache().exists(), "a refusal leaves nothing");
    assert_eq!(hub.asked().len(), 1, "a refusal is not asked twice");
}

#[test]
fn refusals_say_what_to_do() {
    refused(Fault::Status(401, "x-error-code: RepoNotFound\r\n"), &["nothing of that name", "private", "HF_TOKEN"]);
    refused(Fault::Status(401, "x-error-code: GatedRepo\r\n"), &["accept", "HF_TOKEN"]);
    refused(Fault::Status(403, ""), &["accept", "HF_TOKEN"]);
    refused(Fault::Status(404, "x-error-code: RevisionNotFound\r\n"), &["--revision"]);
    refused(Fault::Status(404, ""), &["nothing of that name"]);
}

#[test]
fn trouble_that_passes_is_waited_for() {
    let hub = Hub::new(2000);
    hub.next(&list("main"), &[Fault::Status(503, ""), Fault::Status(500, "")]);
    hub.next(&path("model.safetensors"), &[Fault::Status(429, "retry-after: 2\r\n")]);
    let start = Instant::now();
    let finished = Client::of(&hub).fetch().done();
    assert!(start.elapsed() >= Duration::from_secs(2), "the hub asked for two seconds");
    assert!(finished.stderr.contains("trying again in 2.0 s"), "{finished:?}");
    assert_eq!(hub.asked_for(&list("main")).len(), 3);
}

#[test]
fn trouble_that_stays_is_told_of() {
    let hub = Hub::new(2000);
    hub.always(&list("main"), Fault::Status(503, ""));
    let message = Client::of(&hub).fetch().failed();
    assert!(message.contains("503") && message.contains("again later"), "{message}");
    // A pause that nobody would wait for.
    let hub = Hub::new(2000);
    hub.always(&list("main"), Fault::Status(429, "retry-after: 3600\r\n"));
    let message = Client::of(&hub).fetch().failed();
    assert!(message.contains("429"), "{message}");
    assert_eq!(hub.asked().len(), 1);
}

#[test]
fn what_is_no_hub_is_recognised() {
    for answer in ["<html>log in</html>", r#"{"sha": "main", "siblings": []}"#, r#"{"siblings": []}"#] {
        let hub = Hub::new(2000);
        hub.file(&list("main"), answer.as_bytes());
        let message = Client::of(&hub).fetch().failed();
        assert!(message.contains("HF_ENDPOINT"), "{message}");
    }
    // A list that would write elsewhere.
    let hub = Hub::empty();
    hub.put(REPOSITORY, &"0".repeat(40), &[("../../../evil", b"x"), ("model.safetensors", b"x")]);
    let client = Client::of(&hub);
    assert!(client.fetch().failed().contains("leads out"));
    let nobody = Client::of(&hub).with("HF_ENDPOINT", "http://127.0.0.1:9");
    let message = nobody.fetch().failed();
    assert!(message.contains("no connection to 127.0.0.1:9") && message.contains("HF_HUB_OFFLINE=1"), "{message}");
}

#[test]
fn a_repository_without_safetensors_is_refused_before_anything_is_fetched() {
    let hub = Hub::empty();
    hub.put(REPOSITORY, &"0".repeat(40), &[("config.json", b"{}"), ("pytorch_model.bin", b"pickle")]);
    Client::of(&hub).fetch().refused_for(&[REPOSITORY, "no pickles", "--revision refs/pr/NUMBER"]);
    assert_eq!(hub.asked().len(), 1);
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let hub = Hub::new(200_000);
    let folder = tempfile::tempdir().unwrap();
    if let Some(fault) = read_only_folder(folder.path()) {
        let client = Client::of(&hub).with("HF_HUB_CACHE", fault.path.to_str().unwrap());
        fault.check(&client.fetch().refused_after_notes());
    }
    if let Some(disk) = FullDisk::mount(folder.path()) {
        let fault = disk.fault();
        let client = Client::of(&hub).with("HF_HUB_CACHE", fault.path.to_str().unwrap());
        fault.check(&client.fetch().refused_after_notes());
    }
}
