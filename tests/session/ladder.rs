//! The ladder on satellite tiles that nobody has trained on.

use super::*;

const FIVE: [&str; 5] = ["Forest", "Highway or Road", "Residential Buildings", "River", "Sea or Lake"];

fn five(dataset: &Dataset) -> Vec<&str> {
    let classes = &dataset.split.classes;
    let five: Vec<&str> =
        FIVE.iter().map(|name| classes.iter().find(|class| class == name).map_or("", String::as_str)).collect();
    assert!(five.iter().all(|name| !name.is_empty()), "{classes:?}");
    five
}

#[test]
fn each_rung_is_judged_on_photos_it_has_not_seen_and_generalises() {
    let dataset = samples();
    let names = five(&dataset);
    let shots = photos(&dataset, |split| &split.train, &names, 0, 8);
    let others = photos(&dataset, |split| &split.test, &names, 0, 40);
    let mut session = taught(&shots);
    let mut found = Vec::new();
    for method in ["zero-shot", "tip", "meta", "lora+bitfit"] {
        let result = learn(&mut session, &shots, options(method));
        let (right, answers) = right(&session, &others);
        println!("{method}: {} of {} photos left out, {right} of 200 others", result.correct, result.n);
        assert_eq!(result.n, 40);
        assert_eq!(result.predictions.len(), 40);
        assert_eq!(result.confusion.iter().flatten().sum::<usize>(), 40);
        for answer in &answers {
            assert!((answer.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
        // Believable: what is said to be sure is right more often than what is not.
        let rate = |sure: bool| {
            let chosen = answers.iter().zip(&others.labels).filter(|(answer, _)| answer.unsure.is_none() == sure);
            let (n, hits) =
                chosen.fold((0, 0), |(n, hits), (answer, label)| (n + 1, hits + usize::from(answer.best == *label)));
            hits as f64 / f64::from(n).max(1.0)
        };
        if method != "zero-shot" {
            assert!(rate(true) > rate(false) + 0.1, "{method}: sure {}, unsure {}", rate(true), rate(false));
        }
        found.push((method, result.accuracy, right));
    }
    let [zero_shot, tip, meta, lora] = found[..] else { unreachable!() };
    assert!(tip.2 > zero_shot.2 && meta.2 > zero_shot.2 + 40 && lora.2 > zero_shot.2 + 40, "{found:?}");
    // What photos that were left out promise is what others keep, within the promise's own interval.
    for (method, promised, kept) in found {
        let kept = kept as f64 / 200.0;
        assert!((promised - kept).abs() < 0.16, "{method}: {promised} promised, {kept} kept");
    }
}

#[test]
fn pictures_unlike_all_that_was_learnt_are_said_to_be() {
    let dataset = samples();
    let shots = photos(&dataset, |split| &split.train, &five(&dataset), 0, 8);
    let mut session = taught(&shots);
    learn(&mut session, &shots, options("meta"));
    let preprocess = session.ground().backbone.preprocess.clone();
    // A checkerboard is no satellite tile.
    let board =
        image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([if (x / 4 + y / 4) % 2 == 0 { 255 } else { 0 }; 3]));
    let pixels = preprocess.pixels(&board).unwrap();
    let answer = &pollster::block_on(session.classify(&[pixels])).unwrap()[0];
    assert_eq!(answer.unsure, Some(Unsure::Unlike), "{answer:?}");
}

#[test]
fn the_map_puts_photos_of_a_class_together() {
    let dataset = samples();
    let shots = photos(&dataset, |split| &split.train, &five(&dataset), 0, 8);
    let session = taught(&shots);
    let map = session.map();
    assert_eq!(map.len(), 40);
    let distance = |a: usize, b: usize| (map[a][0] - map[b][0]).hypot(map[a][1] - map[b][1]);
    let nearest_is_alike = (0..40).filter(|&photo| {
        let others = (0..40).filter(|&other| other != photo);
        let nearest = others.min_by(|&a, &b| distance(photo, a).total_cmp(&distance(photo, b))).unwrap();
        shots.labels[nearest] == shots.labels[photo]
    });
    // A fifth would be chance.
    assert!(nearest_is_alike.count() >= 20);
}
