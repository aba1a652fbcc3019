//! Gradients through towers on the GPU, beside the same training on the CPU.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use burn_flex::{Flex, FlexDevice};
use lowshot::{
    clip::{
        ClipBackend, Precision,
        kernels::{Dropout, portable},
    },
    platform::native::FolderFiles,
    session::{Backbone, Progress, RungResult, Session},
};

use super::{
    Gpu, device,
    support::{
        folders,
        photos::{Photos, photos, samples},
        reference::Reference,
        seeded,
    },
};

/// What a short training gives: its losses, the first moments after one step (a tenth of the gradients), and what it is worth.
struct Trained {
    losses: Vec<f32>,
    moments: BTreeMap<String, Vec<f32>>,
    result: RungResult,
}

fn trained<B: ClipBackend>(precision: Precision, device: &B::Device, shots: &Photos) -> Trained {
    let folder = tempfile::tempdir().unwrap();
    let model = folders::hf_folder(folder.path(), &Reference::load("tiny"), seeded::Precision::F32);
    let backbone = Backbone::<B>::load_in(precision, "tiny", &FolderFiles::open(&model).unwrap(), device).unwrap();
    let preprocess = backbone.preprocess.clone();
    let mut session = Session::<B, Flex>::new(backbone, FlexDevice);
    pollster::block_on(session.set_classes(shots.classes.clone())).unwrap();
    let features = pollster::block_on(session.image_features(&shots.plain(&preprocess))).unwrap();
    pollster::block_on(session.set_examples(features, shots.labels.clone())).unwrap();
    let options = serde_json::json!({
        "method": "lora+bitfit", "seed": 1, "folds": 2, "loraSteps": 5, "batch": 6, "learningRate": 0.003
    });
    let mut rung = session.begin(serde_json::from_value(options).unwrap()).unwrap();
    let (mut losses, mut moments, mut pictures) = (Vec::new(), BTreeMap::new(), None);
    loop {
        match pollster::block_on(rung.next(pictures.take())).unwrap() {
            Progress::Step(step) => {
                losses.push(step.loss);
                if losses.len() == 1 {
                    let values = |tensor: Tensor<B, 2>| tensor.into_data().to_vec::<f32>().unwrap();
                    let kept = rung.state().unwrap().tensors.into_iter().map(|(name, tensor)| (name, values(tensor)));
                    moments = kept.filter(|(name, _)| name.starts_with("moment_1.")).collect();
                }
            }
            Progress::Pictures(wanted) => pictures = Some(shots.wanted(&preprocess, &wanted)),
            Progress::Done => {}
            Progress::Finished => break,
        }
    }
    Trained { losses, moments, result: rung.into_result().unwrap().0 }
}

#[test]
fn dropout_drops_on_the_gpu_what_it_drops_on_the_cpu() {
    let Some((device, _alone)) = device() else { return };
    for (probability, seed, shape) in [(0.25, 0, [7, 9]), (0.5, 0xDEAD_BEEF, [300, 512]), (0.999, 77, [64, 33])] {
        let dropout = Dropout { probability, seeds: vec![1, seed] };
        let found = portable::mask::<Gpu>(&dropout, 1, shape, &device).into_data().to_vec::<f32>().unwrap();
        assert!(found == dropout.mask(1, shape[0], shape[1]), "probability {probability}, seed {seed}");
    }
}

#[test]
fn a_lora_step_has_the_loss_and_gradients_of_the_cpu_and_training_ends_where_it_does() {
    let Some((device, _alone)) = device() else { return };
    let dataset = samples();
    let names: Vec<&str> = dataset.split.classes[..3].iter().map(String::as_str).collect();
    let shots = photos(&dataset, |split| &split.train, &names, 0, 4);
    let cpu = trained::<Flex>(Precision::F32, &FlexDevice, &shots);
    // Towers that answer in half precision train in f32, but from weights that were rounded; bf16 has three bits less than f16. Tensor cores take
    // gradients' products in TF32, which has as many as f16.
    let exact = if super::TENSOR_CORES { 2e-2 } else { 1e-3 };
    for (precision, tolerance) in [(Precision::F32, exact), (Precision::F16, 2e-2), (Precision::Bf16, 0.16)] {
        if !<Gpu as ClipBackend>::computes_in(precision, &device) {
            println!("skipped: this adapter does not compute in {precision}");
            continue;
        }
        let gpu = trained::<Gpu>(precision, &device, &shots);
        assert!(cpu.moments.keys().eq(gpu.moments.keys()), "{:?}", gpu.moments.keys());
        let (mut worst, mut compared) = (0f32, 0);
        for (name, expected) in &cpu.moments {
            let largest = expected.iter().fold(0f32, |most, value| most.max(value.abs()));
            if largest > 0.0 {
                let found = &gpu.moments[name];
                let off = expected.iter().zip(found).fold(0f32, |most, (one, other)| most.max((one - other).abs()));
                assert!(off <= tolerance * largest, "{precision}, {name}: off by {off} of {largest}");
                worst = worst.max(off / largest);
                compared += 1;
            }
        }
        let loss = (gpu.losses[0] - cpu.losses[0]).abs() / cpu.losses[0];
        let confidence =
            |result: &RungResult| result.predictions.iter().map(|one| one.confidence).collect::<Vec<f32>>();
        let (found, expected) = (confidence(&gpu.result), confidence(&cpu.result));
        let moved = found.iter().zip(&expected).fold(0f32, |most, (one, other)| most.max((one - other).abs()));
        println!(
            "{precision}: loss off by {loss:.1e}, gradients of {compared} tensors by {worst:.1e} at most; \
             afterwards {} of {} right (cpu: {}), confidences off by {moved:.1e}",
            gpu.result.correct, gpu.result.n, cpu.result.correct
        );
        assert!(compared > 10, "only {compared} tensors were compared");
        assert!(loss <= tolerance, "{precision}: the loss is {} and not {}", gpu.losses[0], cpu.losses[0]);
        assert!(moved <= 10.0 * tolerance, "{precision}: {found:?} instead of {expected:?}");
    }
}
