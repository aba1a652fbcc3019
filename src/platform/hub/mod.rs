//! Files from the Hugging Face hub, in the cache that Hugging Face's own tools fill: what they have fetched is found here, what is
//! fetched here is found by them.
//!
//! The environment is theirs too: `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_CACHE`, `HF_HOME`, `HF_HUB_OFFLINE`, `HF_HUB_ETAG_TIMEOUT` and
//! `HF_HUB_DOWNLOAD_TIMEOUT` mean what the documentation of `huggingface_hub` says.

mod cache;
mod choose;
mod client;
mod download;
mod environment;
mod hash;
mod listing;

pub use cache::{Cache, Kind, Repository, is_repository};
pub use choose::Choice;
pub use client::Client;
pub use download::{Remote, download};
pub use environment::Environment;
pub use hash::Hash;
pub use listing::{Listed, Listing};

use std::path::PathBuf;

use crate::{Error, Result};

/// The revision that is meant where none is named.
pub const MAIN: &str = "main";

/// What happens while something is fetched.
#[derive(Debug, Clone)]
pub enum Event {
    /// So many files are wanted; `bytes` of them in all, `here` of which are on this machine already.
    Wanted {
        /// Number of files.
        files: usize,
        /// Their bytes.
        bytes: u64,
        /// Bytes of those that are here.
        here: u64,
    },
    /// A file is being fetched, and so many of its bytes are here. It may go back, where bytes turn out to be wrong.
    File {
        /// Its name in the repository.
        name: String,
        /// Its bytes on this machine.
        done: u64,
    },
    /// Something that the user should know.
    Note(String),
}

/// Hears of events; called from the thread that fetches.
pub type Tell<'a> = dyn FnMut(Event) + 'a;

/// What is wanted of the hub.
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    /// Models and data sets are kept apart.
    pub kind: Kind,
    /// `organisation/name`.
    pub repository: &'a str,
    /// A branch, a tag or a commit.
    pub revision: &'a str,
    /// Which of its files.
    pub choice: Choice,
}

/// The files of a wish, before they are fetched.
#[derive(Debug)]
pub struct Plan {
    repository: Repository,
    /// What the repository is called.
    pub name: String,
    /// The revision that was asked for.
    pub revision: String,
    /// The commit that it is now.
    pub commit: String,
    /// The files, in the order in which they are fetched.
    pub files: Vec<Listed>,
}

impl Plan {
    /// Where the files will be: one folder, as in the repository.
    pub fn folder(&self) -> PathBuf {
        self.repository.snapshot(&self.commit)
    }

    /// Whether a file is here, as long as it should be.
    pub fn is_here(&self, file: &Listed) -> bool {
        std::fs::metadata(self.folder().join(&file.name))
            .is_ok_and(|status| status.is_file() && status.len() == file.bytes)
    }
}

/// The hub, as the environment describes it.
pub struct Hub {
    environment: Environment,
    cache: Cache,
    client: Client,
}

impl Hub {
    /// The hub that the environment names.
    ///
    /// # Errors
    /// What the environment says makes no sense, or there is no home folder.
    pub fn new(environment: Environment) -> Result<Self> {
        let cache = Cache::new(&environment)?;
        let client = Client::new(&environment)?;
        Ok(Self { environment, cache, client })
    }

    /// What it fetches with.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether nothing may be fetched.
    pub fn is_offline(&self) -> bool {
        self.environment.offline
    }

    /// Asks the hub which files a wish comes to. Offline it is what the cache holds of the revision.
    ///
    /// # Errors
    /// The hub does not answer or refuses; the repository has no such files; offline and not here.
    pub fn plan(&self, wish: &Wish<'_>, tell: &mut Tell<'_>) -> Result<Plan> {
        let repository = self.cache.repository(wish.kind, wish.repository)?;
        let listing = if self.is_offline() {
            repository.listing(wish.revision)?.ok_or_else(|| {
                Error::Usage(format!(
                    "{} is not on this machine, and HF_HUB_OFFLINE forbids fetching it: unset it and run the same command again",
                    wish.repository
                ))
            })?
        } else {
            listing::ask(&self.client, wish, tell)?
        };
        let mut files = wish.choice.of(wish.repository, &listing.files)?;
        // The index of a pipeline comes last, so that a folder that has one is whole; before it, what is small comes first.
        files.sort_by_key(|file| (file.name == choose::PIPELINE, file.bytes));
        let name = wish.repository.to_owned();
        Ok(Plan { repository, name, revision: wish.revision.to_owned(), commit: listing.commit, files })
    }

    /// Fetches what is not here of a plan; returns the folder of its files.
    ///
    /// # Errors
    /// A file cannot be fetched, is not what the hub publishes, or cannot be written. What was fetched stays, so that the same
    /// command goes on from there.
    pub fn fetch(&self, plan: &Plan, tell: &mut Tell<'_>) -> Result<PathBuf> {
        let here = plan.files.iter().filter(|file| plan.is_here(file)).map(|file| file.bytes).sum();
        let bytes = plan.files.iter().map(|file| file.bytes).sum();
        tell(Event::Wanted { files: plan.files.len(), bytes, here });
        if self.is_offline() {
            return Ok(plan.folder());
        }
        let repository = &plan.repository;
        for file in plan.files.iter().filter(|file| !plan.is_here(file)) {
            let blob = repository.blob(&file.blob);
            let lock = repository.lock(&file.blob, tell)?;
            let is_whole = std::fs::metadata(&blob).is_ok_and(|status| status.len() == file.bytes);
            if !is_whole {
                let url =
                    listing::address(self.client.endpoint(), repository.kind(), &plan.name, &plan.commit, &file.name);
                let remote = Remote { name: &file.name, url: &url, hash: &file.hash, bytes: Some(file.bytes) };
                download(&self.client, &remote, &blob, tell)?;
            }
            repository.link(&plan.commit, file)?;
            drop(lock);
            tell(Event::File { name: file.name.clone(), done: file.bytes });
        }
        repository.remember(&plan.revision, &plan.commit)?;
        Ok(plan.folder())
    }
}
