//! The session that a page holds, run natively: the same code, the same numbers.

// The helpers stand outside of test functions, where the lints do not know that they are tests.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::large_futures)]

use burn_flex::Flex;
use lowshot::{
    adapter::Method,
    clip::Preprocess,
    data::Item,
    experiment::dataset::Dataset,
    platform::models,
    session::{Answer, Backbone, Class, Progress, Rung, RungOptions, RungResult, Session, Unsure},
    weights::{AdapterFile, training_file},
};

mod browser;
mod checkpoints;
mod files;
mod ladder;
#[path = "../support/mod.rs"]
mod support;

use support::photos::{Photos, TEMPLATE, photos, samples};

type Cpu = Session<Flex, Flex>;

/// A session on the demo model.
fn session() -> Cpu {
    let device = Default::default();
    Session::new(Backbone::load("demo", &models::demo_files(), &device).unwrap(), device)
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
