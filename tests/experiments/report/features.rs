//! The map and the attention against scikit-learn, `NumPy`, transformers and finite differences.

use lowshot::{
    clip::Preprocess,
    data::decode::decode,
    experiment::report::{
        attention,
        map::{MOST, sample},
        runs::Prediction,
    },
    platform::models,
    session::{Backbone, attention::grids},
    train::tsne::{Point, affinities, embed, gradient, principal_components},
};
use serde_json::Value;

use super::folders::{numbers, reference};
use crate::command::repository;

fn rows() -> (Vec<Vec<f64>>, Value) {
    let reference = reference("features");
    (reference["rows"].as_array().unwrap().iter().map(numbers).collect(), reference)
}

#[test]
fn affinities_are_scikit_learns() {
    let (rows, reference) = rows();
    let ours = affinities(&rows, reference["perplexity"].as_f64().unwrap());
    let theirs: Vec<f64> = reference["affinities"].as_array().unwrap().iter().flat_map(numbers).collect();
    assert_eq!(ours.len(), theirs.len());
    assert!((ours.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    for (index, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        // Theirs start from distances in f32 and stop the search for the width at 1e-5.
        assert!((ours - theirs).abs() < 2e-4 * theirs + 1e-8, "{index}: {ours}, scikit-learn {theirs}");
    }
}

#[test]
fn principal_components_are_numpys_but_for_their_signs() {
    let (rows, reference) = rows();
    let ours = principal_components(&rows);
    let theirs: Vec<Vec<f64>> = reference["principal_components"].as_array().unwrap().iter().map(numbers).collect();
    for axis in 0..2 {
        let sign = (ours[0][axis] * theirs[0][axis]).signum();
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!((ours[axis] - sign * theirs[axis]).abs() < 1e-6, "{} is not {}", ours[axis], theirs[axis]);
        }
    }
}

/// The divergence that t-SNE makes small, written down from the paper (equation 2).
fn divergence(attraction: &[f64], points: &[Point]) -> f64 {
    let n = points.len();
    let kernel = |i: usize, j: usize| {
        let (a, b) = (points[i], points[j]);
        if i == j { 0.0 } else { 1.0 / (1.0 + (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)) }
    };
    let total: f64 = (0..n * n).map(|index| kernel(index / n, index % n)).sum();
    let term =
        |(index, p): (usize, &f64)| if *p > 0.0 { p * (p / (kernel(index / n, index % n) / total)).ln() } else { 0.0 };
    attraction.iter().enumerate().map(term).sum()
}

#[test]
fn the_gradient_is_that_of_the_divergence() {
    const STEP: f64 = 1e-5;
    let (rows, _) = rows();
    let attraction = affinities(&rows, 5.0);
    let points: Vec<Point> = (0..rows.len()).map(|i| [(i as f64 * 0.7).sin(), (i as f64 * 1.3).cos()]).collect();
    let gradient = gradient(&attraction, &points, 1.0);
    for index in [0, 7, 23] {
        for axis in 0..2 {
            let moved = |by: f64| {
                let mut points = points.clone();
                points[index][axis] += by;
                divergence(&attraction, &points)
            };
            let slope = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            assert!((gradient[index][axis] - slope).abs() < 1e-7, "{} is not {slope}", gradient[index][axis]);
        }
    }
}

#[test]
fn clusters_stay_together_and_the_layout_is_always_the_same() {
    let (rows, _) = rows();
    let points = embed(&rows);
    assert_eq!(points, embed(&rows));
    let distance = |a: &Point, b: &Point| (a[0] - b[0]).hypot(a[1] - b[1]);
    for (index, point) in points.iter().enumerate() {
        let mut others: Vec<usize> = (0..points.len()).filter(|other| *other != index).collect();
        others.sort_by(|a, b| distance(point, &points[*a]).total_cmp(&distance(point, &points[*b])));
        assert!(others[..3].iter().all(|other| other / 8 == index / 8), "{index} lies with {:?}", &others[..3]);
    }
}

#[test]
fn few_or_equal_points_have_a_layout() {
    assert_eq!(embed(&[]), Vec::<Point>::new());
    for rows in [vec![vec![1.0, 2.0]; 1], vec![vec![1.0, 2.0]; 12], vec![vec![]; 3]] {
        let points = embed(&rows);
        assert!(points.len() == rows.len() && points.iter().flatten().all(|value| value.is_finite()), "{points:?}");
    }
}

#[test]
fn the_sample_is_fixed_and_shares_evenly() {
    let line =
        |index: usize, label: usize| Prediction { path: format!("{index}.png"), label, class: 0, confidence: 0.5 };
    // 30 images of one class, 3000 of two others.
    let lines: Vec<Prediction> =
        (0..3030).map(|index| line(index, if index < 30 { 0 } else { 1 + index % 2 })).collect();
    let sampled = sample(&lines, 3);
    let count = |label: usize| sampled.iter().filter(|index| lines[**index].label == label).count();
    assert_eq!((sampled.len(), count(0), count(1), count(2)), (MOST, 30, 485, 485));
    assert!(sampled.is_sorted());
    // It hangs on the paths and not on the order.
    let reversed: Vec<Prediction> = lines.iter().rev().cloned().collect();
    let mut again: Vec<usize> = sample(&reversed, 3).into_iter().map(|index| lines.len() - 1 - index).collect();
    again.sort_unstable();
    assert_eq!(again, sampled);
}

#[test]
fn attention_is_transformers_last_class_token() {
    let device = Default::default();
    let backbone = Backbone::<burn_flex::Flex>::load("demo", &models::demo_files(), &device).unwrap();
    let preprocess: &Preprocess = &backbone.preprocess;
    for case in reference("attention").as_array().unwrap() {
        let tile = repository(case["tile"].as_str().unwrap());
        let view = preprocess.pixels(&decode(&std::fs::read(&tile).unwrap(), &tile).unwrap()).unwrap();
        let ours = &pollster::block_on(grids(&backbone, std::slice::from_ref(&view))).unwrap()[0];
        let theirs = numbers(&case["grid"]);
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!((f64::from(*ours) - theirs).abs() < 1e-4, "{tile}: {ours}, transformers {theirs}");
        }
        assert!(attention::overlay_uri(&view, ours).unwrap().starts_with("data:image/webp;base64,"));
    }
}
