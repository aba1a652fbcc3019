//! A method of a sweep: a name, or a name with changes to the method's default settings.

use serde::Deserialize;
use toml::{Table, Value};

use crate::{
    Error, Result,
    adapter::{
        Method, Recipe,
        tuning::{EPOCHS, Preset},
    },
    data::Shots,
    hash,
};

/// Longer folder names are cut, because file systems have limits and people patience.
const LONGEST: usize = 100;

/// A method, what is changed about its default settings, and what to call it where the method's name is not enough.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub struct MethodEntry {
    /// Unique in a sweep: the `label` given, or the method's name followed by the changes.
    pub label: String,
    method: Method,
    preset: Preset,
    steps_per_shot: Option<usize>,
    epochs: Option<usize>,
    changes: Table,
}

impl TryFrom<Value> for MethodEntry {
    type Error = Error;

    /// Reads `"meta"` or `{ name = "meta", steps = 400, optimiser = { learning_rate = 1e-4 }, label = "meta-slow" }`. Beside
    /// the recipe's own settings there are `preset` (`"student"`, `"clip-lora"`) for training through the towers, and in place of
    /// `steps` there can be `steps-per-shot` or, for training through the towers, `epochs`.
    fn try_from(value: Value) -> Result<Self> {
        let mut changes = match value {
            Value::String(name) => Table::from_iter([("name".to_owned(), Value::String(name))]),
            Value::Table(table) => table,
            other => return Err(Error::Usage(format!("a method is a name or a table with a name, not {other}"))),
        };
        let mut text = |key: &str| match changes.remove(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(Error::Usage(format!("a method's {key} is text, not {other}"))),
        };
        let (name, label) = (text("name")?, text("label")?);
        let name = name.ok_or_else(|| Error::Usage(format!("the method {{ {} }} has no name", shown(&changes))))?;
        let label = label.unwrap_or_else(|| label_of(&name, &changes));
        let method: Method = name.parse()?;
        let preset = changes.remove("preset").map(Value::try_into).transpose();
        let preset: Option<Preset> = preset.map_err(|error| wrong(method, &error))?;
        let count =
            |value: Option<Value>| value.map(Value::try_into).transpose().map_err(|error| wrong(method, &error));
        let steps_per_shot: Option<usize> =
            count(changes.remove("steps-per-shot").or_else(|| changes.remove("steps_per_shot")))?;
        let epochs: Option<usize> = count(changes.remove("epochs"))?;
        for (key, given) in [("preset", preset.is_some()), ("epochs", epochs.is_some())] {
            if given && !matches!(method, Method::Tuning(_)) {
                return Err(wrong(method, format!("{key} is for training through the towers; leave it out")));
            }
        }
        if epochs == Some(0) {
            return Err(wrong(method, "epochs = 0 trains nothing; give at least one"));
        }
        let given = [
            ("steps", changes.contains_key("steps")),
            ("steps-per-shot", steps_per_shot.is_some()),
            ("epochs", epochs.is_some()),
        ];
        let given: Vec<&str> = given.into_iter().filter_map(|(key, given)| given.then_some(key)).collect();
        if given.len() > 1 {
            return Err(wrong(method, format!("it has {}; give one", given.join(" and "))));
        }
        let entry = Self { label, method, preset: preset.unwrap_or_default(), steps_per_shot, epochs, changes };
        // Wrong settings are wrong at any number of shots.
        entry.recipe(Shots::PerClass(1))?;
        Ok(entry)
    }
}

impl MethodEntry {
    /// Passes over the images to learn from, where the steps of training through the towers follow from those: given, or as in a
    /// single run where all images are learnt from and nothing else is said.
    pub fn epochs(&self, shots: Shots) -> Option<usize> {
        let otherwise = self.steps_per_shot.is_some() || self.changes.contains_key("steps");
        let usual = matches!(self.method, Method::Tuning(_)) && shots == Shots::All && !otherwise;
        self.epochs.or(usual.then_some(EPOCHS))
    }

