//! `lowshot fetch`: models and data sets onto this machine.

use std::{
    collections::HashMap,
    io::{IsTerminal, stderr},
    path::PathBuf,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{progress, table};
use crate::{
    Error, Result,
    data::registry::Known,
    platform::{
        homes::{ELSEWHERE, Errand, HOMES, Home},
        hub::{Choice, Environment, Event, Hub, Kind, MAIN, Plan, Tell, Wish, is_repository},
        interrupt, native,
        pipelines::{self, PIPELINES},
    },
    session::models::{MODELS, named},
};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Fetch models and data sets.
///
/// Models come from the Hugging Face hub, into the cache that its own tools use too; each file is checked by the hash that the hub
/// publishes. A fetch that was stopped goes on where it was.
#[derive(Args)]
#[command(
    after_help = "HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_ENDPOINT and HF_HUB_OFFLINE mean what they mean to Hugging Face's own tools."
)]
pub struct Fetch {
    /// Names of models, pipelines and data sets, or repositories of the hub as ORGANISATION/NAME. Without any, the names are listed.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Fetch those files of a repository that fit a pattern, as '*.json', in place of what lowshot reads.
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// Branch, tag or commit [default: main].
    #[arg(long)]
    revision: Option<String>,
    /// Take the weights in another form, as fp16.
    #[arg(long)]
    variant: Option<String>,
    /// Folder for data sets [default: data in lowshot's cache, where --dataset finds them].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Say what would be fetched, and how large it is.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a name stands for.
enum Named {
    Repository {
        repository: String,
        revision: String,
    },
    Data(&'static Home),
    /// The model inside the package.
    Here,
}

/// What there is to do for a name.
enum Task {
    Repository(Plan),
    Data(Errand),
}

/// What the worker says to the one who shows it.
enum Message {
    Event(Event),
    /// All bytes of all tasks.
    Total(u64),
    Done(Result<Vec<Value>>),
}

impl Fetch {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        if self.names.is_empty() {
            return list(self.json);
        }
        let named: Vec<(String, Named)> =
            self.names.iter().map(|name| Ok((name.clone(), self.resolve(name)?))).collect::<Result<_>>()?;
        let hub = Hub::new(Environment::read()?)?;
        let json = self.json;
        interrupt::listen();
        // The network may keep its thread waiting; this one hears Ctrl-C meanwhile, and what has arrived is on disk by then.
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut tell = |event| drop(sender.send(Message::Event(event)));
            let result = self.work(&hub, &named, &mut tell, &|total| drop(sender.send(Message::Total(total))));
            drop(sender.send(Message::Done(result)));
        });
        let mut meter = Meter::new();
        let found = loop {
            match receiver.recv_timeout(Duration::from_millis(100)) {
                Ok(Message::Event(event)) => meter.hear(event),
                Ok(Message::Total(total)) => meter.begin(total),
                Ok(Message::Done(result)) => break result?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::Failed("the fetch ended without a result".into()));
                }
            }
            if interrupt::asked() {
                return Err(Error::Interrupted(
                    "stopped; what has arrived is kept: the same command goes on from there".into(),
                ));
            }
        };
        drop(meter);
        if json {
            return table::json(&found);
        }
        for one in &found {
            table::line(one["folder"].as_str().unwrap_or_default());
        }
        Ok(())
    }

    /// What a name stands for.
    fn resolve(&self, name: &str) -> Result<Named> {
        let revision = |usual: &str| self.revision.clone().unwrap_or_else(|| usual.to_owned());
        if let Some(model) = named(name) {
            let Some(repository) = model.repository else { return Ok(Named::Here) };
            return Ok(Named::Repository { repository: repository.into(), revision: revision(model.revision) });
        }
        if let Some(pipeline) = pipelines::named(name) {
            return Ok(Named::Repository { repository: pipeline.repository.into(), revision: revision(MAIN) });
        }
        if let Some(known) = Known::by_name(name) {
            if let Some(home) = HOMES.iter().find(|home| home.name == known.name) {
                return Ok(Named::Data(home));
            }
            let place = ELSEWHERE.iter().find(|(names, _)| names.contains(&known.name)).map_or("", |(_, place)| place);
            return Err(Error::Usage(format!(
                "lowshot does not fetch {}: {place}; unpack it and give its folder as --root-path",
                known.name
            )));
        }
        if name.contains('/') && is_repository(name) {
            return Ok(Named::Repository { repository: name.into(), revision: revision(MAIN) });
        }
        let all = MODELS.iter().map(|model| model.name).chain(PIPELINES.iter().map(|pipeline| pipeline.name));
        let all: Vec<&str> = all.chain(HOMES.iter().map(|home| home.name)).collect();
        Err(Error::Usage(format!(
            "there is nothing called '{name}' to fetch: give one of {}, or a repository of the hub as ORGANISATION/NAME",
            all.join(", ")
        )))
    }

    /// Looks everything up, then fetches it; returns a description for each name.
    fn work(
        self,
        hub: &Hub,
        named: &[(String, Named)],
        tell: &mut Tell<'_>,
        total: &dyn Fn(u64),
    ) -> Result<Vec<Value>> {
        let data = match &self.out {
            Some(folder) => folder.clone(),
            None => native::data_folder()?,
        };
        let mut tasks = Vec::new();
        for (name, named) in named {
            let task = match named {
                Named::Here => {
                    tell(Event::Note(format!("{name} is inside the package; there is nothing to fetch")));
                    continue;
                }
                Named::Repository { repository, revision } => {
                    let choice = Choice { include: self.include.clone(), variant: self.variant.clone() };
                    Task::Repository(hub.plan(&Wish { kind: Kind::Model, repository, revision, choice }, tell)?)
                }
                Named::Data(home) => Task::Data(home.plan(hub, &data, tell)?),
            };
            tasks.push((name, task));
        }
        for (name, task) in &tasks {
            let files = task.files();
            let all = files.iter().map(|(_, bytes, _)| bytes).sum();
            let missing = files.iter().filter(|(.., here)| !here).map(|(_, bytes, _)| bytes).sum();
            let (count, all) = (files.len(), DecimalBytes(all));
            tell(Event::Note(match missing {
                0 => format!("{name}: {count} files, {all}, all here"),
                _ => format!("{name}: {count} files, {all}, of which {} are to be fetched", DecimalBytes(missing)),
            }));
            if self.dry_run && !self.json {
                for (file, bytes, here) in files {
                    let state = if here { "here" } else { "to fetch" };
                    tell(Event::Note(format!("  {file}  {}  {state}", DecimalBytes(bytes))));
                }
            }
        }
        if !self.dry_run {
            total(tasks.iter().flat_map(|(_, task)| task.files()).map(|(_, bytes, _)| bytes).sum());
            for (_, task) in &tasks {
                match task {
                    Task::Repository(plan) => drop(hub.fetch(plan, tell)?),
                    Task::Data(errand) => errand.fetch(hub, tell)?,
                }
            }
        }
        Ok(tasks.iter().map(|(name, task)| task.describe(name)).collect())
    }
}

