//! Networks in half precision: the same pictures, but for rounding.

use burn_flex::Flex;
use image::RgbImage;
use lowshot::clip::Precision;
use lowshot::diffusion::{Loading, Noise, Pipeline, Request, Settings};
use lowshot::platform::native::FolderFiles;

use crate::support::{pipeline, seeded};

#[test]
fn half_precision_changes_little() {
    let parent = tempfile::tempdir().unwrap();
    let single = pipeline::write(&parent.path().join("single"));
    let half = pipeline::write_as(&parent.path().join("half"), pipeline::SMALL, seeded::Precision::F16, Some("fp16"));
    let exact = picture(&load(&single, Precision::F32));
    assert_eq!(mean_difference(&exact, &exact), 0.0);
    let strange = RgbImage::from_fn(64, 64, |x, y| *exact.get_pixel(63 - x, y));
    assert!(mean_difference(&exact, &strange) > 10.0, "the picture tells nothing");
    // Of 255 levels. f16 rounds to 11 bits, bf16 to 8.
    for (folder, precision, most) in [
        (&half, Precision::F32, 0.5),
        (&single, Precision::F16, 0.5),
        (&half, Precision::F16, 0.5),
        (&single, Precision::Bf16, 2.0),
    ] {
        let other = picture(&load(folder, precision));
        let difference = mean_difference(&exact, &other);
        println!("{precision} from {}: {difference:.3} levels", folder.display());
        assert!(difference > 0.0 && difference < most, "{precision}: {difference}");
    }
}

#[test]
fn another_precision_or_place_is_the_same_model_only_with_the_same_files() {
    let parent = tempfile::tempdir().unwrap();
    let one = load(&pipeline::write(&parent.path().join("one")), Precision::F32);
    let same = load(&pipeline::write(&parent.path().join("same")), Precision::F16);
    let half = pipeline::write_as(&parent.path().join("half"), pipeline::SMALL, seeded::Precision::F16, Some("fp16"));
    assert_eq!(one.sha256.len(), 64);
    assert_eq!(one.sha256, same.sha256);
    assert_ne!(one.sha256, load(&half, Precision::F32).sha256);
}

fn load(folder: &std::path::Path, precision: Precision) -> Pipeline<Flex> {
    let loading = Loading { precision, ..Loading::default() };
    Pipeline::load(&FolderFiles::open(folder).unwrap(), &loading, &Default::default()).unwrap()
}

fn picture(pipeline: &Pipeline<Flex>) -> RgbImage {
    let from = RgbImage::from_fn(64, 64, |x, y| image::Rgb([x as u8 * 3, y as u8 * 2, 90]));
    let request = Request { picture: &from, prompt: "a red car", negative_prompt: "", noise: Noise::Seed(1) };
    let settings = Settings { steps: 6, strength: 0.5, ..Settings::default() };
    pipeline.image_to_image(&[request], &settings, &mut |_, _| Ok(())).unwrap().remove(0)
}

fn mean_difference(one: &RgbImage, other: &RgbImage) -> f64 {
    let differences = one.iter().zip(other.iter()).map(|(one, other)| f64::from(one.abs_diff(*other)));
    differences.sum::<f64>() / one.len() as f64
}