    /// The settings for a number of shots, as a single run has them. How many steps [`MethodEntry::epochs`] are is not known yet.
    ///
    /// # Errors
    /// [`Error::Usage`] that names a setting which the method does not have, or whose value does not fit; steps for each shot
    /// where all there are is asked for.
    pub fn recipe(&self, shots: Shots) -> Result<Recipe> {
        let method = self.method;
        let mut default = Recipe::from(method);
        let mut steps_per_shot = self.steps_per_shot;
        if let Recipe::Tuning(config) = &mut default {
            config.batch = self.preset.batch();
            if !self.changes.contains_key("steps") && self.epochs(shots).is_none() {
                steps_per_shot = steps_per_shot.or(Some(self.preset.steps_per_shot()));
            }
        }
        let mut changes = self.changes.clone();
        if let Some(steps) = steps_per_shot {
            let Shots::PerClass(shots) = shots else {
                let why = "steps-per-shot is for each shot, which shots = \"all\" does not count; give steps";
                return Err(wrong(method, why));
            };
            let steps = i64::try_from(steps.saturating_mul(shots.max(1))).unwrap_or(i64::MAX);
            changes.insert("steps".to_owned(), Value::Integer(steps));
        }
        let recipe = change(&default, &changes).map_err(|why| wrong(method, &why))?;
        if recipe.method() != method {
            return Err(wrong(method, format!("its settings are those of {}; name that", recipe.method())));
        }
        if let Recipe::Tuning(config) = &recipe {
            config.check()?;
        }
        Ok(recipe)
    }
}

fn wrong(method: Method, why: impl std::fmt::Display) -> Error {
    Error::Usage(format!("method {method}: {}", why.to_string().trim_end().replace('\n', " ")))
}

/// `default` with `changes` to some of its settings.
fn change(default: &Recipe, changes: &Table) -> Result<Recipe, String> {
    let mut table = Table::try_from(default).map_err(|error| error.to_string())?;
    merge(&mut table, changes);
    let recipe: Recipe = Value::Table(table.clone()).try_into().map_err(|error| error.to_string())?;
    // A recipe without settings passes over all that it is given.
    let read = Table::try_from(&recipe).map_err(|error| error.to_string())?;
    match unread(&table, &read) {
        Some(key) => Err(format!("it has no setting '{key}'")),
        None => Ok(recipe),
    }
}

/// Changes the settings in `table`; those of the same group that are not named stay.
fn merge(table: &mut Table, changes: &Table) {
    for (key, change) in changes {
        match (table.get_mut(key), change) {
            // A group of another kind has other settings, so nothing of the old one stays.
            (Some(Value::Table(group)), Value::Table(change))
                if change.get("kind").is_none_or(|kind| group.get("kind") == Some(kind)) =>
            {
                merge(group, change);
            }
            _ => {
                table.insert(key.clone(), change.clone());
            }
        }
    }
}

/// A key of `given` that `read` does not have.
fn unread(given: &Table, read: &Table) -> Option<String> {
    given.iter().find_map(|(key, value)| match (value, read.get(key)) {
        (_, None) => Some(key.clone()),
        (Value::Table(given), Some(Value::Table(read))) => unread(given, read).map(|inner| format!("{key}.{inner}")),
        _ => None,
    })
}

/// `meta,optimiser.learning_rate=0.0001,steps=400`.
fn label_of(name: &str, changes: &Table) -> String {
    let label = if changes.is_empty() { name.to_owned() } else { format!("{name},{}", shown(changes)) };
    if label.len() <= LONGEST {
        return label;
    }
    format!("{name},{}", &hash::sha256(&label)[..12])
}

fn shown(changes: &Table) -> String {
    let mut leaves = Vec::new();
    collect(changes, "", &mut leaves);
    leaves.join(",")
}

fn collect(changes: &Table, prefix: &str, leaves: &mut Vec<String>) {
    for (key, value) in changes {
        match value {
            Value::Table(group) => collect(group, &format!("{prefix}{key}."), leaves),
            Value::Array(values) => {
                let values: Vec<String> = values.iter().map(plain).collect();
                leaves.push(format!("{prefix}{key}={}", values.join("+")));
            }
            value => leaves.push(format!("{prefix}{key}={}", plain(value))),
        }
    }
}

/// A value without quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
