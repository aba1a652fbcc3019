//! A sweep as an Indexed Job of Kubernetes: one completion index a shard.

use std::{fmt::Write as _, path::PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::slurm::{Amount, Job, default_tasks};
use crate::{Error, Result, platform::native};

/// What the pods are. The claim is mounted where the files lie here too, so that paths mean the same in a pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Kubernetes {
    /// The container image, with this program on its path. Needed.
    pub image: String,
    /// The persistent volume claim that holds plan, data sets and the sweep's folder, writable by many pods. Needed.
    pub claim: String,
    /// Where it is mounted; without it the folder that the program is started in.
    pub mount: Option<PathBuf>,
    /// The namespace.
    pub namespace: Option<String>,
    /// Completions, each of which computes a shard.
    pub tasks: Option<usize>,
    /// Pods that may run at once.
    pub at_most: Option<usize>,
    /// GPUs of a pod.
    pub gpus: Option<Amount>,
    /// Processor cores of a pod.
    pub cpus: Option<Amount>,
    /// Memory of a pod, such as `"16Gi"`.
    pub memory: Option<String>,
    /// The resource that GPUs are; without it `nvidia.com/gpu`.
    pub gpu_resource: Option<String>,
    /// How often a shard whose pod fails is tried again.
    pub retries: Option<usize>,
}

/// The manifest.
///
/// # Errors
/// [`Error::Usage`] where image or claim are missing.
pub fn manifest(kubernetes: &Kubernetes, job: &Job<'_>) -> Result<String> {
    for (key, value) in [("image", &kubernetes.image), ("claim", &kubernetes.claim)] {
        if value.is_empty() {
            return Err(Error::Usage(format!("the plan's [kubernetes] needs {key} = \"…\" to run the sweep there")));
        }
    }
    let tasks = kubernetes.tasks.unwrap_or_else(|| default_tasks(job.cells)).max(1);
    let mount = kubernetes.mount.as_deref().unwrap_or(job.start);
    for path in [job.plan, job.folder, job.start] {
        if !path.starts_with(mount) {
            let (path, mount) = (path.display(), mount.display());
            let why = "give [kubernetes] a mount that holds plan, sweep and the current folder";
            return Err(Error::Usage(format!("{path} is not below {mount}, where the claim is mounted: {why}")));
        }
    }
    let path = |path: &std::path::Path| path.display().to_string();
    let mut limits = Map::new();
    let gpu = kubernetes.gpu_resource.clone().unwrap_or_else(|| "nvidia.com/gpu".into());
    let mut limit = |name: String, amount: Option<String>| limits.extend(amount.map(|amount| (name, json!(amount))));
    limit("cpu".into(), kubernetes.cpus.as_ref().map(ToString::to_string));
    limit("memory".into(), kubernetes.memory.clone());
    limit(gpu, kubernetes.gpus.as_ref().map(ToString::to_string));
    let mut metadata = Map::from_iter([("name".to_owned(), json!(object_name(job.name)))]);
    metadata.extend(kubernetes.namespace.iter().map(|namespace| ("namespace".to_owned(), json!(namespace))));
    let cache = job.folder.join(".cache");
    let container = json!({
        "name": "lowshot",
        "image": kubernetes.image,
        "command": ["lowshot", "sweep", path(job.plan), "--out", path(job.folder)],
        "workingDir": path(job.start),
        "env": [
            // Kubernetes tells a pod its index, but not of how many.
            {"name": "JOB_COMPLETIONS", "value": tasks.to_string()},
            {"name": "LOWSHOT_CACHE", "value": path(&cache)},
        ],
        "resources": {"limits": limits},
        "volumeMounts": [{"name": "files", "mountPath": path(mount)}],
    });
    let manifest = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "completionMode": "Indexed",
            "completions": tasks,
            "parallelism": kubernetes.at_most.unwrap_or(tasks).min(tasks),
            "backoffLimitPerIndex": kubernetes.retries.unwrap_or(3),
            "template": {"spec": {
                "restartPolicy": "Never",
                // Time to save the state of a run that is ended.
                "terminationGracePeriodSeconds": 120,
                "containers": [container],
                "volumes": [{"name": "files", "persistentVolumeClaim": {"claimName": kubernetes.claim}}],
            }},
        },
    });
    let mut text = format!("# A sweep of {} cells by {tasks} pods. Each goes on with what is missing.\n", job.cells);
    block(&manifest, 0, &mut text);
    Ok(text)
}

/// Writes the manifest into the sweep's folder and returns its path.
///
/// # Errors
/// As [`manifest`]; the folder cannot be written.
pub fn write(kubernetes: &Kubernetes, job: &Job<'_>) -> Result<PathBuf> {
    let path = job.folder.join("job.yaml");
    native::write(&path, manifest(kubernetes, job)?.as_bytes())?;
    Ok(path)
}

/// A name as Kubernetes takes it: small letters, digits and `-`, at most 63, of which it adds some for a pod.
fn object_name(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = format!("lowshot-{name}").chars().map(safe).take(50).collect();
    name.trim_end_matches('-').to_owned()
}

/// JSON as YAML in block style. Scalars stay JSON, which YAML can read as they are: nothing is taken for something else.
fn block(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if is_nested(value) {
                    let _ = writeln!(out, "{indent}{key}:");
                    block(value, depth + 1, out);
                } else {
                    let _ = writeln!(out, "{indent}{key}: {value}");
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                if is_nested(item) {
                    let mut inner = String::new();
                    block(item, depth + 1, &mut inner);
                    // The dash takes the place of the first line's last indentation.
                    let _ = write!(out, "{indent}- {}", &inner[indent.len() + 2..]);
                } else {
                    let _ = writeln!(out, "{indent}- {item}");
                }
            }
        }
        scalar => drop(writeln!(out, "{indent}{scalar}")),
    }
}

/// Whether a value takes lines of its own.
fn is_nested(value: &Value) -> bool {
    value.as_object().is_some_and(|fields| !fields.is_empty())
        || value.as_array().is_some_and(|items| !items.is_empty())
}
