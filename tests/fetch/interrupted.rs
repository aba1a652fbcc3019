//! Two processes at once, killed ones and stopped ones.

use std::{
    fs::{metadata, read},
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{
    Client,
    server::{Fault, Hub, REPOSITORY, bytes, path},
};

const WEIGHTS: usize = 600_000;
const MODEL: &str = "model.safetensors";

fn spawn(client: &Client) -> Child {
    let mut command = client.command();
    command.args(["fetch", REPOSITORY]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until this much of the weights is on disk.
fn wait_for(client: &Client, count: u64) {
    let start = Instant::now();
    loop {
        let partial = client.blobs().into_iter().find(|name| name.ends_with(".incomplete"));
        let length = partial.and_then(|name| metadata(client.repository().join("blobs").join(name)).ok());
        if length.is_some_and(|status| status.len() >= count) {
            return;
        }
        assert!(start.elapsed() < Duration::from_mins(1), "it never arrives");
        sleep(Duration::from_millis(5));
    }
}

/// A hub whose weights stop after 400,000 bytes, and a client with more patience than the test.
fn waiting() -> (Hub, Client) {
    let hub = Hub::new(WEIGHTS);
    hub.next(&path(MODEL), &[Fault::Wait(400_000)]);
    let client = Client::of(&hub).with("HF_HUB_DOWNLOAD_TIMEOUT", "100");
    (hub, client)
}

#[test]
fn a_killed_fetch_goes_on() {
    let (hub, client) = waiting();
    let mut child = spawn(&client);
    wait_for(&client, 400_000);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!client.file(MODEL).exists());
    client.fetch().done();
    assert_eq!(hub.asked_for(&path(MODEL)), [None, Some(400_000)]);
    assert_eq!(read(client.file(MODEL)).unwrap(), bytes(WEIGHTS));
    assert_eq!(client.blobs().len(), 2, "nothing half done is left");
}

#[cfg(unix)]
#[test]
fn a_stopped_fetch_says_that_it_goes_on() {
    let (hub, client) = waiting();
    let child = spawn(&client);
    wait_for(&client, 400_000);
    // The network is silent at this moment, and the program ends all the same.
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.lines().last().unwrap().contains("the same command goes on"), "{stderr}");
    client.fetch().done();
    assert_eq!(hub.asked_for(&path(MODEL)), [None, Some(400_000)]);
    assert_eq!(read(client.file(MODEL)).unwrap(), bytes(WEIGHTS));
}

#[test]
fn of_two_processes_one_fetches_and_both_are_done() {
    let (hub, client) = waiting();
    let first = spawn(&client);
    wait_for(&client, 400_000);
    let second = spawn(&client);
    // The second has seen the list, and waits for the lock; were it not to, it would ask for the weights too.
    let start = Instant::now();
    while hub.asked().len() < 4 && start.elapsed() < Duration::from_mins(1) {
        sleep(Duration::from_millis(5));
    }
    sleep(Duration::from_millis(300));
    assert_eq!(hub.asked_for(&path(MODEL)), [None]);
    hub.go_on();
    for child in [first, second] {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(hub.asked_for(&path(MODEL)), [None]);
    assert_eq!(read(client.file(MODEL)).unwrap(), bytes(WEIGHTS));
}
