//! A contact sheet: every training image beside the pictures made from it, each with its similarity to the class.
//!
//! One HTML file in the manner of the report, that needs nothing else and loads nothing.

use std::fmt::Write as _;

use super::{
    origin::Kind,
    plan::{self, Plan},
    survey::{Image, Shelf},
};
use crate::{
    Result,
    data::Item,
    experiment::{
        features::ImageSource,
        report::{
            html::{count, each, escape, shortened, thousands},
            page::{POLICY, STYLE},
            pictures::thumbnail,
        },
    },
};

const OWN_STYLE: &str = include_str!("review.css");
/// More pictures than this make a file that browsers open slowly.
const MOST_PICTURES: usize = 1200;
/// Bars of a histogram.
const BARS: usize = 36;

/// A training image and what was made from it.
pub struct Row<'a> {
    image: &'a Image,
    source: Tile,
    /// For each kind the pictures by their index.
    made: Vec<(Kind, Vec<Tile>)>,
}

/// A picture on the sheet.
pub struct Tile {
    /// Its path.
    name: String,
    /// Whether it is there, was dropped, or is still to be made.
    state: TileState,
}

/// How a picture is found.
#[derive(Clone, Copy, Debug, PartialEq)]
enum TileState {
    Present { similarity: f64 },
    Dropped { similarity: f64 },
    Missing,
}

impl Tile {
    fn similarity(&self) -> Option<f64> {
        match self.state {
            TileState::Present { similarity } => Some(similarity),
            _ => None,
        }
    }
}

/// What the sheet says in its head.
pub struct Head<'a> {
    /// The data set.
    pub dataset: &'a str,
    /// What was asked for.
    pub plan: &'a Plan,
    /// The CLIP that compared.
    pub clip: &'a str,
    /// Training images in all, of which not all may be shown.
    pub images: usize,
}

/// The images that a sheet has room for, evenly spread.
pub fn choose<'a>(plan: &Plan, images: &'a [Image]) -> Vec<&'a Image> {
    let rows = (MOST_PICTURES / (1 + plan.per_image * plan.kinds.len())).max(1).min(images.len());
    (0..rows).map(|row| &images[row * images.len() / rows]).collect()
}

/// Collects the rows. `similarities` gives the similarity of each picture, by its name, for a source and for made pictures.
///
/// # Errors
/// Those of `similarities`.
pub fn rows<'a>(
    shelf: &Shelf,
    plan: &Plan,
    images: &[&'a Image],
    mut similarities: impl FnMut(Place, &[(String, usize)]) -> Result<Vec<f64>>,
) -> Result<Vec<Row<'a>>> {
    let label = |item: &Item| (item.path.clone(), item.label);
    let sources = similarities(Place::Sources, &images.iter().map(|image| label(&image.item)).collect::<Vec<_>>())?;
    let mut rows: Vec<Row<'a>> = images
        .iter()
        .zip(sources)
        .map(|(&image, similarity)| {
            let source = Tile { name: image.item.path.clone(), state: TileState::Present { similarity } };
            Row { image, source, made: Vec::new() }
        })
        .collect();
    for &(kind, _) in &plan.kinds {
        let state = |image: &Image, index| {
            let name = plan::path(kind, &image.item, index);
            let state = match shelf.entries.get(&name) {
                Some(entry) => match &entry.dropped {
                    Some(dropped) => TileState::Dropped { similarity: dropped.similarity },
                    None if shelf.folder.join(&name).is_file() => TileState::Present { similarity: f64::NAN },
                    None => TileState::Missing,
                },
                None => TileState::Missing,
            };
            Tile { name, state }
        };
        for row in &mut rows {
            row.made.push((kind, (0..plan.per_image).map(|index| state(row.image, index)).collect()));
        }
        let mut present = Vec::new();
        let mut names = Vec::new();
        for row in &mut rows {
            let label = row.image.item.label;
            for tile in row.made.iter_mut().filter(|(of, _)| *of == kind).flat_map(|(_, tiles)| tiles) {
                if let TileState::Present { similarity } = &mut tile.state {
                    names.push((tile.name.clone(), label));
                    present.push(similarity);
                }
            }
        }
        let found = similarities(Place::Made, &names)?;
        present.into_iter().zip(found).for_each(|(place, similarity)| *place = similarity);
    }
    Ok(rows)
}

