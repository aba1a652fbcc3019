//! The report as one HTML file that needs nothing else: no network, no fonts, and no script to be read.

use std::fmt::Write as _;

use super::{
    Report,
    evidence::Evidence,
    html::{each, escape},
    palette::Palette,
    sections::{self, Context},
};

pub(crate) const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/script.js");
/// The browser is told to load nothing, whatever a name in the data might try.
pub(crate) const POLICY: &str =
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// The page. `evidence` has an entry a benchmark, in their order. The same report and evidence give the same bytes.
pub fn page(report: &Report, evidence: &[Evidence]) -> String {
    let palette = Palette(&report.methods);
    let ledes = each(&report.benchmarks, |benchmark| format!("<p class=lede>{}</p>", sections::lede(benchmark)));
    let mut contents = String::new();
    let mut body = String::new();
    for (index, (benchmark, evidence)) in report.benchmarks.iter().zip(evidence).enumerate() {
        let name =
            format!("{} <span class=on-backbone>{}</span>", escape(&benchmark.dataset), escape(&benchmark.backbone));
        let sections = sections::all(Context { report, benchmark, evidence, palette });
        let _ = write!(contents, "<li><a href=\"#b{index}\">{name}</a><ol>");
        let _ = write!(body, "<section class=benchmark id=b{index}><h2>{name}</h2>");
        for section in sections {
            let (id, title) = (section.id, section.title);
            let _ = write!(contents, "<li><a href=\"#b{index}-{id}\">{title}</a></li>");
            let _ = write!(body, "<section id=\"b{index}-{id}\"><h3>{title}</h3>{}</section>", section.html);
        }
        contents.push_str("</ol></li>");
        body.push_str("</section>");
    }
    contents.push_str("<li><a href=\"#provenance\">About this report</a></li>");
    let provenance = sections::provenance(report, evidence);
    format!(
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=Content-Security-Policy content=\"{POLICY}\"><meta name=color-scheme content=\"light dark\">\
         <title>{title}</title>\n<style>\n{STYLE}</style></head>\n<body><header><p class=brand>lowshot report</p><h1>{heading}</h1>{ledes}\
         {facts}</header>\n<nav aria-label=Contents><ol>{contents}</ol></nav>\n<main>{body}\n<section id=provenance>\
         <h2>About this report</h2>{provenance}</section></main>\n<footer>Made by lowshot {version}.</footer>\n\
         <script>\n{SCRIPT}</script></body></html>\n",
        title = title(report, ", "),
        heading = title(report, " · "),
        facts = sections::facts(report),
        version = env!("CARGO_PKG_VERSION"),
    )
}

/// The data sets' names.
fn title(report: &Report, between: &str) -> String {
    let mut names: Vec<String> = report.benchmarks.iter().map(|benchmark| escape(&benchmark.dataset)).collect();
    names.dedup();
    names.join(between)
}
