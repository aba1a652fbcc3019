//! Wrong input is refused in one line, and never a panic.

use burn::tensor::Tensor;
use burn_flex::{Flex, FlexDevice};
use lowshot::adapter::{
    lora::{Encoder, LoraConfig, Position},
    tuning::{Batch, Learning, Training, TuningConfig},
};

use crate::problem::{Problem, everything};

fn pixels(count: usize, side: usize) -> Tensor<Flex, 4> {
    Tensor::zeros([count, 3, side, side], &FlexDevice)
}

#[test]
fn batches_that_do_not_fit() {
    let problem = Problem::load("tiny");
    let mut training = problem.training(everything(), 1);
    let mut refused =
        |pixels: Tensor<Flex, 4>, labels: &[usize], breaking: Option<[Tensor<Flex, 4>; 2]>, word: &str| {
            let batch = Batch { pixels, labels: labels.to_vec(), weights: Vec::new(), breaking };
            let why = training.gradients(batch, false).unwrap_err().to_string();
            assert!(why.contains(word) && !why.contains('\n'), "{why} does not say {word}");
        };
    refused(pixels(0, 32), &[], None, "no pictures");
    refused(pixels(2, 32), &[0], None, "2 rows");
    refused(pixels(2, 32), &[0, 5], None, "label 5");
    refused(pixels(2, 24), &[0, 1], None, "24");
    refused(pixels(2, 32), &[0, 1], Some([pixels(3, 32), pixels(2, 32)]), "views");
    refused(pixels(2, 32), &[0, 1], Some([pixels(2, 24), pixels(2, 24)]), "24");

    let mut refused_weights = |weights: &[f32], word: &str| {
        let batch = Batch { weights: weights.to_vec(), ..problem.batch(true) };
        let why = training.gradients(batch, false).unwrap_err().to_string();
        assert!(why.contains(word) && !why.contains('\n'), "{why} does not say {word}");
    };
    refused_weights(&[1.0], "1 weights");
    refused_weights(&[1.0, -1.0, 1.0, 1.0, 1.0, 1.0], "-1");
    refused_weights(&[1.0, f32::NAN, 1.0, 1.0, 1.0, 1.0], "NaN");

    // A batch in which nothing breaks has the loss without that part.
    let loss = |training: &mut Training<Flex>, breaking| {
        let batch = Batch {
            pixels: problem.batch(false).pixels,
            labels: problem.labels.clone(),
            weights: Vec::new(),
            breaking,
        };
        training.gradients(batch, true).unwrap().0.into_scalar()
    };
    let none = loss(&mut training, None);
    assert_eq!(none, loss(&mut training, Some([pixels(0, 32), pixels(0, 32)])));
    assert!(training.state().tensors.iter().all(|(name, _)| !name.starts_with("bank.")));
    // Without the breaking loss, views are not looked at.
    let mut without = problem.training(TuningConfig { breaking: None, ..everything() }, 1);
    assert_eq!(none, loss(&mut without, Some([pixels(4, 32), pixels(4, 32)])));
}

#[test]
fn problems_and_settings_that_make_no_sense() {
    let problem = Problem::load("tiny");
    let refused = |config: TuningConfig, change: &dyn Fn(&mut Learning<'_, Flex>), word: &str| {
        let mut learning = problem.learning();
        change(&mut learning);
        let why = Training::start(config, learning, 1).err().unwrap().to_string();
        assert!(why.contains(word) && !why.contains('\n'), "{why} does not say {word}");
    };
    refused(everything(), &|learning| learning.classes = 0, "prompts");
    refused(everything(), &|learning| learning.classes = 2, "prompts");
    refused(everything(), &|learning| learning.prompts.clear(), "prompts");
    refused(everything(), &|learning| learning.prompts[0] = vec![49406; 78], "78");
    refused(everything(), &|learning| learning.shots.labels[0] = 5, "label 5");
    refused(everything(), &|learning| learning.scale = f32::NAN, "scale");
    refused(everything(), &|learning| learning.shots.features = Tensor::zeros([8, 3], &FlexDevice), "width 3");
    refused(TuningConfig { accumulate: 7, ..everything() }, &|_| (), "7 parts");
    refused(TuningConfig { preserving_weight: -0.5, ..everything() }, &|_| (), "-0.5");
    refused(TuningConfig { lora: None, bitfit: None, breaking: None, ..everything() }, &|_| (), "LoRA or BitFit");
    // Two blocks have no last third.
    let lora = Some(LoraConfig { position: Position::Up, ..LoraConfig::default() });
    refused(TuningConfig { lora, ..TuningConfig::default() }, &|_| (), "no block");

    let resnet = Problem::load("open-clip-resnet");
    for encoder in [Encoder::Both, Encoder::Vision] {
        let lora = Some(LoraConfig { encoder, ..LoraConfig::default() });
        let config = TuningConfig { lora, ..TuningConfig::default() };
        let why = Training::start(config, resnet.learning(), 1).err().unwrap().to_string();
        assert!(why.contains("ResNet") && why.contains("--encoder text"), "{why}");
    }
}