/// Which folder a picture's name is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The training images'.
    Sources,
    /// The generated pictures'.
    Made,
}

/// The page. Pictures that cannot be read are an error, because the sheet is there to see them.
///
/// # Errors
/// A picture cannot be read or decoded.
pub fn page(head: &Head<'_>, rows: &[Row<'_>], sources: &dyn ImageSource, made: &dyn ImageSource) -> Result<String> {
    let plan = head.plan;
    let mut body = String::new();
    let mut class = None;
    let mut ordered: Vec<&Row<'_>> = rows.iter().collect();
    ordered.sort_by_key(|row| row.image.item.label);
    for row in ordered {
        let item = &row.image.item;
        if class != Some(item.label) {
            class = Some(item.label);
            let _ = write!(body, "<h3>{}</h3>", escape(&item.class));
        }
        body.push_str(&row_html(row, sources, made)?);
    }
    let shown = match rows.len() {
        shown if shown == head.images => count(shown, "training image"),
        shown => format!("{} of {} training images, evenly spread", thousands(shown), thousands(head.images)),
    };
    let strengths = plan.kinds.iter().map(|(kind, strength)| format!("{} {strength}", kind_name(*kind)));
    let strengths = strengths.collect::<Vec<_>>().join(", ");
    let lede = format!(
        "{shown}. Strength: {strengths}; {} steps of {}, guidance {}, {} pixels, by <b>{}</b>. Prompt: “{}”.",
        plan.steps,
        plan.scheduler,
        plan.guidance,
        plan.size,
        escape(&plan.model),
        escape(&plan.prompt.replace("{}", "{class}")),
    );
    let title = escape(head.dataset);
    Ok(format!(
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=Content-Security-Policy content=\"{POLICY}\"><meta name=color-scheme content=\"light dark\">\
         <title>{title}</title>\n<style>\n{STYLE}{OWN_STYLE}</style></head>\n<body class=sheet><header>\
         <p class=brand>lowshot contact sheet</p><h1>{title}</h1><p class=lede>{lede}</p></header>\n<main>{figure}\n\
         <p class=caption>Below each picture: the cosine of its feature and its class's, by {clip}; behind it the difference to the \
         training image's. Label-preserving pictures should keep it, label-breaking ones lose it.</p>{body}</main>\n\
         <footer>Made by lowshot {version}.</footer></body></html>\n",
        figure = histograms(rows),
        clip = escape(head.clip),
        version = env!("CARGO_PKG_VERSION"),
    ))
}

fn row_html(row: &Row<'_>, sources: &dyn ImageSource, made: &dyn ImageSource) -> Result<String> {
    let of_source = row.source.similarity();
    let mut html = String::from("<section class=shots><div class=group><h4>training image</h4><div class=strip>");
    html.push_str(&tile_html(&row.source, sources, None)?);
    html.push_str("</div></div>");
    for (kind, tiles) in &row.made {
        let _ = write!(html, "<div class=\"group {}\"><h4>{}</h4><div class=strip>", kind.folder(), kind_name(*kind));
        for tile in tiles {
            html.push_str(&tile_html(tile, made, of_source)?);
        }
        html.push_str("</div></div>");
    }
    let _ = write!(html, "<p class=path>{}</p></section>", shortened(&row.image.item.path, 80));
    Ok(html)
}

fn tile_html(tile: &Tile, images: &dyn ImageSource, of_source: Option<f64>) -> Result<String> {
    let name = escape(&tile.name);
    let (picture, caption) = match tile.state {
        TileState::Present { similarity } => {
            let uri = thumbnail(&images.read(&tile.name)?, &images.label(&tile.name))?;
            let difference = of_source.map_or_else(String::new, |source| {
                format!(" <small>{}</small>", minus(format!("{:+.3}", similarity - source)))
            });
            (
                format!("<img src=\"{uri}\" alt=\"{name}\" title=\"{name}\">"),
                format!("{}{difference}", minus(format!("{similarity:.3}"))),
            )
        }
        TileState::Dropped { similarity } => (
            format!("<div class=nopicture title=\"{name}\"></div>"),
            format!("{} <small class=wrong>dropped</small>", minus(format!("{similarity:.3}"))),
        ),
        TileState::Missing => {
            (format!("<div class=nopicture title=\"{name}\"></div>"), "<small>not made yet</small>".to_owned())
        }
    };
    Ok(format!("<figure class=tile>{picture}<figcaption>{caption}</figcaption></figure>"))
}

