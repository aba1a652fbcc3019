//! A sweep as a Slurm job array: one task a shard.

use std::{fmt::Write as _, path::Path, process::Command};

use serde::Deserialize;

use crate::{Error, Result, platform::native};

/// What a task asks Slurm for, as the options of `sbatch` do. What is left out is left to the cluster.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Slurm {
    /// Tasks in the array, each of which computes a shard.
    pub tasks: Option<usize>,
    /// Tasks that may run at once.
    pub at_most: Option<usize>,
    /// The partition.
    pub partition: Option<String>,
    /// The account to charge.
    pub account: Option<String>,
    /// Time limit of a task, such as `"4:00:00"`.
    pub time: Option<String>,
    /// GPUs of a task, such as `1` or `"a100:1"`.
    pub gpus: Option<Amount>,
    /// Processor cores of a task.
    pub cpus: Option<usize>,
    /// Memory of a task, such as `"16G"`.
    pub memory: Option<String>,
    /// Further options of `sbatch`, such as `"--constraint=a100"`.
    pub options: Vec<String>,
    /// Lines of shell that run before the program, such as `"module load cuda"`.
    pub setup: Vec<String>,
}

/// A number, or a number with its kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    /// So many.
    Count(u32),
    /// As the scheduler spells it.
    Named(String),
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// What a task of an array runs.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The job's name.
    pub name: &'a str,
    /// This program.
    pub program: &'a Path,
    /// The plan's copy in the sweep's folder.
    pub plan: &'a Path,
    /// The sweep's folder.
    pub folder: &'a Path,
    /// The folder that relative paths in the plan start from.
    pub start: &'a Path,
    /// The sweep's cells.
    pub cells: usize,
}

/// Tasks where the plan does not say how many: a task loads the model once, so there are several cells for each.
pub fn default_tasks(cells: usize) -> usize {
    cells.clamp(1, 16)
}

/// The batch script of the array.
///
/// Slurm sends the script a SIGUSR1 two minutes before the time limit; the script then ends the program by the signal at
/// which it saves its state, and has the task queued again. A task that is killed, by preemption or with its machine, is
/// queued again by Slurm.
///
/// # Errors
/// [`Error::Usage`] for a path or an option that a script cannot hold.
pub fn script(slurm: &Slurm, job: &Job<'_>) -> Result<String> {
    let tasks = slurm.tasks.unwrap_or_else(|| default_tasks(job.cells)).max(1);
    let limit = slurm.at_most.map(|limit| format!("%{limit}")).unwrap_or_default();
    let mut options = vec![
        format!("--job-name=lowshot-{}", job.name),
        format!("--array=0-{}{limit}", tasks - 1),
        format!("--output={}", job.folder.join("slurm-%A_%a.log").display()),
        format!("--chdir={}", job.start.display()),
        "--open-mode=append".to_owned(),
        "--requeue".to_owned(),
        "--signal=B:USR1@120".to_owned(),
    ];
    let mut option = |name: &str, value: Option<String>| options.extend(value.map(|value| format!("--{name}={value}")));
    option("partition", slurm.partition.clone());
    option("account", slurm.account.clone());
    option("time", slurm.time.clone());
    option("gres", slurm.gpus.as_ref().map(|gpus| format!("gpu:{gpus}")));
    option("cpus-per-task", slurm.cpus.map(|cpus| cpus.to_string()));
    option("mem", slurm.memory.clone());
    options.extend(slurm.options.iter().cloned());

    let mut text = format!(
        "#!/bin/bash\n# A sweep of {} cells by {tasks} tasks. To submit it again, which computes what is missing: sbatch {}\n",
        job.cells,
        quote(job.folder.join("submit.sbatch").display())?
    );
    for option in &options {
        let _ = writeln!(text, "#SBATCH {}", quote(option)?);
    }
    for line in &slurm.setup {
        let _ = writeln!(text, "{line}");
    }
    let [program, plan, folder] = [job.program, job.plan, job.folder].map(|path| quote(path.display()));
    let _ = write!(
        text,
        r#"
export RAYON_NUM_THREADS="${{SLURM_CPUS_PER_TASK:-${{SLURM_CPUS_ON_NODE:-1}}}}"
{} sweep {} --out {} --shard "$((SLURM_ARRAY_TASK_ID + 1))/{tasks}" &
program=$!

# SIGTERM lets the program save its state. SIGUSR1 means that the time is nearly over.
out_of_time=
trap 'kill -TERM "$program" 2>/dev/null' TERM
trap 'out_of_time=yes; kill -TERM "$program" 2>/dev/null' USR1

# A trapped signal ends "wait" early.
while true; do
    wait "$program"
    status=$?
    kill -0 "$program" 2>/dev/null || break
done
if [ -n "$out_of_time" ] && [ "$status" -ge 128 ]; then
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
fi
exit "$status"
"#,
        program?, plan?, folder?
    );
    Ok(text)
}

/// Submits a script.
///
/// # Errors
/// There is no `sbatch`, or it refuses; the script stays.
pub fn submit(script: &Path) -> Result<String> {
    let written = format!("the script is written, submit it with 'sbatch {}'", script.display());
    match Command::new("sbatch").arg(script).output() {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
            Err(Error::Failed(format!("sbatch refuses ({why}); {written}")))
        }
        Err(error) => Err(Error::Failed(format!("there is no working sbatch here ({error}); {written}"))),
    }
}

/// Writes the script into the sweep's folder and returns its path.
///
/// # Errors
/// As [`script`]; the folder cannot be written.
pub fn write(slurm: &Slurm, job: &Job<'_>) -> Result<std::path::PathBuf> {
    let path = job.folder.join("submit.sbatch");
    native::write(&path, script(slurm, job)?.as_bytes())?;
    Ok(path)
}

/// A text as one word of a shell; also `sbatch` reads its options so.
fn quote(text: impl std::fmt::Display) -> Result<String> {
    let text = text.to_string();
    if text.contains(char::is_control) {
        return Err(Error::Usage(format!("{text:?} has a control character, which a batch script cannot hold")));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=+:,%@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return Ok(text);
    }
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}
