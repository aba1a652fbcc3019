//! A picture follows from its request alone, whatever else is in its batch.

use burn_flex::Flex;
use image::RgbImage;
use lowshot::diffusion::schedule::SchedulerKind;
use lowshot::diffusion::{Loading, Noise, Pipeline, Request, Settings};
use lowshot::platform::native::FolderFiles;

use crate::support::pipeline;

#[test]
fn the_same_picture_alone_and_in_any_batch() {
    let parent = tempfile::tempdir().unwrap();
    let files = FolderFiles::open(&pipeline::write(&parent.path().join("small"))).unwrap();
    let small = Pipeline::<Flex>::load(&files, &Loading::default(), &Default::default()).unwrap();
    let pictures: Vec<RgbImage> =
        [3, 5, 7].map(|k| RgbImage::from_fn(40, 56, |x, y| image::Rgb([(k * x) as u8, (k * y) as u8, 90]))).into();
    let requests: Vec<Request<'_>> = [("a red car", 1), ("", 2), ("a river", u64::MAX)]
        .into_iter()
        .zip(&pictures)
        .map(|((prompt, seed), picture)| Request { picture, prompt, negative_prompt: prompt, noise: Noise::Seed(seed) })
        .collect();
    // Ancestral sampling draws noise at each step too.
    for (scheduler, guidance) in [(SchedulerKind::EulerAncestral, 5.0), (SchedulerKind::Ddim, 1.0)] {
        let settings =
            Settings { scheduler: Some(scheduler), steps: 5, strength: 0.6, guidance, ..Settings::default() };
        let make = |requests: &[Request<'_>]| small.image_to_image(requests, &settings, &mut |_, _| Ok(())).unwrap();
        let together = make(&requests);
        assert_eq!(together.iter().map(RgbImage::dimensions).collect::<Vec<_>>(), [(40, 56); 3]);
        for (request, made) in requests.iter().zip(&together) {
            assert_eq!(&make(std::slice::from_ref(request))[0], made, "{scheduler} {request:?}");
        }
        let turned: Vec<Request<'_>> = requests.iter().rev().copied().collect();
        assert!(make(&turned).iter().eq(together.iter().rev()), "{scheduler}");
        let reseeded = Request { noise: Noise::Seed(3), ..requests[0] };
        assert_ne!(make(&[reseeded])[0], together[0], "{scheduler}");
    }
}

#[test]
fn pictures_are_resized_and_what_is_left_over_goes() {
    let parent = tempfile::tempdir().unwrap();
    let files = FolderFiles::open(&pipeline::write(&parent.path().join("small"))).unwrap();
    let small = Pipeline::<Flex>::load(&files, &Loading::default(), &Default::default()).unwrap();
    let (square, wide) = (RgbImage::new(64, 64), RgbImage::new(47, 33));
    let request = |picture| Request { picture, prompt: "a", negative_prompt: "", noise: Noise::Seed(1) };
    let settings = Settings { steps: 2, strength: 0.5, ..Settings::default() };
    let make = |requests: &[Request<'_>], settings: Settings| {
        let made = small.image_to_image(requests, &settings, &mut |_, _| Ok(())).unwrap();
        made.iter().map(RgbImage::dimensions).collect::<Vec<_>>()
    };
    assert_eq!(make(&[request(&wide)], settings), [(40, 32)]);
    assert_eq!(make(&[request(&square), request(&wide)], Settings { size: Some([48, 64]), ..settings }), [(48, 64); 2]);
}
