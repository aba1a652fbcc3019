//! The numbers that are looked for first: the best method, the table of all, accuracy by shots and by run.

use std::fmt::Write as _;

use super::{Context, figure};
use crate::{
    data::Shots,
    experiment::report::{
        Report,
        benchmark::{Benchmark, Group},
        html::{count, duration, each, escape, estimate, percent, shortened, thousands},
        plots,
        statistics::Kind,
        tables::shots_name,
    },
};

/// One sentence a benchmark: its best method.
pub fn lede(benchmark: &Benchmark) -> String {
    let shots = benchmark.detailed_shots();
    let best = benchmark.at(shots).max_by(|a, b| a.top1.mean.total_cmp(&b.top1.mean));
    let Some(best) = best else { return String::new() };
    let zero = benchmark.groups.iter().find(|group| group.is_zero_shot() && !best.is_zero_shot());
    let over = zero.map_or_else(String::new, |zero| {
        format!(", where the classes’ names alone give {} %", percent(zero.top1.mean))
    });
    let shots = shots.map_or_else(String::new, |shots| format!(" with {}", count_shots(shots)));
    format!(
        "On <b>{}</b>, <b>{}</b> classifies <b>{} %</b> of {} test images rightly{shots}{over}.",
        escape(&benchmark.dataset),
        escape(&best.method),
        percent(best.top1.mean),
        thousands(best.n_test)
    )
}

fn count_shots(shots: Shots) -> String {
    match shots {
        Shots::PerClass(number) => format!("{} of each class", count(number, "image")),
        Shots::All => "all training images".into(),
    }
}

/// What the report is made of, in a row of numbers.
pub fn facts(report: &Report) -> String {
    let distinct = |mut values: Vec<String>| {
        values.sort();
        values.dedup();
        values.len()
    };
    let of =
        |value: fn(&Benchmark) -> &String| distinct(report.benchmarks.iter().map(|one| value(one).clone()).collect());
    let used = || report.benchmarks.iter().flat_map(|benchmark| &benchmark.groups);
    let seeds = distinct(used().flat_map(|group| &group.seeds).map(u64::to_string).collect());
    let facts = [
        (used().map(|group| group.n).sum(), "run"),
        (of(|benchmark| &benchmark.dataset), "data set"),
        (of(|benchmark| &benchmark.backbone), "backbone"),
        (report.methods.len(), "method"),
        (seeds, "seed"),
    ];
    let fact = |(number, name): (usize, &str)| {
        let plural = if number == 1 { "" } else { "s" };
        format!("<li><b>{}</b> {name}{plural}</li>", thousands(number))
    };
    format!("<ul class=facts>{}</ul>", facts.map(fact).concat())
}

/// The tables.
pub fn results(context: Context<'_>) -> String {
    let shots = context.benchmark.shots();
    let mut html = String::new();
    if shots.len() > 1 {
        html.push_str(&by_shots(context, &shots));
        let full: String = shots.iter().map(|shots| table(context, *shots, true)).collect();
        let _ = write!(html, "<details><summary>All measures, at each number of shots</summary>{full}</details>");
        html.push_str(&table(context, context.benchmark.detailed_shots(), true));
    } else {
        html.push_str(&table(context, shots[0], false));
    }
    let _ = write!(html, "<p class=caption>{}</p>", how_made(context.benchmark));
    html
}

/// Methods by shots.
fn by_shots(context: Context<'_>, shots: &[Option<Shots>]) -> String {
    let best: Vec<f64> = shots
        .iter()
        .map(|shots| context.benchmark.at(*shots).map(|group| group.top1.mean).fold(f64::NEG_INFINITY, f64::max))
        .collect();
    let head = each(shots, |shots| format!("<th scope=col class=n>{}</th>", shots_name(*shots)));
    let mut rows = String::new();
    for method in &context.benchmark.methods {
        let _ = write!(rows, "<tr><th scope=row>{}{}</th>", plots::swatch(method, context.palette), escape(method));
        for (shots, best) in shots.iter().zip(&best) {
            match context.benchmark.find(*shots, method) {
                Some(group) => {
                    let class = if percent(group.top1.mean) == percent(*best) { "n best" } else { "n" };
                    let _ = write!(rows, "<td class=\"{class}\">{}</td>", estimate(group.top1));
                }
                None => rows.push_str("<td class=\"n none\">–</td>"),
            }
        }
        rows.push_str("</tr>");
    }
    let table = format!(
        "<table><thead><tr><th rowspan=2 scope=col>Method</th><th colspan={} scope=colgroup class=span>Top-1 accuracy, %, by \
         images of each class</th></tr><tr>{head}</tr></thead><tbody>{rows}</tbody></table>",
        shots.len()
    );
    format!("<div class=scroll tabindex=0>{table}</div>")
}

