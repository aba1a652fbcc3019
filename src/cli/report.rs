//! `lowshot report`: what finished runs say together, as tables and as a page.

use std::path::PathBuf;

use clap::Args;

use super::{
    device::{Place, Task},
    progress::{self, Progress},
    table,
};
use crate::{
    Result,
    clip::ClipBackend,
    experiment::report::{
        self as experiment,
        benchmark::{Benchmark, Group},
        evidence::{self, Evidence, Options},
        page::page,
        statistics::Estimate,
        tables,
    },
    platform::native,
};

/// Compare finished runs: tables, tests, and a page with plots, failures, attention and features.
#[derive(Args)]
pub struct Report {
    /// Run folders, or folders that hold them, such as a sweep's.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Write a page that needs nothing else, to be opened by a browser.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Write the table as CSV.
    #[arg(long)]
    csv: Option<PathBuf>,
    /// Write the table as LaTeX (booktabs).
    #[arg(long)]
    latex: Option<PathBuf>,
    /// Where the data sets lie, if not where the runs found them.
    #[arg(long, visible_alias = "root_path")]
    root_path: Option<PathBuf>,
    /// Do not keep computed features.
    #[arg(long)]
    no_cache: bool,
    #[command(flatten)]
    place: Place,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
}

impl Report {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let report = experiment::Report::read(&self.runs)?;
        for problem in &report.problems {
            progress::note(&format!("note: {}: {}", problem.place, problem.why));
        }
        if self.json {
            table::json(&report)?;
        } else {
            report.benchmarks.iter().for_each(print);
            print_missing(&report);
        }
        let written = |what: &PathBuf| progress::note(&format!("written to {}", what.display()));
        if let Some(path) = &self.csv {
            native::write(path, &tables::csv(&report)?)?;
            written(path);
        }
        if let Some(path) = &self.latex {
            native::write(path, tables::latex(&report).as_bytes())?;
            written(path);
        }
        if let Some(path) = &self.out {
            let cache = if self.no_cache { None } else { Some(native::cache_folder()?) };
            let options = Options { root_path: self.root_path, cache };
            let evidence = self.place.device.run(Gather { report: &report, options })?;
            native::write(path, page(&report, &evidence).as_bytes())?;
            written(path);
        }
        Ok(())
    }
}

/// Computing what the page shows beyond numbers.
struct Gather<'a> {
    report: &'a experiment::Report,
    options: Options,
}

impl Task for Gather<'_> {
    type Output = Vec<Evidence>;

    fn run<B: ClipBackend>(self, device: &B::Device) -> Result<Vec<Evidence>> {
        evidence::gather::<B>(self.report, &self.options, device, &mut Progress::new())
    }
}

/// A benchmark's groups, then the differences between its methods.
fn print(benchmark: &Benchmark) {
    table::line(&format!("{} · {}", benchmark.dataset, benchmark.backbone));
    let rows: Vec<Vec<String>> = benchmark.groups.iter().map(row).collect();
    let header = ["shots", "method", "runs", "top-1", "95 % interval", "macro", "top-5", "trained", "seconds"];
    table::rows(&header, &rows, &[0, 2, 3, 4, 5, 6, 7, 8]);
    table::line("");
    let rows: Vec<Vec<String>> = benchmark
        .comparisons
        .iter()
        .map(|comparison| {
            let optional = |value: Option<f64>| value.map_or_else(|| "–".into(), p_value);
            let interval = comparison.ci95.map_or_else(
                || "–".into(),
                |[low, high]| format!("{:+.1} to {:+.1}", low.max(-1.0) * 100.0, high.min(1.0) * 100.0),
            );
            vec![
                tables::shots_name(comparison.shots),
                format!("{} − {}", comparison.second, comparison.first),
                comparison.seeds.len().to_string(),
                format!("{:+.1}", comparison.mean * 100.0),
                interval,
                optional(comparison.p),
                optional(comparison.largest_mcnemar_p()),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let header = ["shots", "difference", "seeds", "points", "95 % interval", "paired t, p", "McNemar, largest p"];
        table::rows(&header, &rows, &[0, 2, 3, 4, 5, 6]);
        table::line("");
    }
}

/// A p-value to four decimals; smaller ones as a bound.
fn p_value(p: f64) -> String {
    if p < 0.0001 { "< 0.0001".into() } else { format!("{p:.4}") }
}

fn row(group: &Group) -> Vec<String> {
    let estimate = |estimate: Estimate| match estimate.std {
        Some(std) => format!("{:.1} ± {:.1}", estimate.mean * 100.0, std * 100.0),
        None => format!("{:.1}", estimate.mean * 100.0),
    };
    vec![
        tables::shots_name(group.shots),
        group.method.clone(),
        group.n.to_string(),
        estimate(group.top1),
        format!("{:.1} – {:.1}", group.ci95.low * 100.0, group.ci95.high * 100.0),
        estimate(group.macro_accuracy),
        estimate(group.top5),
        group.trainable_parameters.to_string(),
        format!("{:.2}", group.seconds.train),
    ]
}

fn print_missing(report: &experiment::Report) {
    for cell in &report.missing {
        let seeds: Vec<String> = cell.seeds.iter().map(u64::to_string).collect();
        let (plural, seeds) = (if cell.seeds.len() == 1 { "" } else { "s" }, seeds.join(", "));
        let (dataset, backbone) = (&cell.dataset, &cell.backbone);
        table::line(&format!(
            "missing: {} on {dataset}, {backbone}, {} shots, seed{plural} {seeds}",
            cell.method, cell.shots
        ));
    }
}
