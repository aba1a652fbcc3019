//! A sweep as a job array of a real Slurm, one task of which is killed and queued again.
//!
//! Slurm is started for the test alone (slurm.sh); where its packages or root are absent, the test says so and ends.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::command::{Machine, repository};
use crate::sweep_folder::{SweepFolder, write_plan};

/// Slow enough that a task can be caught at work.
const LISTS: &str = r#"
shots = [4, 16]
methods = [{ name = "tip-f", steps = 20000, tip = { search = false } }, { name = "meta", steps = 1500 }, "tip"]
"#;
const CELLS: usize = 6;
/// Slurm lets a task that is queued again wait for two minutes.
const PATIENCE: Duration = Duration::from_mins(10);

/// A Slurm of one node, which ends with this value.
struct Cluster {
    folder: tempfile::TempDir,
}

impl Cluster {
    /// Starts it; the error says what this machine lacks for it.
    fn start() -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let output = control("start", folder.path());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.code() {
            Some(0) => Ok(Self { folder }),
            Some(3) => Err(text.trim().to_owned()),
            _ => {
                control("stop", folder.path());
                panic!("Slurm did not start: {output:?}");
            }
        }
    }

    fn configuration(&self) -> PathBuf {
        self.folder.path().join("slurm.conf")
    }

    /// What a command of Slurm prints.
    fn ask(&self, command: &str, arguments: &[&str]) -> String {
        let output = Command::new(command).args(arguments).env("SLURM_CONF", self.configuration()).output().unwrap();
        assert!(output.status.success(), "{command} {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        control("stop", self.folder.path());
    }
}

fn control(action: &str, folder: &Path) -> Output {
    let script = repository("tests/experiments/slurm.sh");
    // Daemons inherit the streams, so waiting for the end of a pipe would wait for them.
    let (out, error) = (folder.join("stdout"), folder.join("stderr"));
    let open = |path: &Path| std::fs::File::create(path).unwrap();
    let status =
        Command::new("bash").arg(script).arg(action).arg(folder).stdout(open(&out)).stderr(open(&error)).status();
    let read = |path: &Path| std::fs::read(path).unwrap_or_default();
    Output { status: status.unwrap(), stdout: read(&out), stderr: read(&error) }
}

#[test]
fn a_job_array_with_a_killed_and_requeued_task_has_every_cell_once() {
    let cluster = match Cluster::start() {
        Ok(cluster) => cluster,
        Err(why) => {
            eprintln!("skipped: {why}");
            return;
        }
    };
    let machine = Machine::new();
    write_plan(&machine, "plan.toml", &format!("{LISTS}\n[slurm]\ntasks = 6\npartition = \"main\"\ncpus = 1"));
    let output = machine
        .command()
        .args(["sweep", "plan.toml", "--out", "sweep", "--submit", "slurm"])
        .env("SLURM_CONF", cluster.configuration())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let job = stdout.trim().strip_prefix("Submitted batch job ").unwrap_or_else(|| panic!("{output:?}"));
    let sweep = SweepFolder(machine.path("sweep"));

    // The first task, while it computes its cell. Requeueing a task that runs kills it.
    let victim = "eurosat/demo/tip-f,steps=20000,tip.search=false-4-shots-seed-1";
    let start = Instant::now();
    while sweep.history(victim).is_empty() {
        assert!(start.elapsed() < PATIENCE, "the array does not start: {}", cluster.ask("squeue", &[]));
        sleep(Duration::from_millis(5));
    }
    assert_eq!(sweep.history(victim).len(), 1, "{:?}: too quick to be caught", sweep.history(victim));
    let task = format!("{job}_0");
    cluster.ask("scontrol", &["requeue", &task]);

    let queue = || cluster.ask("squeue", &["-h", "-r", "-j", job, "-o", "%i %T %r"]);
    let mut seen = queue();
    while !seen.trim().is_empty() {
        assert!(start.elapsed() < PATIENCE, "the array does not end: {seen}");
        // A task that is queued again would begin in two minutes; this lets it begin now.
        if seen.lines().any(|line| line.starts_with(&task) && line.contains("PENDING")) {
            let arguments = ["update", &format!("JobId={task}"), "StartTime=now"];
            let _ = Command::new("scontrol").args(arguments).env("SLURM_CONF", cluster.configuration()).output();
        }
        sleep(Duration::from_millis(200));
        seen = queue();
    }

    assert_eq!(sweep.finished().len(), CELLS, "{}", logs(&sweep.0));
    sweep.check_results();
    for cell in sweep.finished() {
        let history = sweep.history(&cell);
        let claims = history.iter().filter(|line| line.starts_with("claimed by ")).count();
        let finished = history.iter().filter(|line| *line == "finished").count();
        assert_eq!((claims, finished), (if cell == victim { 2 } else { 1 }, 1), "{cell}: {history:?}");
    }

    // The same as without Slurm.
    let alone = Machine::new();
    write_plan(&alone, "plan.toml", LISTS);
    alone.run(["sweep", "plan.toml", "--out", "sweep"]).done();
    sweep.check_equal(&SweepFolder(alone.path("sweep")), CELLS);
}

/// What the tasks have printed.
fn logs(folder: &Path) -> String {
    let files =
        crate::command::files(folder).into_iter().filter(|path| path.extension().is_some_and(|end| end == "log"));
    files.map(|path| std::fs::read_to_string(path).unwrap_or_default()).collect()
}
