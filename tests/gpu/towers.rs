//! Features of every architecture against the reference that Python computed in f64.

use burn::tensor::{Tensor, TensorData};
use lowshot::{
    clip::{Clip, ClipBackend, Precision},
    platform::native::FolderFiles,
    weights::{Checkpoint, config},
};

use super::{
    Gpu, GpuDevice, device,
    support::{
        folders,
        reference::{Reference, SMALL, relative_error},
        seeded,
    },
};

/// Of f32 arithmetic in any order, as the page's test demands it; of f16's, whose numbers have eleven bits, and of bf16's with eight.
fn tolerance(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 1e-3,
        Precision::F16 => 1e-2,
        Precision::Bf16 => 8e-2,
    }
}

fn load(reference: &Reference, device: &GpuDevice) -> Clip<Gpu> {
    let folder = tempfile::tempdir().unwrap();
    let files = FolderFiles::open(&folders::write(folder.path(), reference, seeded::Precision::F32)).unwrap();
    let checkpoint = Checkpoint::from_files(&files).unwrap();
    let shape = config::find(&files, &checkpoint).unwrap();
    checkpoint.load(device, |parameters| Clip::load(parameters, &shape, device)).unwrap()
}

#[test]
fn every_architecture_in_every_precision() {
    let Some((device, _alone)) = device() else { return };
    let mut wrong = Vec::new();
    for name in SMALL {
        let reference = Reference::load(name);
        let clip = load(&reference, &device);
        let texts: Vec<Vec<u32>> =
            reference.texts.iter().map(|ids| ids.iter().map(|&id| id as u32).collect()).collect();
        let side = reference.image_size;
        let expected = reference.expected(seeded::Precision::F32);
        for precision in Precision::ALL {
            if !<Gpu as ClipBackend>::computes_in(precision, &device) {
                println!("skipped: this adapter does not compute in {precision}");
                continue;
            }
            let clip = clip.in_precision(precision);
            let pixels = Tensor::from_data(TensorData::new(reference.pixels(), [2, 3, side, side]), &device);
            let [image, text] = [clip.vision.forward(pixels), clip.text.forward(&texts)]
                .map(|features| features.into_data().to_vec::<f32>().unwrap());
            let off = [relative_error(&image, &expected.image), relative_error(&text, &expected.text)];
            println!("{name:24} {precision:4} image {:.1e}  text {:.1e}", off[0], off[1]);
            if off.into_iter().any(|off| off > tolerance(precision)) {
                wrong.push(format!("{name} in {precision}: {off:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
