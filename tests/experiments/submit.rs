//! What a sweep writes for schedulers.

use std::fs;
use std::path::Path;
use std::process::Command;

use lowshot::experiment::sweep::kubernetes;
use lowshot::experiment::sweep::plan::SweepPlan;
use lowshot::experiment::sweep::slurm::{self, Job};

use crate::command::Machine;
use crate::sweep_folder::write_plan;

const PLAN: &str = r#"
dataset = "eurosat"
methods = "tip"
[slurm]
tasks = 4
at-most = 2
partition = "gpu"
account = "lab"
time = "4:00:00"
gpus = "a100:1"
cpus = 8
memory = "16G"
options = ["--mail-type=END", "--comment=two words"]
setup = ["module load cuda"]
[kubernetes]
image = "registry.example/lowshot:1"
claim = "experiments"
tasks = 4
at-most = 2
gpus = 1
cpus = "500m"
memory = "16Gi"
namespace = "vision"
"#;

fn job<'a>(folder: &'a Path, plan: &'a Path) -> Job<'a> {
    let (program, start) = (Path::new("/opt/lowshot"), Path::new("/data"));
    Job { name: "My sweep", program, plan, folder, start, cells: 12 }
}

#[test]
fn the_batch_script_asks_for_what_the_plan_says() {
    let plan = SweepPlan::from_toml(PLAN, "plan.toml").unwrap();
    let folder = Path::new("/data/it's here/sweep");
    let copy = folder.join("sweep.toml");
    let script = slurm::script(&plan.slurm, &job(folder, &copy)).unwrap();
    for line in [
        "#!/bin/bash",
        "#SBATCH '--job-name=lowshot-My sweep'",
        "#SBATCH --array=0-3%2",
        "#SBATCH --partition=gpu",
        "#SBATCH --account=lab",
        "#SBATCH --time=4:00:00",
        "#SBATCH --gres=gpu:a100:1",
        "#SBATCH --cpus-per-task=8",
        "#SBATCH --mem=16G",
        "#SBATCH --chdir=/data",
        "#SBATCH --requeue",
        "#SBATCH --signal=B:USR1@120",
        "#SBATCH --mail-type=END",
        "#SBATCH '--comment=two words'",
        "module load cuda",
    ] {
        assert!(script.lines().any(|found| found == line), "no {line} in:\n{script}");
    }
    let shard = r#"--shard "$((SLURM_ARRAY_TASK_ID + 1))/4""#;
    let command = r"/opt/lowshot sweep '/data/it'\''s here/sweep/sweep.toml' --out '/data/it'\''s here/sweep'";
    assert!(script.contains(&format!("{command} {shard} &\n")), "{script}");
    // Options end where the first command begins.
    let last = script.rfind("#SBATCH").unwrap();
    assert!(last < script.find("module load").unwrap());
    let job = Job { folder: Path::new("/data/a\nb"), ..job(folder, &copy) };
    assert!(slurm::script(&plan.slurm, &job).unwrap_err().to_string().contains("control character"));
}

/// The script's own part, with a program that stands for the sweep: it ends with the program's status, and takes a task up
/// again whose time is over.
#[cfg(unix)]
#[test]
fn the_batch_script_passes_signals_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let tool = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt;
        fs::write(path(name), text).unwrap();
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    tool("scontrol", "#!/bin/sh\necho \"$@\" > requeued\n");
    let run = |program: &str, signal: Option<&str>| {
        let _ = fs::remove_file(path("requeued"));
        let _ = fs::remove_file(path("started"));
        tool("program", program);
        let (program, plan) = (path("program"), path("plan.toml"));
        let job = Job { program: &program, plan: &plan, folder: folder.path(), ..job(folder.path(), &plan) };
        fs::write(path("script"), slurm::script(&slurm::Slurm::default(), &job).unwrap()).unwrap();
        let search = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("bash");
        command.arg(path("script")).current_dir(folder.path()).env("PATH", search);
        for (name, value) in [("SLURM_ARRAY_TASK_ID", "2"), ("SLURM_ARRAY_JOB_ID", "7")] {
            command.env(name, value);
        }
        let mut child = command.spawn().unwrap();
        if let Some(signal) = signal {
            while !path("started").exists() {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        }
        (child.wait().unwrap().code(), fs::read_to_string(path("requeued")).ok())
    };
    let saves = "#!/bin/bash\ntrap 'sleep 0.1; exit 130' TERM\ntouch started\nwhile true; do sleep 0.01; done\n";
    assert_eq!(run("#!/bin/sh\nexit 0\n", None), (Some(0), None));
    assert_eq!(run("#!/bin/sh\nexit 1\n", None), (Some(1), None));
    assert_eq!(run(saves, Some("-TERM")), (Some(130), None), "ended by hand");
    assert_eq!(run(saves, Some("-USR1")), (Some(130), Some("requeue 7_2\n".into())), "out of time");
    let finishes = saves.replace("exit 130", "exit 0");
    assert_eq!(run(&finishes, Some("-USR1")), (Some(0), None), "finished in the time left");
}

#[test]
fn the_manifest_is_an_indexed_job() {
    let plan = SweepPlan::from_toml(PLAN, "plan.toml").unwrap();
    let folder = Path::new("/data/sweep");
    let copy = folder.join("sweep.toml");
    let manifest = kubernetes::manifest(&plan.kubernetes, &job(folder, &copy)).unwrap();
    assert_eq!(manifest, include_str!("job.yaml"));
    for (key, without) in [("image", "image = \"registry.example/lowshot:1\""), ("claim", "claim = \"experiments\"")] {
        let plan = SweepPlan::from_toml(&PLAN.replace(without, ""), "plan.toml").unwrap();
        let message = kubernetes::manifest(&plan.kubernetes, &job(folder, &copy)).unwrap_err().to_string();
        assert!(message.contains(key), "{message}");
    }
    let elsewhere = Path::new("/elsewhere");
    let message = kubernetes::manifest(&plan.kubernetes, &job(elsewhere, &copy)).unwrap_err().to_string();
    assert!(message.contains("/elsewhere") && message.contains("mount"), "{message}");
}

#[test]
fn what_is_submitted_is_kept_in_the_sweeps_folder() {
    let machine = Machine::new();
    let lists = "methods = \"tip\"\n[slurm]\ntasks = 3\n[kubernetes]\nimage = \"lowshot\"\nclaim = \"files\"";
    write_plan(&machine, "plan.toml", lists);
    let text = fs::read(machine.path("plan.toml")).unwrap();
    // No scheduler on the path: the script stays, and the message says where.
    let mut command = machine.command();
    command.args(["sweep", "plan.toml", "--submit", "slurm"]).env("PATH", machine.work());
    let output = command.output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("there is no working sbatch") && message.contains("submit.sbatch"), "{message}");
    let script = fs::read_to_string(machine.path("plan/submit.sbatch")).unwrap();
    assert!(script.contains("#SBATCH --array=0-2\n"), "{script}");
    assert!(Command::new("bash").arg("-n").arg(machine.path("plan/submit.sbatch")).status().unwrap().success());
    assert_eq!(fs::read(machine.path("plan/sweep.toml")).unwrap(), text);

    let shown = machine.run(["sweep", "plan.toml", "--submit", "k8s"]).done().stdout;
    assert!(shown.starts_with("kubectl apply -f ") && shown.trim_end().ends_with("plan/job.yaml"), "{shown}");
    assert!(fs::read_to_string(machine.path("plan/job.yaml")).unwrap().contains("completionMode: \"Indexed\""));
}
