//! The map of the test images: once by class, then once for each method with its mistakes.

use std::fmt::Write as _;

use super::{Context, figure, headline::method_name};
use crate::experiment::report::{
    html::{each, escape, percent, shortened, thousands},
    map::{FeatureMap, MOST},
    palette, plots,
    runs::Run,
};

const SIDE: f64 = 640.0;
const SMALL: f64 = 300.0;
const MARGIN: f64 = 8.0;

/// The maps.
pub fn features(context: Context<'_>) -> String {
    let (Some(map), Some(detail)) = (&context.evidence.map, &context.evidence.detail) else { return String::new() };
    let Some(first) = context.detailed(0) else { return String::new() };
    let classes = context.classes();
    let legend = each(classes.iter().enumerate(), |(class, name)| {
        let (colour, mark) = palette::of_class(class);
        let path = palette::mark(mark, (8.0, 8.0), 5.0);
        format!(
            "<li data-class={class}><svg class=\"swatch {colour}\" viewBox=\"0 0 16 16\" aria-hidden=true><path class=mark \
             d=\"{path}\"/></svg>{}</li>",
            shortened(name, 32)
        )
    });
    let content = format!("<div class=map>{}<ul class=legend>{legend}</ul></div>", by_class(map, first, &classes));
    let which = if map.images.len() < first.predictions.len() {
        format!(
            "{} of {} test images (at most {MOST}, as many of each class as there are, chosen by a hash of their paths)",
            thousands(map.images.len()),
            thousands(first.predictions.len())
        )
    } else {
        format!("All {} test images", thousands(map.images.len()))
    };
    let caption = format!(
        "{which}, laid out by t-SNE on the features of the backbone before training, so near pictures look alike to it. Distances \
         between far groups mean little. Hovering shows an image’s path and class."
    );
    let mut html = figure("wide", &content, &caption);
    html.push_str("<div class=smalls>");
    for (index, (method, _)) in detail.runs.iter().enumerate() {
        let Some(run) = context.detailed(index) else { continue };
        let right = map.images.iter().filter(|image| run.predictions[**image].is_right()).count();
        let _ = write!(
            html,
            "<figure><h4>{}<small>{} %</small></h4>{}</figure>",
            method_name(method, context),
            percent(right as f64 / map.images.len().max(1) as f64),
            mistakes(map, run, &classes, method)
        );
    }
    let _ = write!(
        html,
        "</div><p class=caption>The same map with each method’s mistakes ({}), in the colours and marks of what was predicted; images \
         that are classified rightly are small grey dots. Percentages are of the images on the map.</p>",
        context.which()
    );
    html
}

fn by_class(map: &FeatureMap, run: &Run, classes: &[&str]) -> String {
    let mut svg = open(map, SIDE, "Map of the test images by class");
    for (place, &image) in map.places.iter().zip(&map.images) {
        let line = &run.predictions[image];
        let (colour, mark) = palette::of_class(line.label);
        let _ = write!(
            svg,
            "<path class=\"point {colour}\" data-class={} d=\"{}\"><title>{} · {}</title></path>",
            line.label,
            palette::mark(mark, at(place, SIDE), 3.6),
            escape(classes[line.label]),
            escape(&line.path)
        );
    }
    svg.push_str("</svg>");
    svg
}

fn mistakes(map: &FeatureMap, run: &Run, classes: &[&str], method: &str) -> String {
    let mut svg = open(map, SMALL, &format!("Map of the test images with the mistakes of {method}"));
    let mut right = String::new();
    let mut wrong = String::new();
    for (place, &image) in map.places.iter().zip(&map.images) {
        let line = &run.predictions[image];
        let (x, y) = at(place, SMALL);
        if line.is_right() {
            let _ = write!(right, "M{x:.0} {y:.0}h0");
            continue;
        }
        let (colour, mark) = palette::of_class(line.class);
        let _ = write!(
            wrong,
            "<path class=\"point {colour}\" d=\"{}\"><title>{} → {} · {}</title></path>",
            palette::mark(mark, (x, y), 2.8),
            escape(classes[line.label]),
            escape(classes[line.class]),
            escape(&line.path)
        );
    }
    let _ = write!(svg, "<path class=rest d=\"{right}\"/>{wrong}</svg>");
    svg
}

/// A plot whose longer side is `side`.
fn open(map: &FeatureMap, side: f64, label: &str) -> String {
    let [width, height] = map.extent().map(|extent| (2.0 * MARGIN + (side - 2.0 * MARGIN) * extent).ceil());
    plots::open(width, height, label)
}

fn at(place: &[f64; 2], side: f64) -> (f64, f64) {
    (MARGIN + (side - 2.0 * MARGIN) * place[0], MARGIN + (side - 2.0 * MARGIN) * place[1])
}
