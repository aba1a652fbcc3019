//! The session that a page holds, run natively: the same code, the same numbers.

// The helpers stand outside of test functions, where the lints do not know that they are tests.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::large_futures)]

use std::path::Path;

use burn_flex::Flex;
use lowshot::{
    adapter::Method,
    clip::Preprocess,
    data::{Item, Split, decode::decode, templates},
    experiment::dataset::Dataset,
    platform::models,
    session::{Answer, Backbone, Class, Progress, Rung, RungOptions, RungResult, Session, Unsure, Wanted},
    weights::{AdapterFile, training_file},
};

mod browser;
mod checkpoints;
mod files;
mod ladder;
#[path = "../support/mod.rs"]
mod support;

type Cpu = Session<Flex, Flex>;

const TEMPLATE: &str = "a centered satellite photo of {}.";

/// A session on the demo model.
fn session() -> Cpu {
    let device = Default::default();
    Session::new(Backbone::load("demo", &models::demo_files(), &device).unwrap(), device)
}

fn samples() -> Dataset {
    Dataset::open("eurosat", Some(&Path::new(env!("CARGO_MANIFEST_DIR")).join("samples"))).unwrap()
}

/// Photos with labels, as a visitor would have added them.
struct Photos {
    classes: Vec<Class>,
    pictures: Vec<image::RgbImage>,
    labels: Vec<usize>,
}

/// The first `each` photos of some classes, after the first `skip`.
fn photos(dataset: &Dataset, list: impl Fn(&Split) -> &[Item], classes: &[&str], skip: usize, each: usize) -> Photos {
    let mut pictures = Vec::new();
    let mut labels = Vec::new();
    for (label, class) in classes.iter().enumerate() {
        let items = list(&dataset.split).iter().filter(|item| dataset.split.classes[item.label] == *class);
        for item in items.skip(skip).take(each) {
            pictures.push(decode(&dataset.read(item).unwrap(), &item.path).unwrap());
            labels.push(label);
        }
    }
    let names: Vec<String> = classes.iter().map(|&class| class.to_owned()).collect();
    let prompts = templates::prompts(&[TEMPLATE.to_owned()], &names);
    let classes = names.into_iter().zip(prompts).map(|(name, prompts)| Class { name, prompts }).collect();
    Photos { classes, pictures, labels }
}

impl Photos {
    fn plain(&self, preprocess: &Preprocess) -> Vec<Vec<u8>> {
        self.pictures.iter().map(|picture| preprocess.pixels(picture).unwrap()).collect()
    }

    fn wanted(&self, preprocess: &Preprocess, wanted: &[Wanted]) -> Vec<Vec<u8>> {
        wanted.iter().map(|wanted| wanted.view.pixels(preprocess, &self.pictures[wanted.example]).unwrap()).collect()
    }
}

/// A session with these classes and photos.
fn taught(photos: &Photos) -> Cpu {
    let mut session = session();
    pollster::block_on(async {
        session.set_classes(photos.classes.clone()).await.unwrap();
        let plain = photos.plain(&session.ground().backbone.preprocess);
        let features = session.image_features(&plain).await.unwrap();
        session.set_examples(features, photos.labels.clone()).await.unwrap();
    });
    session
}

fn options(method: &str) -> RungOptions {
    serde_json::from_value(serde_json::json!({ "method": method, "seed": 1 })).unwrap()
}

/// Runs a rung to its end; gives the losses of its steps.
fn finish(rung: &mut Rung<Flex, Flex>, photos: &Photos, preprocess: &Preprocess) -> Vec<f32> {
    let mut losses = Vec::new();
    let mut pictures = None;
    loop {
        match pollster::block_on(rung.next(pictures.take())).unwrap() {
            Progress::Step(step) => losses.push(step.loss),
            Progress::Done => {}
            Progress::Pictures(wanted) => pictures = Some(photos.wanted(preprocess, &wanted)),
            Progress::Finished => return losses,
        }
    }
}

/// Judges and learns a method, keeps and chooses it.
fn learn(session: &mut Cpu, photos: &Photos, options: RungOptions) -> RungResult {
    let preprocess = session.ground().backbone.preprocess.clone();
    let mut rung = session.begin(options).unwrap();
    finish(&mut rung, photos, &preprocess);
    let (result, answering) = rung.into_result().unwrap();
    session.keep(answering);
    session.choose(result.method).unwrap();
    result
}

/// How many of other photos are told right.
fn right(session: &Cpu, photos: &Photos) -> (usize, Vec<Answer>) {
    let plain = photos.plain(&session.ground().backbone.preprocess);
    let answers = pollster::block_on(session.classify(&plain)).unwrap();
    let right = answers.iter().zip(&photos.labels).filter(|(answer, label)| answer.best == **label).count();
    (right, answers)
}