/// With the minus sign that is as wide as a plus.
fn minus(text: String) -> String {
    text.replace('-', "−")
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::LabelPreserving => "label-preserving",
        Kind::LabelBreaking => "label-breaking",
        Kind::LabelBreakingView => "second view",
    }
}

/// The similarities of the training images and of each kind, as histograms above one another on one axis.
fn histograms(rows: &[Row<'_>]) -> String {
    let mut series: Vec<(&str, Vec<f64>)> =
        vec![("training images", rows.iter().filter_map(|row| row.source.similarity()).collect())];
    for kind in Kind::ALL {
        let tiles = rows.iter().flat_map(|row| &row.made).filter(|(of, _)| *of == kind).flat_map(|(_, tiles)| tiles);
        series.push((kind_name(kind), tiles.filter_map(Tile::similarity).collect()));
    }
    series.retain(|(_, values)| !values.is_empty());
    let all = || series.iter().flat_map(|(_, values)| values.iter().copied());
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    if !(low.is_finite() && high.is_finite()) {
        return String::new();
    }
    let step = ((high - low) / (BARS - 2) as f64).max(0.002);
    let start = low - step;
    let (left, width, height) = (190.0, 640.0, 44.0);
    let bar = width / BARS as f64;
    let total = height * series.len() as f64 + 34.0;
    let mut svg = String::new();
    for (number, (name, values)) in series.iter().enumerate() {
        let base = height * (number + 1) as f64;
        let mut bins = [0usize; BARS];
        values.iter().for_each(|value| bins[(((value - start) / step) as usize).min(BARS - 1)] += 1);
        let most = bins.iter().copied().max().unwrap_or(1).max(1) as f64;
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let _ = write!(
            svg,
            "<g class=m{}><text class=row x=0 y={:.1}>{name}</text><text class=tick x=0 y={:.1}>{}, mean {mean:.3}</text>",
            number + 1,
            base - 20.0,
            base - 4.0,
            thousands(values.len())
        );
        for (index, &bin) in bins.iter().enumerate().filter(|(_, bin)| **bin > 0) {
            let tall = (height - 10.0) * bin as f64 / most;
            let x = left + bar * index as f64;
            let _ = write!(
                svg,
                "<rect class=bar x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\"/>",
                base - tall,
                bar - 1.5
            );
        }
        let x = left + (mean - start) / step * bar;
        let _ = write!(
            svg,
            "<path class=mean d=\"M{x:.1} {base}V{:.1}\"/></g><path class=grid d=\"M{left} {base}H{}\"/>",
            base - height + 6.0,
            left + width
        );
    }
    let y = height * series.len() as f64 + 18.0;
    let end = start + step * BARS as f64;
    // In hundredths, so that nothing is a negative zero.
    let spacing = [1, 2, 5, 10, 20, 50].into_iter().find(|spacing| (end - start) * 100.0 / f64::from(*spacing) <= 8.0);
    let spacing = spacing.unwrap_or(100);
    for hundredths in (-100..=100).filter(|hundredths| hundredths % spacing == 0) {
        let value = f64::from(hundredths) / 100.0;
        let x = left + (value - start) / step * bar;
        if (left..=left + width).contains(&x) {
            let _ = write!(
                svg,
                "<text class=tick x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=middle>{}</text>",
                minus(format!("{value:.2}"))
            );
        }
    }
    let label = each(&series, |(name, values)| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        format!("{name}: mean {mean:.3}. ")
    });
    format!(
        "<figure class=wide><svg class=plot viewBox=\"0 0 860 {total}\" role=img aria-label=\"Similarity to the class. {label}\">{svg}\
         </svg></figure>"
    )
}
