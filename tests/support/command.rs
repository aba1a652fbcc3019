//! The built program, run as a person runs it: in a folder of its own, with a cache of its own.
//!
//! Included by path by the test crates that use it, because the others are built without the program.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;
use tempfile::TempDir;

/// Longer than any command here takes on a busy machine; a command that hangs fails its test instead of stopping it.
const PATIENCE: Duration = Duration::from_mins(2);

/// A machine with an empty working folder, an empty feature cache and no downloaded models.
#[derive(Debug)]
pub struct Machine {
    folder: TempDir,
}

impl Machine {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("work")).expect("an empty folder");
        Self { folder }
    }

    /// The working folder.
    pub fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// A place in the working folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.work().join(name)
    }

    /// The folder of computed features.
    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// The program with this machine's surroundings, to be given arguments.
    pub fn command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(cargo_bin("lowshot"));
        command
            .current_dir(self.work())
            .env("LOWSHOT_CACHE", self.cache())
            .env("HF_HUB_CACHE", self.folder.path().join("hub"))
            // The same numbers on a machine with a GPU, and nothing from its driver about a missing screen.
            .env("LOWSHOT_DEVICE", "cpu")
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .env_remove("RUST_BACKTRACE");
        command
    }

    /// Runs the program to its end.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Finished {
        let mut command = self.command();
        command.args(arguments);
        Finished::of(command)
    }

    /// Everything in the working folder, sorted.
    pub fn files(&self) -> Vec<PathBuf> {
        files(&self.work())
    }
}

/// What a command left on the screen.
#[derive(Debug)]
pub struct Finished {
    command: String,
    code: Option<i32>,
    /// Results.
    pub stdout: String,
    /// Notes, progress and errors.
    pub stderr: String,
}

impl Finished {
    /// Runs a command to its end.
    pub fn of(command: std::process::Command) -> Self {
        let shown = command.get_args().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let output = assert_cmd::Command::from_std(command).timeout(PATIENCE).output().expect("the built program");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8 from the program");
        Self {
            command: format!("lowshot {shown}"),
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Fails the test unless the command did its work.
    #[track_caller]
    pub fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert!(!tells_of_a_bug(&self.stderr), "{self:?}");
        self
    }

    /// The result of a command that was asked for `--json` and did its work.
    #[track_caller]
    pub fn json(self) -> Value {
        let finished = self.done();
        serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {finished:?}"))
    }

    /// The last line of a command that did what it could and failed at something: exit code 1.
    #[track_caller]
    pub fn failed(self) -> String {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert!(!tells_of_a_bug(&self.stderr), "{self:?}");
        let last = self.stderr.lines().last().and_then(|line| line.strip_prefix("lowshot: "));
        last.unwrap_or_else(|| panic!("no \"lowshot: \": {self:?}")).to_owned()
    }

    /// The one line of a command that refused its input: exit code 2, nothing on stdout, nothing else on stderr (but for the
    /// progress of what went on before, which shows every ten seconds on a slow machine).
    #[track_caller]
    pub fn refused(self) -> String {
        assert_eq!(self.code, Some(2), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        let lines: Vec<&str> = self.stderr.split_terminator('\n').filter(|line| !is_progress(line)).collect();
        assert_eq!(lines.len(), 1, "not one line: {self:?}");
        let message = lines[0].strip_prefix("lowshot: ").unwrap_or_else(|| panic!("no \"lowshot: \": {self:?}"));
        assert!(!message.is_empty() && !message.contains('\r'), "not one line: {self:?}");
        assert!(!tells_of_a_bug(message) && !message.contains("src/"), "{self:?}");
        message.to_owned()
    }

    /// The last line of a command that refused its input, or could not write, after it had told what it was about.
    #[track_caller]
    pub fn refused_after_notes(self) -> String {
        assert_eq!((self.code, &*self.stdout), (Some(2), ""), "{self:?}");
        let last = self.stderr.lines().last().and_then(|line| line.strip_prefix("lowshot: "));
        last.unwrap_or_else(|| panic!("no \"lowshot: \": {self:?}")).to_owned()
    }

    /// The one line of a command that refused its input, which names all of `words`.
    #[track_caller]
    pub fn refused_for(self, words: &[&str]) -> String {
        let message = self.refused();
        for word in words {
            assert!(message.contains(word), "no {word:?} in: {message}");
        }
        message
    }
}

/// Whether a thread has panicked, which the program tells in its own words once it has begun.
fn tells_of_a_bug(stderr: &str) -> bool {
    stderr.contains("panicked") || stderr.contains("a bug")
}

/// A line like `training: 198/200 loss 2.6860`.
fn is_progress(line: &str) -> bool {
    let counts = line.split_once(": ").and_then(|(_, rest)| rest.split(' ').next()?.split_once('/'));
    counts.is_some_and(|(done, total)| done.parse::<u64>().is_ok() && total.parse::<u64>().is_ok())
}

/// Everything below a folder, sorted; links are not followed.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        found.push(entry.path());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files(&entry.path()));
        }
    }
    found.sort();
    found
}

/// A file of this repository.
pub fn repository(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

/// The sample split as JSON: `{"train"|"val"|"test": [[path, label, class name], …]}`.
pub fn sample_split() -> Value {
    let bytes = fs::read(repository("samples/eurosat/split_zhou_EuroSAT.json")).expect("the sample split");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// A sample tile: the first test tile of a class.
pub fn tile(label: u64) -> String {
    let split = sample_split();
    let entries = split["test"].as_array().expect("a list");
    let entry = entries.iter().find(|entry| entry[1] == label).expect("a tile of the class");
    repository(&format!("samples/eurosat/2750/{}", entry[0].as_str().expect("a path")))
}

/// Runs `check` on every case, and then fails with all complaints together.
pub fn each<T>(cases: impl IntoIterator<Item = T>, check: impl Fn(T)) {
    let mut failures = 0;
    for case in cases {
        // The complaint itself has been printed by then.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(case)));
        failures += usize::from(outcome.is_err());
    }
    assert_eq!(failures, 0, "so many cases failed, see above");
}
