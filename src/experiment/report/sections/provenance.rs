//! What the page was made from, and what is not in it.

use std::fmt::Write as _;

use crate::experiment::report::{
    Report,
    evidence::Evidence,
    html::{escape, percent, thousands},
    tables::shots_name,
};

/// Missing cells, unusable folders, and all runs.
pub fn provenance(report: &Report, evidence: &[Evidence]) -> String {
    let mut html = missing(report);
    let notes: Vec<String> = report
        .problems
        .iter()
        .map(|problem| format!("<li><code>{}</code>: {}</li>", escape(&problem.place), escape(&problem.why)))
        .chain(report.benchmarks.iter().zip(evidence).flat_map(|(benchmark, evidence)| {
            let name = format!("{}, {}", escape(&benchmark.dataset), escape(&benchmark.backbone));
            evidence.notes.iter().map(move |note| format!("<li>{name}: {}</li>", escape(note)))
        }))
        .collect();
    if !notes.is_empty() {
        let _ = write!(html, "<h3>Could not be used</h3><ul class=notes>{}</ul>", notes.concat());
    }
    let mut rows = String::new();
    for run in &report.runs {
        let result = &run.result;
        let seed = result.seed.map_or_else(|| "–".into(), |seed| seed.to_string());
        let _ = write!(
            rows,
            "<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td><td class=n>{}</td><td class=n>{seed}</td><td class=n>{}</td>\
             <td class=n>{}</td><td>{}</td><td>{}</td><td><code>{}</code></td><td><code>{}</code></td></tr>",
            escape(&run.folder.display().to_string()),
            escape(&result.dataset),
            escape(&result.backbone),
            escape(&result.method),
            shots_name(result.shots),
            percent(result.top1),
            thousands(result.n_test),
            escape(&result.device),
            escape(&result.lowshot),
            short(&result.backbone_sha256),
            short(&result.split_sha256)
        );
    }
    let _ = write!(
        html,
        "<h3>Runs</h3><details><summary>All {} runs that were read</summary><div class=scroll tabindex=0><table class=runs><thead><tr>\
         <th scope=col>Folder</th><th scope=col>Data set</th><th scope=col>Backbone</th><th scope=col>Method</th>\
         <th scope=col class=n>Shots</th><th scope=col class=n>Seed</th><th scope=col class=n>Top-1, %</th>\
         <th scope=col class=n>Images</th><th scope=col>Device</th><th scope=col>lowshot</th><th scope=col>Weights</th>\
         <th scope=col>Split</th></tr></thead><tbody>{rows}</tbody></table></div></details>",
        thousands(report.runs.len())
    );
    html
}

fn missing(report: &Report) -> String {
    if report.missing.is_empty() {
        return "<h3>Missing runs</h3><p>None: every method has every seed that others have.</p>".into();
    }
    let mut rows = String::new();
    for cell in &report.missing {
        let seeds: Vec<String> = cell.seeds.iter().map(u64::to_string).collect();
        let _ = write!(
            rows,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td class=n>{}</td><td>{}</td></tr>",
            escape(&cell.dataset),
            escape(&cell.backbone),
            escape(&cell.method),
            cell.shots,
            seeds.join(", ")
        );
    }
    format!(
        "<h3>Missing runs</h3><p>Others have these seeds; means over different seeds compare less well.</p>\
         <div class=scroll tabindex=0><table><thead><tr><th scope=col>Data set</th><th scope=col>Backbone</th><th scope=col>Method</th>\
         <th scope=col class=n>Shots</th><th scope=col>Seeds</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )
}

/// The start of a hash, escaped as it comes from a file.
fn short(hash: &str) -> String {
    escape(&hash.chars().take(10).collect::<String>())
}
