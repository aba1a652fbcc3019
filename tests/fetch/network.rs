//! Networks that cut, stall, damage and redirect.

use std::fs::read;

use crate::{
    Client,
    server::{COMMIT, Fault, Hub, REPOSITORY, bytes, hex, list, path},
};

const WEIGHTS: usize = 300_000;
const MODEL: &str = "model.safetensors";

#[test]
fn a_model_is_fetched_and_its_pickles_are_not() {
    let hub = Hub::new(WEIGHTS);
    let client = Client::of(&hub);
    let finished = client.fetch().done();
    let folder = std::fs::canonicalize(client.file("")).unwrap();
    assert_eq!(std::fs::canonicalize(finished.stdout.trim()).unwrap(), folder);
    assert!(finished.stderr.contains("2 files, 300.00 kB, of which 300.00 kB are to be fetched"), "{finished:?}");
    assert_eq!(read(client.file(MODEL)).unwrap(), bytes(WEIGHTS));
    assert_eq!(read(client.file("config.json")).unwrap(), b"{}");
    let asked: Vec<String> = hub.asked().into_iter().map(|request| request.path).collect();
    assert_eq!(asked, [list("main"), path("config.json"), path(MODEL)]);
    // Once more: the hub is only asked what there is.
    assert!(client.fetch().done().stderr.contains("all here"));
    assert_eq!(hub.asked().len(), 4);
}

#[test]
fn a_cut_download_goes_on_where_it_broke_off() {
    let hub = Hub::new(WEIGHTS);
    let client = Client::of(&hub);
    hub.next(&list("main"), &[Fault::HangUp]);
    hub.next(&path(MODEL), &[Fault::Cut(100_000), Fault::Cut(50_000), Fault::Cut(0), Fault::HangUp]);
    client.fetch().done();
    assert_eq!(hub.asked_for(&path(MODEL)), [None, Some(100_000), Some(150_000), Some(150_000), Some(150_000)]);
    assert_eq!(read(client.file(MODEL)).unwrap(), bytes(WEIGHTS));
}

#[test]
fn a_download_that_is_given_up_goes_on_with_the_next_command() {
    let hub = Hub::new(WEIGHTS);
    let client = Client::of(&hub);
    hub.always(&path(MODEL), Fault::Cut(0));
    hub.next(&path(MODEL), &[Fault::Cut(100_000)]);
    let message = client.fetch().failed();
    assert!(message.contains("model.safetensors") && message.contains("run the same command again"), "{message}");
    assert!(!client.file(MODEL).exists());
    hub.always(&path(MODEL), Fault::Cut(WEIGHTS));
    client.fetch().done();
    assert_eq!(hub.asked_for(&path(MODEL)).last(), Some(&Some(100_000)));
    assert_eq!(read(client.file(MODEL)).unwrap(), bytes(WEIGHTS));
}

#[test]
fn a_stalled_download_is_tried_again() {
    let hub = Hub::new(WEIGHTS);
    let client = Client::of(&hub);
    hub.next(&path(MODEL), &[Fault::Stall(100_000), Fault::Stall(0)]);
    hub.next(&list("main"), &[Fault::Stall(10)]);
    let finished = client.fetch().done();
    assert!(finished.stderr.contains("trying again"), "{finished:?}");
    assert_eq!(hub.asked_for(&path(MODEL)), [None, Some(100_000), Some(100_000)]);
    assert_eq!(read(client.file(MODEL)).unwrap(), bytes(WEIGHTS));
}

#[test]
fn damaged_bytes_are_fetched_again_and_never_kept() {
    let hub = Hub::new(WEIGHTS);
    let client = Client::of(&hub);
    hub.next(&path(MODEL), &[Fault::Damaged]);
    client.fetch().done();
    assert_eq!(read(client.file(MODEL)).unwrap(), bytes(WEIGHTS));

    for name in [MODEL, "config.json"] {
        let hub = Hub::new(WEIGHTS);
        let client = Client::of(&hub);
        hub.always(&path(name), Fault::Damaged);
        let finished = client.fetch();
        let message = finished.failed();
        assert!(message.contains(name) && message.contains("nothing of it is kept"), "{message}");
        assert!(!client.file(name).exists());
        let kept = client.blobs();
        assert!(kept.iter().all(|blob| !blob.ends_with(".incomplete")), "{kept:?}");
        assert_eq!(kept.len(), usize::from(name == MODEL), "only the sound small file: {kept:?}");
    }
}