impl Task {
    /// Names, lengths, and what is here.
    fn files(&self) -> Vec<(String, u64, bool)> {
        match self {
            Self::Repository(plan) => {
                plan.files.iter().map(|file| (file.name.clone(), file.bytes, plan.is_here(file))).collect()
            }
            Self::Data(errand) => errand.files(),
        }
    }

    fn describe(&self, name: &str) -> Value {
        let files: Vec<Value> = self
            .files()
            .iter()
            .map(|(name, bytes, here)| json!({"name": name, "bytes": bytes, "here": here}))
            .collect();
        match self {
            Self::Repository(plan) => {
                json!({"name": name, "repository": plan.name, "revision": plan.revision, "commit": plan.commit,
                       "folder": plan.folder().display().to_string(), "files": files})
            }
            Self::Data(errand) => {
                json!({"name": name, "folder": errand.folder().display().to_string(), "files": files})
            }
        }
    }
}

/// Lists what has a name.
fn list(as_json: bool) -> Result<()> {
    let models = MODELS.iter().filter_map(|model| Some((model.name, model.repository?, model.about)));
    let pipelines = PIPELINES.iter().map(|pipeline| (pipeline.name, pipeline.repository, pipeline.about));
    let data = HOMES.iter().map(|home| (home.name, home.repository, home.source));
    let all = models
        .map(|one| ("model", one))
        .chain(pipelines.map(|one| ("pipeline", one)))
        .chain(data.map(|one| ("data", one)));
    if as_json {
        let described = all.map(|(kind, (name, repository, about))| {
            json!({"name": name, "kind": kind, "repository": repository, "about": about})
        });
        return table::json(&described.collect::<Vec<Value>>());
    }
    let rows: Vec<Vec<String>> = all
        .map(|(kind, (name, repository, about))| [name, kind, repository, about].map(str::to_owned).into())
        .collect();
    table::rows(&["name", "kind", "on the hub", "what"], &rows, &[]);
    table::line("\nAny other repository of the hub is fetched by ORGANISATION/NAME.");
    Ok(())
}

/// Shows how much of everything is here.
struct Meter {
    bar: Option<ProgressBar>,
    total: u64,
    /// Bytes of tasks that are done with.
    settled: u64,
    /// Bytes of the current task's files.
    current: HashMap<String, u64>,
    last_line: Instant,
}

impl Meter {
    fn new() -> Self {
        Self { bar: None, total: 0, settled: 0, current: HashMap::new(), last_line: Instant::now() }
    }

    fn begin(&mut self, total: u64) {
        self.total = total;
        if stderr().is_terminal() {
            let bar = ProgressBar::new(total);
            let style = "[{bar:30}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta} {msg}";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style.progress_chars("━╸ "));
            }
            self.bar = Some(bar);
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Note(text) => match &self.bar {
                Some(bar) => bar.suspend(|| progress::note(&text)),
                None => progress::note(&text),
            },
            Event::Wanted { here, .. } => {
                self.settled += self.current.drain().map(|(_, bytes)| bytes).sum::<u64>() + here;
            }
            Event::File { name, done } => {
                self.show(&name, done);
            }
        }
    }

    fn show(&mut self, name: &str, done: u64) {
        self.current.insert(name.to_owned(), done);
        let all = self.settled + self.current.values().sum::<u64>();
        if let Some(bar) = &self.bar {
            bar.set_message(name.to_owned());
            bar.set_position(all);
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            progress::note(&format!("fetching: {} of {}  {name}", DecimalBytes(all), DecimalBytes(self.total)));
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
