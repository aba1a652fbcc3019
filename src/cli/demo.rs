//! `lowshot demo`: the quick start. Everything it needs is inside the binary.

use std::{borrow::Cow, path::PathBuf, time::Instant};

use clap::Args;
use include_dir::{Dir, include_dir};
use serde_json::json;

use super::{
    device::{Compute, Task},
    picture::{Example, Picture, Rung},
    progress::{self, Progress},
    table,
};
use crate::{
    Error, Result,
    adapter::{Method, Recipe},
    clip::ClipBackend,
    data::{FewShot, Split, registry::Known},
    experiment::{
        features::{FeatureCache, ImageSource},
        plan::LogitScale,
        report::html::{duration, thousands},
        workbench::Workbench,
    },
    platform::{models, native},
    session::Backbone,
    train::metrics::Scores,
};

/// EuroSAT in small: 10 classes, 16 shots and 40 test tiles each (see its README for where they come from).
static SAMPLES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/samples/eurosat");

/// Learn ten kinds of land from 16 satellite tiles each, and show what each method makes of them.
#[derive(Args)]
pub struct Demo {
    /// Where to write the picture of the results.
    #[arg(long, default_value = "lowshot-demo.svg")]
    out: PathBuf,
    /// A model's name, folder or safetensors file.
    #[arg(long, alias = "backbone", default_value = "demo")]
    model: String,
    /// Decides everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    compute: Compute,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The rungs, from nothing learnt upwards.
const LADDER: [(Method, &str); 5] = [
    (Method::ZeroShot, "Zero-shot"),
    (Method::Tip, "Tip-Adapter"),
    (Method::TipF, "Tip-Adapter-F"),
    (Method::Meta, "Meta-Adapter"),
    (Method::LinearProbe, "Linear probe"),
];

impl Demo {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let compute = self.compute;
        compute.run(self)
    }
}

impl ImageSource for Dir<'static> {
    fn read(&self, name: &str) -> Result<Cow<'_, [u8]>> {
        sample(&format!("2750/{name}")).map(Cow::Borrowed)
    }

    fn label(&self, name: &str) -> String {
        format!("sample {name}")
    }
}

fn sample(name: &str) -> Result<&'static [u8]> {
    let file = SAMPLES.get_file(name).map(include_dir::File::contents);
    file.ok_or_else(|| Error::Failed(format!("sample {name} is not in this binary; build it again")))
}

impl Task for Demo {
    type Output = ();

    fn run<B: ClipBackend>(self, device: &B::Device) -> Result<()> {
        let mut progress = Progress::new();
        let start = Instant::now();
        let backbone =
            Backbone::<B>::load_in(self.compute.precision, &self.model, models::find(&self.model)?.as_ref(), device)?;
        let loaded = start.elapsed().as_secs_f64();
        let (split, _) = Split::from_json(sample("split_zhou_EuroSAT.json")?, "the sample split")?;
        let shots = FewShot { train: split.train.clone(), val: split.val.clone() };
        let known = Known::by_name("eurosat").map_or(&[][..], |known| known.templates);
        let templates = known.iter().map(|&template| template.to_owned()).collect();
        let start = Instant::now();
        let scale = LogitScale::Fixed(100.0);
        let mut cache = FeatureCache::default();
        let mut bench = Workbench::new(&backbone, &SAMPLES, templates, scale, &mut cache);
        let few_shot = bench.few_shot(&split.classes, &shots.train, &shots.val, &mut progress)?;
        let test = bench.features("test", &split.test, &mut progress)?;
        let features = start.elapsed().as_secs_f64();
        let mut rungs = Vec::new();
        let mut answers: Vec<Scores> = Vec::new();
        let mut rows = Vec::new();
        for (method, name) in LADDER {
            let start = Instant::now();
            let adapter = bench.fit(&Recipe::from(method), &few_shot, self.seed, &mut progress)?;
            let seconds = start.elapsed().as_secs_f64();
            let (scores, metrics) = bench.test(adapter.as_ref(), test.clone(), &split.test)?;
            let parameters = adapter.trainable_parameters();
            rows.push(vec![
                name.to_owned(),
                table::percent(metrics.top1),
                format!("{:.1} – {:.1} %", metrics.ci95[0] * 100.0, metrics.ci95[1] * 100.0),
                duration(seconds),
                thousands(parameters),
                table::bar(metrics.top1, 24),
            ]);
            rungs.push(Rung { name, top1: metrics.top1, ci95: metrics.ci95, seconds, parameters });
            answers.push(scores);
        }
        let best = (0..rungs.len()).max_by(|a, b| rungs[*a].top1.total_cmp(&rungs[*b].top1)).unwrap_or_default();
        let examples = examples(&split, &answers[0], &answers[best])?;
        let subtitle = format!(
            "EuroSAT satellite tiles, {} classes, {} photos each to learn from, {} test tiles; backbone {}",
            split.classes.len(),
            shots.train.len() / split.classes.len(),
            split.test.len(),
            backbone.name
        );
        let chance = 1.0 / split.classes.len() as f64;
        let drawing = Picture { subtitle: subtitle.clone(), rungs: &rungs, best, chance, examples: &examples };
        native::write(&self.out, drawing.svg().as_bytes())?;
        drop(progress);

        if self.json {
            let ladder: Vec<_> = LADDER
                .iter()
                .zip(&rungs)
                .map(|((method, _), rung)| {
                    json!({"method": method, "top1": rung.top1, "ci95": rung.ci95, "seconds": rung.seconds,
                           "trainable_parameters": rung.parameters})
                })
                .collect();
            return table::json(&json!({
                "backbone": backbone.name, "classes": split.classes, "n_test": split.test.len(), "ladder": ladder,
                "picture": self.out, "seconds": {"load": loaded, "features": features},
            }));
        }
        table::line(&format!("{subtitle}\n"));
        table::rows(&["method", "accuracy", "95 % interval", "learnt in", "trained", ""], &rows, &[1, 2, 3, 4]);
        table::line(&format!(
            "\nModel loaded in {}, {} pictures seen in {}. The picture of this: {}",
            duration(loaded),
            split.train.len() + split.val.len() + split.test.len(),
            duration(features),
            self.out.display()
        ));
        if backbone.name == "demo" {
            progress::note(
                "The demo model knows 61 nouns, none of them land use, so zero-shot is a guess here; with a real CLIP \
                 (lowshot models) words alone do much better.",
            );
        }
        Ok(())
    }
}

/// One test picture of each class: the first that the best rung got right and the first rung did not, if there is one.
fn examples<'a>(split: &'a Split, before: &Scores, after: &Scores) -> Result<Vec<Example<'a>>> {
    let (before, after): (Vec<usize>, Vec<usize>) =
        before.predictions().zip(after.predictions()).map(|(a, b)| (a.class, b.class)).unzip();
    let mut examples = Vec::new();
    for label in 0..split.classes.len() {
        let of_class = |index: &usize| split.test[*index].label == label;
        let mended = |index: &usize| of_class(index) && before[*index] != label && after[*index] == label;
        let all = 0..split.test.len();
        let Some(index) = all.clone().find(mended).or_else(|| all.clone().find(of_class)) else { continue };
        let item = &split.test[index];
        examples.push(Example {
            jpeg: sample(&format!("2750/{}", item.path))?,
            label: &split.classes[label],
            before: &split.classes[before[index]],
            after: &split.classes[after[index]],
        });
    }
    Ok(examples)
}
