//! What the browser's tests compare themselves with: a small model on disk, and what training it natively gives.

use std::path::{Path, PathBuf};

use lowshot::platform::native::FolderFiles;

use super::*;
use crate::support::{folders, reference::Reference, seeded::Precision};

/// `target/tmp/browser`: the model in `tiny/`, the training beside it.
fn folder() -> PathBuf {
    folders::create(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser"))
}

/// The first training of LoRA + BitFit on twelve tiles: the loss of each of 50 steps, and the state after the first, whose first
/// moments are a tenth of the gradients.
#[test]
fn a_training_for_the_browser_to_repeat() {
    let parent = folder();
    let model = folders::hf_folder(&parent, &Reference::load("tiny"), Precision::F32);
    let files = FolderFiles::open(&model).unwrap();
    let device = Default::default();
    let mut session = Cpu::new(Backbone::load("tiny", &files, &device).unwrap(), device);
    let dataset = samples();
    let names: Vec<&str> = dataset.split.classes[..3].iter().map(String::as_str).collect();
    let shots = photos(&dataset, |split| &split.train, &names, 0, 4);
    let preprocess = session.ground().backbone.preprocess.clone();
    pollster::block_on(async {
        session.set_classes(shots.classes.clone()).await.unwrap();
        let features = session.image_features(&shots.plain(&preprocess)).await.unwrap();
        session.set_examples(features, shots.labels.clone()).await.unwrap();
    });
    let options = serde_json::json!({ "method": "lora+bitfit", "seed": 1, "folds": 2, "loraSteps": 50, "batch": 6, "learningRate": 0.003 });
    let mut rung = session.begin(serde_json::from_value(options.clone()).unwrap()).unwrap();
    let (mut losses, mut pictures) = (Vec::new(), None);
    while losses.len() < 50 {
        match pollster::block_on(rung.next(pictures.take())).unwrap() {
            Progress::Step(step) => losses.push(step.loss),
            Progress::Pictures(wanted) => pictures = Some(shots.wanted(&preprocess, &wanted)),
            Progress::Done => {}
            Progress::Finished => panic!("finished after {} steps", losses.len()),
        }
        if losses.len() == 1 && pictures.is_none() {
            let bytes = pollster::block_on(training_file::write(rung.state().unwrap(), "browser")).unwrap();
            std::fs::write(parent.join("first-step.safetensors"), bytes).unwrap();
        }
    }
    let (first, last) = (losses[..5].iter().sum::<f32>(), losses[45..].iter().sum::<f32>());
    assert!(last < 0.8 * first, "{losses:?}");
    let paths = |items: &[Item]| {
        let of = |label: usize| items.iter().filter(move |item| item.label == label).take(4);
        (0..3).flat_map(of).map(|item| item.path.clone()).collect::<Vec<_>>()
    };
    let training = serde_json::json!({
        "options": options, "template": TEMPLATE, "classes": names, "photos": paths(&dataset.split.train), "losses": losses,
    });
    std::fs::write(parent.join("training.json"), training.to_string()).unwrap();
}