/// All measures at one number of shots.
fn table(context: Context<'_>, shots: Option<Shots>, titled: bool) -> String {
    let groups: Vec<&Group> = context.benchmark.at(shots).collect();
    let best = |of: fn(&Group) -> f64| groups.iter().map(|group| of(group)).fold(f64::NEG_INFINITY, f64::max);
    let bests = [best(|group| group.top1.mean), best(|group| group.macro_accuracy.mean), best(|group| group.top5.mean)];
    let moved = groups.iter().any(|group| group.generalisation.is_some());
    let mut rows = String::new();
    for group in &groups {
        let measures = [group.top1, group.macro_accuracy, group.top5];
        let cell = |(measure, best): (&_, f64)| {
            let measure: &crate::experiment::report::statistics::Estimate = measure;
            let class = if percent(measure.mean) == percent(best) { "n best" } else { "n" };
            format!("<td class=\"{class}\">{}</td>", estimate(*measure))
        };
        let cells: Vec<String> = measures.iter().zip(bests).map(cell).collect();
        // Where all are Wilson's, the caption says so.
        let marked = several(context.benchmark) && group.ci95.kind == Kind::Wilson;
        let kind = if marked { "<sup title=\"Wilson’s interval of one run\">w</sup>" } else { "" };
        let _ = write!(
            rows,
            "<tr><th scope=row>{}{}</th><td class=n>{}</td>{}<td class=n>{} – {}{kind}</td>{}{}",
            plots::swatch(&group.method, context.palette),
            escape(&group.method),
            group.n,
            cells[0],
            percent(group.ci95.low),
            percent(group.ci95.high),
            cells[1],
            cells[2]
        );
        if moved {
            match group.generalisation {
                Some(moved) => {
                    let _ = write!(
                        rows,
                        "<td class=n>{}</td><td class=n>{}</td>",
                        estimate(moved.novel),
                        estimate(moved.harmonic_mean)
                    );
                }
                None => rows.push_str("<td class=\"n none\">–</td><td class=\"n none\">–</td>"),
            }
        }
        let _ = write!(
            rows,
            "<td class=n>{}</td><td class=n>{}</td></tr>",
            thousands(group.trainable_parameters),
            duration(group.seconds.train)
        );
    }
    let title = match shots {
        Some(shots) if titled => format!("<caption>{shots} shots</caption>"),
        _ => String::new(),
    };
    let novel =
        if moved { "<th scope=col class=n>Novel classes</th><th scope=col class=n>Harmonic mean</th>" } else { "" };
    format!(
        "<div class=scroll tabindex=0><table>{title}<thead><tr><th scope=col>Method</th><th scope=col class=n>Runs</th>\
         <th scope=col class=n>Top-1, %</th><th scope=col class=n>95 % interval</th><th scope=col class=n>Macro, %</th>\
         <th scope=col class=n>Top-5, %</th>{novel}<th scope=col class=n>Trained</th><th scope=col class=n>Training</th></tr>\
         </thead><tbody>{rows}</tbody></table></div>"
    )
}

/// Whether there is anything to take a mean of.
fn several(benchmark: &Benchmark) -> bool {
    benchmark.groups.iter().any(|group| group.n > 1)
}

/// How the numbers of the tables come about.
fn how_made(benchmark: &Benchmark) -> String {
    let spread = if several(benchmark) {
        "Mean ± standard deviation over seeds. Intervals are Student’s t over seeds; those marked <sup>w</sup> are Wilson’s over \
         the test images, for single runs and for runs that do not differ. "
    } else {
        "Single runs; intervals are Wilson’s over the test images. "
    };
    format!(
        "{spread}Macro is the mean of the classes’ accuracies. Trained is the number of trained parameters; training is the mean \
         time of fitting, without features. The best of each column is bold."
    )
}

/// The plots.
pub fn accuracy(context: Context<'_>) -> String {
    let Context { report, benchmark, palette, .. } = context;
    let mut html = String::new();
    if let Some(curves) = plots::curves(benchmark, palette) {
        let caption = "Top-1 accuracy by the number of training images, mean over seeds. Bars are 95 % intervals: Student’s t over \
                       seeds, Wilson’s where runs do not differ. Methods stand slightly side by side, so that bars can be told \
                       apart; the labels give the value at the right end.";
        html.push_str(&figure("wide", &curves, caption));
    }
    let shots = benchmark.detailed_shots();
    let at = shots.map_or_else(String::new, |shots| format!(" at {shots} shots"));
    let zero = benchmark.groups.iter().any(Group::is_zero_shot);
    let zero = if zero { " Zero-shot knows neither shots nor seeds, so its runs are one." } else { "" };
    let caption = format!(
        "Each run{at}: small dots are seeds, the large mark is their mean, the bar its 95 % interval (Student’s t over seeds; \
         Wilson’s for one run).{zero}"
    );
    html.push_str(&figure("wide", &plots::dots(report, benchmark, shots, palette), &caption));
    html
}

/// A method's name in a heading or a cell, with its mark.
pub fn method_name(method: &str, context: Context<'_>) -> String {
    format!("{}{}", plots::swatch(method, context.palette), shortened(method, 40))
}
