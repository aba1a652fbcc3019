//! A page's session on the demo model: the GPU in either precision sees and says what the CPU does.

use burn_flex::{Flex, FlexDevice};
use lowshot::{
    clip::{ClipBackend, Precision},
    platform::models::demo_files,
    session::{Backbone, Progress, Session},
};

use super::{
    Gpu, device,
    support::photos::{Photos, photos, samples},
};

/// Photos of each class that are learnt from, and that are not.
const SHOTS: usize = 4;
const OTHERS: usize = 8;

/// What a session has seen and said: features of the shots, then by zero-shot and by Tip-Adapter the best class of each other photo.
struct Said {
    features: Vec<f32>,
    zero_shot: Vec<usize>,
    tip: Vec<usize>,
}

fn said<B: ClipBackend>(precision: Precision, device: &B::Device, shots: &Photos, others: &Photos) -> Said {
    let backbone = Backbone::<B>::load_in(precision, "demo", &demo_files(), device).unwrap();
    let preprocess = backbone.preprocess.clone();
    let mut session = Session::<B, Flex>::new(backbone, FlexDevice);
    let best = |session: &Session<B, Flex>| {
        let answers = pollster::block_on(session.classify(&others.plain(&preprocess))).unwrap();
        answers.iter().map(|answer| answer.best).collect::<Vec<usize>>()
    };
    pollster::block_on(session.set_classes(shots.classes.clone())).unwrap();
    let features = pollster::block_on(session.image_features(&shots.plain(&preprocess))).unwrap();
    pollster::block_on(session.set_examples(features.clone(), shots.labels.clone())).unwrap();
    let zero_shot = best(&session);
    let mut rung =
        session.begin(serde_json::from_value(serde_json::json!({ "method": "tip", "seed": 1 })).unwrap()).unwrap();
    while pollster::block_on(rung.next(None)).unwrap() != Progress::Finished {}
    let (result, answering) = rung.into_result().unwrap();
    session.keep(answering);
    session.choose(result.method).unwrap();
    Said { features, zero_shot, tip: best(&session) }
}

fn differing(one: &[usize], other: &[usize]) -> usize {
    one.iter().zip(other).filter(|(one, other)| one != other).count()
}

#[test]
fn the_demo_model_says_of_photos_what_it_says_on_the_cpu() {
    let Some((device, _alone)) = device() else { return };
    let dataset = samples();
    let names: Vec<&str> = dataset.split.classes[..5].iter().map(String::as_str).collect();
    let shots = photos(&dataset, |split| &split.train, &names, 0, SHOTS);
    let others = photos(&dataset, |split| &split.test, &names, 0, OTHERS);
    let cpu = said::<Flex>(Precision::F32, &FlexDevice, &shots, &others);
    let right = |best: &[usize]| best.len() - differing(best, &others.labels);
    println!("cpu: of {} zero-shot {}, tip {}", others.labels.len(), right(&cpu.zero_shot), right(&cpu.tip));
    for (precision, alike, allowed) in
        [(Precision::F32, 1.0 - 1e-6, 0), (Precision::F16, 1.0 - 1e-5, 1), (Precision::Bf16, 1.0 - 1e-3, 2)]
    {
        if !<Gpu as ClipBackend>::computes_in(precision, &device) {
            println!("skipped: this adapter does not compute in {precision}");
            continue;
        }
        let gpu = said::<Gpu>(precision, &device, &shots, &others);
        let width = cpu.features.len() / shots.labels.len();
        // Both are of unit length.
        let cosines = cpu.features.chunks(width).zip(gpu.features.chunks(width)).map(|(one, other)| {
            one.iter().zip(other).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum::<f64>()
        });
        let least = cosines.fold(1.0, f64::min);
        let differ = [differing(&cpu.zero_shot, &gpu.zero_shot), differing(&cpu.tip, &gpu.tip)];
        println!(
            "{precision}: zero-shot {}, tip {}; features' cosine at least 1 - {:.1e}, other answers {differ:?}",
            right(&gpu.zero_shot),
            right(&gpu.tip),
            1.0 - least
        );
        assert!(least >= alike, "{precision}: a feature's cosine with the CPU's is {least}");
        assert!(differ.into_iter().all(|count| count <= allowed), "{precision}: {differ:?} answers differ");
    }
}
