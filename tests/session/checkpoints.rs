//! A training that is cut off anywhere goes on as if nothing had happened.

use std::sync::Arc;

use super::*;

fn setting() -> (Photos, Cpu, RungOptions) {
    let dataset = samples();
    let names: Vec<&str> = dataset.split.classes[..3].iter().map(String::as_str).collect();
    let shots = photos(&dataset, |split| &split.train, &names, 0, 4);
    let session = taught(&shots);
    let options = serde_json::json!({ "method": "lora+bitfit", "seed": 3, "folds": 2, "loraSteps": 3, "batch": 4, "augment": "crop-flip" });
    (shots, session, serde_json::from_value(options).unwrap())
}

/// Does pieces of work until `pieces` of them are done or everything is.
fn work(rung: &mut Rung<Flex, Flex>, photos: &Photos, preprocess: &Preprocess, pieces: usize) -> bool {
    let mut pictures = None;
    for _ in 0..pieces {
        match pollster::block_on(rung.next(pictures.take())).unwrap() {
            Progress::Pictures(wanted) => pictures = Some(photos.wanted(preprocess, &wanted)),
            Progress::Finished => return true,
            Progress::Step(_) | Progress::Done => {}
        }
    }
    false
}

#[test]
fn a_training_cut_off_anywhere_comes_to_the_same() {
    let (shots, session, options) = setting();
    let preprocess = session.ground().backbone.preprocess.clone();
    let mut whole = session.begin(options.clone()).unwrap();
    finish(&mut whole, &shots, &preprocess);
    let (expected, _) = whole.into_result().unwrap();
    let mut resumed = 0;
    for pieces in 1.. {
        let mut first = session.begin(options.clone()).unwrap();
        if work(&mut first, &shots, &preprocess, pieces) {
            break;
        }
        let identity = first.identity();
        let Some(state) = first.state() else { continue };
        let bytes = pollster::block_on(training_file::write(state, &identity)).unwrap();
        drop(first);
        let mut second = session.begin(options.clone()).unwrap();
        let device = session.ground().backbone.clip.device();
        let state = training_file::read("it", Arc::new(bytes), &second.identity(), device).unwrap();
        pollster::block_on(second.restore("it", state)).unwrap();
        finish(&mut second, &shots, &preprocess);
        assert_eq!(second.into_result().unwrap().0, expected, "cut off after {pieces} pieces");
        resumed += 1;
    }
    // Three trainings of three steps, at least one stop within each.
    assert!(resumed >= 9, "{resumed}");
}

#[test]
fn a_checkpoint_of_something_else_is_refused() {
    let (shots, session, options) = setting();
    let preprocess = session.ground().backbone.preprocess.clone();
    let mut rung = session.begin(options.clone()).unwrap();
    work(&mut rung, &shots, &preprocess, 4);
    let bytes = pollster::block_on(training_file::write(rung.state().unwrap(), &rung.identity())).unwrap();
    let others = [
        RungOptions { seed: 4, ..options.clone() },
        RungOptions { lora_rank: Some(5), ..options.clone() },
        RungOptions { learning_rate: Some(1e-5), ..options.clone() },
    ];
    let device = session.ground().backbone.clip.device();
    for other in others {
        let rung = session.begin(other).unwrap();
        let refused = training_file::read::<Flex>("it", Arc::new(bytes.clone()), &rung.identity(), device).unwrap_err();
        assert!(refused.to_string().contains("another run"), "{refused}");
    }
    let mut cut = session.begin(options.clone()).unwrap();
    let refused =
        training_file::read::<Flex>("it", Arc::new(bytes[..bytes.len() / 2].to_vec()), &cut.identity(), device);
    assert!(refused.is_err());
    // What is not a training cannot go on from one.
    let state = training_file::read("it", Arc::new(bytes), &cut.identity(), device).unwrap();
    let mut on_features = session.begin(RungOptions { method: Method::Meta, ..options }).unwrap();
    assert!(pollster::block_on(on_features.restore("it", state)).unwrap_err().to_string().contains("no checkpoints"));
    assert!(matches!(pollster::block_on(cut.next(None)).unwrap(), Progress::Done));
}

#[test]
fn pictures_that_were_not_asked_for_are_refused() {
    let (shots, session, options) = setting();
    let preprocess = session.ground().backbone.preprocess.clone();
    let mut rung = session.begin(options).unwrap();
    assert!(!work(&mut rung, &shots, &preprocess, 1));
    let refused = pollster::block_on(rung.next(Some(vec![vec![0; 5]]))).unwrap_err().to_string();
    assert!(refused.starts_with("1 pictures were brought: 4 of 64 × 64 × 3 bytes were asked for"), "{refused}");
}
