//! What to call a run's method: its name, with the settings by which runs of that method differ.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use toml::Value;

use super::runs::Run;
use crate::adapter::Method;

/// Settings by their dotted names.
type Settings = BTreeMap<String, String>;

/// For each run its method's label: `lora`, or `lora (lora.rank=4)` where other runs of the report that learn from the same
/// shots differ from it in that.
///
/// Settings that follow from the shots (the number of steps) differ between runs of one experiment, so only what differs at
/// the same shots counts; the few-shot list follows from the seed and does not count.
pub fn labels(runs: &[Run]) -> Vec<String> {
    let settings: Vec<Settings> = runs.iter().map(settings).collect();
    let mut alike: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, run) in runs.iter().enumerate().filter(|(_, run)| run.plan.is_some()) {
        let result = &run.result;
        let shots = result.shots.map(|shots| shots.to_string());
        let cell = (&result.dataset, &result.split_sha256, &result.backbone_sha256, shots);
        let cell = format!("{cell:?} {} {}", result.method, result.generalisation.is_some());
        alike.entry(cell).or_default().push(index);
    }
    let mut differing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for group in alike.values() {
        let names: BTreeSet<&str> = group.iter().flat_map(|&run| settings[run].keys().map(String::as_str)).collect();
        let differs = |name: &&str| group.iter().any(|&run| settings[run].get(*name) != settings[group[0]].get(*name));
        let method = differing.entry(&runs[group[0]].result.method).or_default();
        method.extend(names.into_iter().filter(differs));
    }
    let label = |(run, settings): (&Run, &Settings)| {
        let method = &run.result.method;
        let names = differing.get(method.as_str()).into_iter().flatten();
        let told: Vec<String> =
            names.filter_map(|name| settings.get(*name).map(|value| format!("{name}={value}"))).collect();
        if told.is_empty() { method.clone() } else { format!("{method} ({})", told.join(", ")) }
    };
    runs.iter().zip(&settings).map(label).collect()
}

/// What of a plan may tell two runs of one method apart.
fn settings(run: &Run) -> Settings {
    let mut settings = Settings::new();
    let Some(plan) = &run.plan else { return settings };
    if let Ok(Value::Table(recipe)) = Value::try_from(&plan.recipe) {
        recipe
            .into_iter()
            .filter(|(name, _)| name != "method")
            .for_each(|(name, value)| flatten(&mut settings, name, value));
    }
    settings.insert("templates".into(), plan.templates.join(" | "));
    settings.insert("logit-scale".into(), format!("{:?}", plan.logit_scale).to_lowercase());
    if plan.start.is_some() {
        settings.insert("start".into(), "adapter".into());
    }
    settings
}

fn flatten(settings: &mut Settings, name: String, value: Value) {
    match value {
        Value::Table(table) => {
            table.into_iter().for_each(|(inner, value)| flatten(settings, format!("{name}.{inner}"), value));
        }
        Value::String(text) => drop(settings.insert(name, text)),
        value => drop(settings.insert(name, value.to_string())),
    }
}

/// The order in which methods are shown: from the simplest, combinations by their number of parts, unknown ones last.
pub fn rank(label: &str) -> (usize, String) {
    let name = label.split(' ').next().unwrap_or_default();
    let rank = match name.parse::<Method>() {
        Ok(Method::Tuning(parts)) => {
            let parts = [parts.breaking, parts.meta, parts.lora && parts.bitfit, parts.lora];
            100 + parts.iter().fold(0, |rank, on| 2 * rank + usize::from(*on))
        }
        Ok(method) => Method::ON_FEATURES.iter().position(|other| *other == method).unwrap_or(99),
        Err(_) => 1000,
    };
    (rank, label.to_owned())
}
