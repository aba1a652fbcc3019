//! `lowshot fetch`, by the built program, from a hub that the tests play.

#![cfg(feature = "native")]
// The helpers stand outside of test functions, where the lints do not know that they are tests.
#![allow(clippy::unwrap_used)]

mod cache;
#[path = "../support/command.rs"]
#[allow(dead_code)]
mod command;
mod data;
mod interrupted;
mod names;
mod network;
mod refusals;
mod server;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;

use command::{Finished, Machine};
use server::{COMMIT, Hub, REPOSITORY};

/// A machine that knows a hub.
struct Client {
    machine: Machine,
    /// More variables.
    variables: Vec<(&'static str, String)>,
}

impl Client {
    fn of(hub: &Hub) -> Self {
        let quick = ["HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"].map(|name| (name, "1".to_owned()));
        let variables = [&[("HF_ENDPOINT", hub.address.clone())][..], &quick].concat();
        Self { machine: Machine::new(), variables }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// The program, to be given arguments; nothing of the tester's own set-up reaches it.
    fn command(&self) -> std::process::Command {
        let mut command = self.machine.command();
        for name in [
            "HF_TOKEN",
            "HUGGING_FACE_HUB_TOKEN",
            "HF_HUB_OFFLINE",
            "HTTP_PROXY",
            "http_proxy",
            "ALL_PROXY",
            "all_proxy",
        ] {
            command.env_remove(name);
        }
        command
            .env("HF_HOME", self.machine.work().join("../home"))
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        let mut command = self.command();
        command.args(arguments);
        Finished::of(command)
    }

    /// Fetches [`REPOSITORY`].
    fn fetch(&self) -> Finished {
        self.run(&["fetch", REPOSITORY])
    }

    /// The cache's folder.
    fn cache(&self) -> PathBuf {
        self.machine.work().join("../hub")
    }

    /// The cache's folder of [`REPOSITORY`].
    fn repository(&self) -> PathBuf {
        self.cache().join("models--someone--small")
    }

    /// A file of [`REPOSITORY`].
    fn file(&self, name: &str) -> PathBuf {
        self.repository().join("snapshots").join(COMMIT).join(name)
    }

    /// What is in `blobs`, sorted.
    fn blobs(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.repository().join("blobs")).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}