/// What is wrong with the part that is here already shows in the hash of the whole.
#[test]
fn a_part_that_belongs_to_something_else_costs_only_time() {
    let hub = Hub::new(WEIGHTS);
    let client = Client::of(&hub);
    let blob = hex(&<sha2::Sha256 as sha2::Digest>::digest(bytes(WEIGHTS)));
    let blobs = client.repository().join("blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    for part in [vec![0; 1000], vec![0; WEIGHTS], vec![0; WEIGHTS + 1]] {
        std::fs::write(blobs.join(format!("{blob}.incomplete")), part).unwrap();
        client.fetch().done();
        assert_eq!(read(client.file(MODEL)).unwrap(), bytes(WEIGHTS));
        std::fs::remove_dir_all(client.repository().join("snapshots")).unwrap();
        std::fs::remove_file(blobs.join(&blob)).unwrap();
    }
}

#[test]
fn a_server_that_sends_no_parts_sends_all_again() {
    let hub = Hub::new(WEIGHTS);
    let client = Client::of(&hub);
    hub.always(&path(MODEL), Fault::Whole);
    hub.next(&path(MODEL), &[Fault::Cut(100_000)]);
    client.fetch().done();
    assert_eq!(hub.asked_for(&path(MODEL)), [None, Some(100_000)]);
    assert_eq!(read(client.file(MODEL)).unwrap(), bytes(WEIGHTS));
}

#[test]
fn a_wrong_length_is_not_believed() {
    for more in [-100_000, 100_000] {
        let hub = Hub::new(WEIGHTS);
        let client = Client::of(&hub);
        hub.next(&path(MODEL), &[Fault::Length(more)]);
        client.fetch().done();
        assert_eq!(read(client.file(MODEL)).unwrap(), bytes(WEIGHTS), "{more}");
    }
}

/// Between two tries the branch has moved: the part belongs to what is no longer wanted.
#[test]
fn a_branch_that_moves_gives_its_new_files() {
    let hub = Hub::new(WEIGHTS);
    let client = Client::of(&hub);
    hub.always(&path(MODEL), Fault::Cut(0));
    hub.next(&path(MODEL), &[Fault::Cut(100_000)]);
    client.fetch().failed();
    let (commit, newer) = ("f".repeat(40), bytes(WEIGHTS + 7));
    hub.put(REPOSITORY, &commit, &[("config.json", b"{}"), (MODEL, &newer)]);
    client.fetch().done();
    assert_eq!(hub.asked_for(&format!("/{REPOSITORY}/resolve/{commit}/{MODEL}")), [None]);
    assert_eq!(read(client.repository().join("snapshots").join(&commit).join(MODEL)).unwrap(), newer);
    assert_eq!(std::fs::read_to_string(client.repository().join("refs/main")).unwrap(), commit);
    // The small file is the same, and is not fetched again.
    assert_eq!(hub.asked_for(&format!("/{REPOSITORY}/resolve/{commit}/config.json")).len(), 0);
    assert_ne!(COMMIT, commit);
}

#[test]
fn the_token_is_for_the_hub_alone() {
    let (hub, elsewhere) = (Hub::new(WEIGHTS), Hub::empty());
    elsewhere.file("/content?signature=x", &bytes(WEIGHTS));
    let client = Client::of(&hub).with("HF_TOKEN", "secret");
    hub.always(&path(MODEL), Fault::Redirect(format!("{}/content?signature=x", elsewhere.address)));
    // The hub's own redirects lead to itself, and are followed with the token.
    hub.file("/moved", b"{}");
    hub.always(&path("config.json"), Fault::Redirect("/moved".into()));
    elsewhere.next("/content?signature=x", &[Fault::Cut(1000), Fault::Status(403, "")]);
    client.fetch().done();
    assert!(hub.asked().iter().all(|request| request.token.as_deref() == Some("Bearer secret")), "{:?}", hub.asked());
    assert!(elsewhere.asked().iter().all(|request| request.token.is_none()), "{:?}", elsewhere.asked());
    // A link that is no longer good is asked for again.
    assert_eq!(elsewhere.asked_for("/content?signature=x"), [None, Some(1000), Some(1000)]);
    assert_eq!(hub.asked_for(&path(MODEL)).len(), 3);
    assert_eq!(read(client.file(MODEL)).unwrap(), bytes(WEIGHTS));
}
