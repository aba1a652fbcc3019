//! Pictures: what was mistaken with confidence, and what one method mends of another's mistakes.

use std::fmt::Write as _;

use super::{Context, headline::method_name};
use crate::experiment::report::{
    failures::Exchange,
    html::{count, each, escape, shortened, thousands},
    plots,
    runs::Prediction,
    statistics::mean,
};

/// Each method's most confident mistakes.
pub fn mistakes(context: Context<'_>) -> String {
    let Some(detail) = &context.evidence.detail else { return String::new() };
    let mut html = String::new();
    for (index, (method, _)) in detail.runs.iter().enumerate() {
        let Some(run) = context.detailed(index) else { continue };
        let wrong = run.predictions.iter().filter(|line| !line.is_right()).count();
        let of = thousands(run.predictions.len());
        let tiles: String = detail.mistakes[index]
            .iter()
            .map(|&image| tile(context, (&run.predictions[image], method), None))
            .collect();
        let row = if tiles.is_empty() { "<p>None.</p>".into() } else { format!("<div class=tiles>{tiles}</div>") };
        let _ = write!(
            html,
            "<h4>{}<small>{} in {of} images</small></h4>{row}",
            method_name(method, context),
            count(wrong, "mistake")
        );
    }
    let _ = write!(
        html,
        "<p class=caption>The mistakes of which each method was surest ({}), at most two that take the same class for the same other. \
         Below each picture: <span class=right>the true class</span>, <span class=wrong>what was predicted</span> and its softmax \
         probability.{}</p>",
        context.which(),
        absent(context)
    );
    html
}

/// Counts for all pairs of methods, and pictures for the best against the last and against the next.
pub fn exchanges(context: Context<'_>) -> String {
    let Some(detail) = context.evidence.detail.as_ref().filter(|detail| detail.runs.len() > 1) else {
        return String::new();
    };
    let mut html = counts(context);
    for exchange in &detail.exchanges {
        html.push_str(&pictures(context, exchange));
    }
    let _ = write!(
        html,
        "<p class=caption>The pictures, and the counts above them, are of one run each ({}); shown are those of which the better method \
         was surest, at most two of a kind. Below each picture: what each method said, \
         <span class=right>right</span> or <span class=wrong>wrong</span>, with its softmax probability.{}</p>",
        context.which(),
        absent(context)
    );
    html
}

/// How many images the method of the column gets right and that of the row wrong.
fn counts(context: Context<'_>) -> String {
    let Some(detail) = &context.evidence.detail else { return String::new() };
    let methods: Vec<&String> = detail.runs.iter().map(|(method, _)| method).collect();
    let only = |row: &String, column: &String| {
        let at_shots = context.benchmark.comparisons.iter().filter(|comparison| comparison.shots == detail.shots);
        let counts: Vec<f64> = at_shots
            .flat_map(|comparison| {
                let forward = comparison.first == *row && comparison.second == *column;
                let backward = comparison.first == *column && comparison.second == *row;
                comparison.mcnemar.iter().filter_map(move |test| match (forward, backward) {
                    (true, _) => Some(test.only_second as f64),
                    (_, true) => Some(test.only_first as f64),
                    _ => None,
                })
            })
            .collect();
        (!counts.is_empty()).then(|| mean(&counts).round() as usize)
    };
    let most = methods.iter().flat_map(|row| methods.iter().filter_map(|column| only(row, column))).max().unwrap_or(0);
    let head = each(&methods, |method| format!("<th scope=col class=n>{}</th>", method_name(method, context)));
    let mut rows = String::new();
    for row in &methods {
        let _ = write!(rows, "<tr><th scope=row>{}</th>", method_name(row, context));
        for column in &methods {
            match only(row, column).filter(|_| row != column) {
                Some(images) => {
                    let share = images as f64 / most.max(1) as f64;
                    let _ = write!(
                        rows,
                        "<td class=\"n hot{}\" style=\"--h:{:.0}%\">{}</td>",
                        super::classes::on(share),
                        share * 100.0,
                        thousands(images)
                    );
                }
                None => rows.push_str("<td class=\"n none\">–</td>"),
            }
        }
        rows.push_str("</tr>");
    }
    format!(
        "<div class=scroll tabindex=0><table class=heat><thead><tr><th scope=col>wrong ↓ right →</th>{head}</tr></thead><tbody>{rows}\
         </tbody></table></div><p class=caption>Test images that the method of the row gets wrong and that of the column right, mean \
         over seeds.</p>"
    )
}

fn pictures(context: Context<'_>, exchange: &Exchange) -> String {
    let Some(detail) = &context.evidence.detail else { return String::new() };
    let (Some(first), Some(second)) = (context.detailed(exchange.first), context.detailed(exchange.second)) else {
        return String::new();
    };
    let name = |index: usize| method_name(&detail.runs[index].0, context);
    let row = |images: &[usize]| -> String {
        let [a, b] = [exchange.first, exchange.second].map(|index| detail.runs[index].0.as_str());
        let tile =
            |&image: &usize| tile(context, (&second.predictions[image], b), Some((&first.predictions[image], a)));
        images.iter().map(tile).collect()
    };
    let mut html = String::new();
    for (what, number, images) in
        [("mends", exchange.mended, &exchange.shown_mended), ("spoils", exchange.spoilt, &exchange.shown_spoilt)]
    {
        let _ = write!(
            html,
            "<h4>{} {what} <small>{} of</small> {}</h4>",
            name(exchange.second),
            count(number, "image"),
            name(exchange.first)
        );
        let tiles = row(images);
        let _ = if tiles.is_empty() {
            write!(html, "<p>None.</p>")
        } else {
            write!(html, "<div class=tiles>{tiles}</div>")
        };
    }
    html
}

/// A picture with what was said of it, and before it what another method said.
fn tile(context: Context<'_>, line: (&Prediction, &str), before: Option<(&Prediction, &str)>) -> String {
    let (line, method) = line;
    let classes = context.classes();
    let path = escape(&line.path);
    let picture = match context.evidence.pictures.get(&line.path) {
        Some(uri) => format!("<img src=\"{uri}\" alt=\"{path}\" title=\"{path}\">"),
        None => format!("<div class=nopicture title=\"{path}\"></div>"),
    };
    let said = |line: &Prediction, method: &str| {
        let class = if line.is_right() { "right" } else { "wrong" };
        let name = shortened(classes[line.class], 28);
        // Where two methods speak, their marks say which.
        let mark = before.map_or_else(String::new, |_| plots::swatch(method, context.palette));
        format!("{mark}<span class={class}>{name}</span> <small>{:.0} %</small>", line.confidence * 100.0)
    };
    let mut lines = Vec::new();
    // The true class stands there by itself unless one of the two said it.
    if !line.is_right() && before.is_none_or(|(before, _)| !before.is_right()) {
        lines.push(format!("<span class=right>{}</span>", shortened(classes[line.label], 28)));
    }
    lines.extend(before.map(|(before, method)| said(before, method)));
    lines.push(said(line, method));
    let lines = each(lines, |line| format!("<div>{line}</div>"));
    format!("<figure class=tile>{picture}<figcaption>{lines}</figcaption></figure>")
}

/// A sentence where there are no pictures.
fn absent(context: Context<'_>) -> &'static str {
    if context.evidence.pictures.is_empty() {
        " The data set was not there when this page was made, so there are no pictures."
    } else {
        ""
    }
}
