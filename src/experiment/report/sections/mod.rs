//! The sections of the page, one a file. Each gives HTML, or nothing where it has nothing to show.

mod attention;
mod classes;
mod confusion;
mod differences;
mod failures;
mod features;
mod headline;
mod provenance;

use super::{Report, benchmark::Benchmark, evidence::Evidence, palette::Palette, runs::Run};

pub use headline::{facts, lede};
pub use provenance::provenance;

/// What the sections of one benchmark are made from.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Everything.
    pub report: &'a Report,
    /// The benchmark that is told of.
    pub benchmark: &'a Benchmark,
    /// What can be shown of it.
    pub evidence: &'a Evidence,
    /// Colours and marks.
    pub palette: Palette<'a>,
}

impl Context<'_> {
    /// The names of the classes, where runs are shown in detail.
    fn classes(&self) -> Vec<&str> {
        let run = self.detailed(0);
        run.map_or_else(Vec::new, |run| run.result.per_class.iter().map(|class| class.name.as_str()).collect())
    }

    /// The run of the `index`th method that is shown in detail.
    fn detailed(&self, index: usize) -> Option<&Run> {
        let (_, run) = self.evidence.detail.as_ref()?.runs.get(index)?;
        self.report.runs.get(*run)
    }

    /// "16 shots, seed 1".
    fn which(&self) -> String {
        let Some(detail) = &self.evidence.detail else { return String::new() };
        let shots = detail.shots.map(|shots| format!("{shots} shots"));
        let seed = detail.seed.map(|seed| format!("seed {seed}"));
        shots.into_iter().chain(seed).collect::<Vec<_>>().join(", ")
    }
}

/// A section of a benchmark.
pub struct Section {
    /// Its anchor, unique within the benchmark.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// Its content.
    pub html: String,
}

/// What makes a section's content.
type Make = fn(Context<'_>) -> String;

/// All sections of a benchmark that have something to show, in the order of the page.
pub fn all(context: Context<'_>) -> Vec<Section> {
    let sections: [(&str, &str, Make); 9] = [
        ("results", "Results", headline::results),
        ("accuracy", "Accuracy", headline::accuracy),
        ("differences", "Differences between methods", differences::differences),
        ("classes", "Accuracy of each class", classes::classes),
        ("confusion", "Confusion between classes", confusion::confusion),
        ("mistakes", "Most confident mistakes", failures::mistakes),
        ("mended", "What one method mends", failures::exchanges),
        ("attention", "Where the model looked", attention::attention),
        ("features", "Map of the test images", features::features),
    ];
    let made = sections.map(|(id, title, make)| Section { id, title, html: make(context) });
    made.into_iter().filter(|section| !section.html.is_empty()).collect()
}

/// A figure with a caption; `content` and `caption` are HTML.
fn figure(class: &str, content: &str, caption: &str) -> String {
    format!(
        "<figure class=\"{class}\"><div class=scroll tabindex=0>{content}</div><figcaption>{caption}</figcaption></figure>"
    )
}
