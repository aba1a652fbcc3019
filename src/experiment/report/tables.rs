//! The numbers as files: CSV for programs, LaTeX for papers.

use std::fmt::Write as _;

use super::{
    Report,
    benchmark::{Benchmark, Group},
    statistics::{Estimate, Kind},
};
use crate::{Error, Result, data::Shots};

const HEADER: [&str; 20] = [
    "dataset",
    "backbone",
    "shots",
    "method",
    "runs",
    "seeds",
    "n_test",
    "top1_mean",
    "top1_std",
    "ci95_low",
    "ci95_high",
    "ci95_kind",
    "macro_mean",
    "macro_std",
    "top5_mean",
    "top5_std",
    "trainable_parameters",
    "seconds_features",
    "seconds_train",
    "seconds_test",
];

/// A column's heading and its cell for each method.
type Column = (String, Vec<Option<Estimate>>);

/// What of a group a column holds.
type Measure = fn(&Group) -> Estimate;

/// A line a group. Fractions are 0..1; what does not exist (the spread of a single run) is empty.
///
/// # Errors
/// None that is known: writing to memory does not fail.
pub fn csv(report: &Report) -> Result<Vec<u8>> {
    let failed = |why: String| Error::Failed(format!("the report cannot be written as CSV: {why}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER).map_err(|error| failed(error.to_string()))?;
    for benchmark in &report.benchmarks {
        for group in &benchmark.groups {
            writer.write_record(line(benchmark, group)).map_err(|error| failed(error.to_string()))?;
        }
    }
    writer.into_inner().map_err(|error| failed(error.to_string()))
}

fn line(benchmark: &Benchmark, group: &Group) -> Vec<String> {
    let std = |estimate: Estimate| estimate.std.map(|std| std.to_string()).unwrap_or_default();
    let seeds: Vec<String> = group.seeds.iter().map(u64::to_string).collect();
    let kind = match group.ci95.kind {
        Kind::Student => "student",
        Kind::Wilson => "wilson",
    };
    vec![
        benchmark.dataset.clone(),
        benchmark.backbone.clone(),
        group.shots.map(|shots| shots.to_string()).unwrap_or_default(),
        group.method.clone(),
        group.n.to_string(),
        seeds.join(" "),
        group.n_test.to_string(),
        group.top1.mean.to_string(),
        std(group.top1),
        group.ci95.low.to_string(),
        group.ci95.high.to_string(),
        kind.to_owned(),
        group.macro_accuracy.mean.to_string(),
        std(group.macro_accuracy),
        group.top5.mean.to_string(),
        std(group.top5),
        group.trainable_parameters.to_string(),
        group.seconds.features.to_string(),
        group.seconds.train.to_string(),
        group.seconds.test.to_string(),
    ]
}

/// A table a benchmark for the package `booktabs`, in percent, the best of each column in bold. With several numbers of shots
/// the columns are these, else they are the measures.
pub fn latex(report: &Report) -> String {
    let mut text = String::from("% \\usepackage{booktabs}; mean and standard deviation over seeds, in percent\n");
    for benchmark in &report.benchmarks {
        let shots = benchmark.shots();
        let title = format!("{}, {}", latex_escape(&benchmark.dataset), latex_escape(&benchmark.backbone));
        let several = shots.len() > 1;
        let columns: Vec<Column> = if several {
            shots
                .iter()
                .map(|shots| {
                    let of = |method: &String| benchmark.find(*shots, method).map(|group| group.top1);
                    (shots_name(*shots), benchmark.methods.iter().map(of).collect())
                })
                .collect()
        } else {
            let measures: [(&str, Measure); 3] =
                [("Top-1", |group| group.top1), ("Macro", |group| group.macro_accuracy), ("Top-5", |group| group.top5)];
            let column = |(name, of): (&str, Measure)| {
                let cells = benchmark.methods.iter().map(|method| benchmark.find(shots[0], method).map(of));
                (name.to_owned(), cells.collect())
            };
            measures.into_iter().map(column).collect()
        };
        let _ = writeln!(text, "\n% {title}\n\\begin{{tabular}}{{l{}}}\n\\toprule", "c".repeat(columns.len()));
        if several {
            let last = columns.len() + 1;
            let _ =
                writeln!(text, " & \\multicolumn{{{}}}{{c}}{{Shots}} \\\\\n\\cmidrule(lr){{2-{last}}}", columns.len());
        }
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let _ = writeln!(text, "Method & {} \\\\\n\\midrule", names.join(" & "));
        for (row, method) in benchmark.methods.iter().enumerate() {
            let cells: Vec<String> = columns.iter().map(|(_, cells)| latex_cell(cells, row)).collect();
            let _ = writeln!(text, "{} & {} \\\\", latex_escape(method), cells.join(" & "));
        }
        text.push_str("\\bottomrule\n\\end{tabular}\n");
    }
    text
}

/// The heading of a column.
pub fn shots_name(shots: Option<Shots>) -> String {
    shots.map_or_else(|| "–".to_owned(), |shots| shots.to_string())
}

fn latex_cell(cells: &[Option<Estimate>], row: usize) -> String {
    let Some(estimate) = cells[row] else { return "--".to_owned() };
    // As it is printed, so that what looks equal is treated alike.
    let printed = |estimate: &Estimate| format!("{:.1}", estimate.mean * 100.0);
    let best = cells.iter().flatten().max_by(|a, b| a.mean.total_cmp(&b.mean)).map(printed);
    let mean = printed(&estimate);
    let mean = if best.as_ref() == Some(&mean) { format!("\\textbf{{{mean}}}") } else { mean };
    match estimate.std {
        Some(std) => format!("{mean} {{\\scriptsize$\\pm${:.1}}}", std * 100.0),
        None => mean,
    }
}

/// Text as LaTeX shows it literally.
pub fn latex_escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '<' => escaped.push_str("\\textless{}"),
            '>' => escaped.push_str("\\textgreater{}"),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', c]),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
