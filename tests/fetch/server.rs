//! A hub on this machine, which fails in all the ways that a network does.

use std::{
    collections::{HashMap, VecDeque},
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A repository that is there.
pub const REPOSITORY: &str = "someone/small";
/// Its commit.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What is done to an answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This status with these headers in its place.
    Status(u16, &'static str),
    /// The connection is closed without an answer.
    HangUp,
    /// So many bytes, then the connection is closed.
    Cut(usize),
    /// So many bytes, then nothing more, on an open connection.
    Stall(usize),
    /// A byte differs.
    Damaged,
    /// The whole file, whatever part was asked for.
    Whole,
    /// Another length is announced than is sent, by so many bytes.
    Length(i64),
    /// So many bytes, then nothing until the file [`Hub::go_on`] says so.
    Wait(usize),
    /// It is to be had from that address.
    Redirect(String),
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The path, with what follows it.
    pub path: String,
    /// The first byte that was asked for, where it was not all.
    pub from: Option<usize>,
    /// What the request said of who asks.
    pub token: Option<String>,
}

#[derive(Default)]
struct State {
    /// Contents by path.
    files: HashMap<String, Vec<u8>>,
    /// What happens to the next requests for a path.
    next: HashMap<String, VecDeque<Fault>>,
    /// What happens to all others.
    always: HashMap<String, Fault>,
    asked: Vec<Request>,
    /// Whether those who wait may go on.
    open: bool,
}

/// The hub.
#[derive(Clone)]
pub struct Hub {
    state: Arc<Mutex<State>>,
    /// Its address.
    pub address: String,
}

/// A file as the hub lists it: large ones by SHA-256, small ones as git does.
pub fn listed(name: &str, content: &[u8]) -> Value {
    let size = content.len();
    let blob = hex(&Sha1::digest([format!("blob {size}\0").as_bytes(), content].concat()));
    if size < 1000 {
        return json!({"rfilename": name, "size": size, "blobId": blob});
    }
    let lfs = json!({"sha256": hex(&Sha256::digest(content)), "size": size, "pointerSize": 134});
    json!({"rfilename": name, "size": size, "blobId": "f".repeat(40), "lfs": lfs})
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that differ from place to place.
pub fn bytes(count: usize) -> Vec<u8> {
    (0..count as u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Where a file of [`REPOSITORY`] is.
pub fn path(name: &str) -> String {
    format!("/{REPOSITORY}/resolve/{COMMIT}/{name}")
}

/// Where the list of its files is.
pub fn list(revision: &str) -> String {
    format!("/api/models/{REPOSITORY}/revision/{revision}?blobs=true")
}

impl Hub {
    /// A hub without anything.
    pub fn empty() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let hub = Self { state: Arc::default(), address: format!("http://{}", listener.local_addr().unwrap()) };
        let serving = hub.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let hub = serving.clone();
                // A client that has gone away is no error.
                thread::spawn(move || drop(hub.serve(stream)));
            }
        });
        hub
    }

    /// A hub with [`REPOSITORY`], which holds a small file and one of this many bytes.
    pub fn new(weights: usize) -> Self {
        let hub = Self::empty();
        hub.put(
            REPOSITORY,
            COMMIT,
            &[("config.json", b"{}"), ("model.safetensors", &bytes(weights)), ("pytorch_model.bin", b"pickle")],
        );
        hub
    }

    /// Puts a model onto the hub as its main branch.
    pub fn put(&self, repository: &str, commit: &str, files: &[(&str, &[u8])]) {
        self.put_as("models", repository, "main", commit, files);
    }

    /// The same for any kind and revision.
    pub fn put_as(&self, kind: &str, repository: &str, revision: &str, commit: &str, files: &[(&str, &[u8])]) {
        let siblings: Vec<Value> = files.iter().map(|(name, content)| listed(name, content)).collect();
        let listing = json!({"id": repository, "sha": commit, "siblings": siblings}).to_string();
        self.file(&format!("/api/{kind}/{repository}/revision/{revision}?blobs=true"), listing.as_bytes());
        let prefix = if kind == "models" { "" } else { "/datasets" };
        for (name, content) in files {
            self.file(&format!("{prefix}/{repository}/resolve/{commit}/{name}"), content);
        }
    }

    /// Puts something at a path.
    pub fn file(&self, path: &str, content: &[u8]) {
        self.state().files.insert(path.into(), content.into());
    }

    /// What happens to the next requests for a path, one after the other.
    pub fn next(&self, path: &str, faults: &[Fault]) {
        self.state().next.insert(path.into(), faults.iter().cloned().collect());
    }

    /// What happens to all requests for a path.
    pub fn always(&self, path: &str, fault: Fault) {
        self.state().always.insert(path.into(), fault);
    }

    /// Lets those go on who wait.
    pub fn go_on(&self) {
        self.state().open = true;
    }

    /// What was asked for up to now.
    pub fn asked(&self) -> Vec<Request> {
        self.state().asked.clone()
    }

    /// From where a path was asked for, each time.
    pub fn asked_for(&self, path: &str) -> Vec<Option<usize>> {
        self.asked().into_iter().filter(|request| request.path == path).map(|request| request.from).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Answers one request; the connection is closed after it.
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let headers: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        let header = |name: &str| {
            let line = headers.iter().find(|line| line.to_lowercase().starts_with(&format!("{name}:")))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let range = header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let (content, fault) = {
            let mut state = self.state();
            state.asked.push(Request { path: path.clone(), from: range, token: header("authorization") });
            let next = state.next.get_mut(&path).and_then(VecDeque::pop_front);
            (state.files.get(&path).cloned(), next.or_else(|| state.always.get(&path).cloned()))
        };
        if matches!(fault, Some(Fault::HangUp)) {
            return Ok(());
        }
        if let Some(Fault::Status(status, more)) = fault {
            return write!(stream, "HTTP/1.1 {status} no\r\n{more}content-length: 4\r\nconnection: close\r\n\r\nno!\n");
        }
        if let Some(Fault::Redirect(to)) = fault {
            return write!(
                stream,
                "HTTP/1.1 302 there\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
        }
        let Some(mut content) = content else {
            let code = "x-error-code: RepoNotFound\r\n";
            return write!(stream, "HTTP/1.1 401 no\r\n{code}content-length: 0\r\nconnection: close\r\n\r\n");
        };
        let whole = content.len();
        if matches!(fault, Some(Fault::Damaged)) {
            content[whole / 2] ^= 1;
        }
        let from = range.filter(|_| !matches!(fault, Some(Fault::Whole)));
        if from.is_some_and(|from| from >= whole) {
            return write!(
                stream,
                "HTTP/1.1 416 no\r\ncontent-range: bytes */{whole}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
        }
        let part = &content[from.unwrap_or(0)..];
        let (status, range) = match from {
            Some(from) => (206, format!("content-range: bytes {from}-{}/{whole}\r\n", whole - 1)),
            None => (200, String::new()),
        };
        let announced = match fault {
            Some(Fault::Length(more)) => (part.len() as i64 + more) as usize,
            _ => part.len(),
        };
        write!(stream, "HTTP/1.1 {status} ok\r\n{range}content-length: {announced}\r\nconnection: close\r\n\r\n")?;
        match fault {
            Some(Fault::Cut(count)) => stream.write_all(&part[..count.min(part.len())]),
            Some(Fault::Stall(count)) => {
                stream.write_all(&part[..count])?;
                thread::sleep(Duration::from_mins(1));
                Ok(())
            }
            Some(Fault::Wait(count)) => {
                stream.write_all(&part[..count])?;
                while !self.state().open {
                    thread::sleep(Duration::from_millis(10));
                }
                stream.write_all(&part[count..])
            }
            _ => stream.write_all(part),
        }
    }
}
