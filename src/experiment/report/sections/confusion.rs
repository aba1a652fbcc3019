//! Which classes are taken for which.

use std::fmt::Write as _;

use super::{
    Context,
    classes::{groups, on},
    headline::method_name,
};
use crate::experiment::report::{
    benchmark::Group,
    html::{escape, shortened},
    plots,
};

/// Up to this many classes the cells hold numbers.
const NUMBERED: usize = 15;

/// A matrix a method, its runs pooled.
pub fn confusion(context: Context<'_>) -> String {
    let groups = groups(context);
    let Some(first) = groups.first() else { return String::new() };
    let classes: Vec<&str> =
        context.report.runs[first.runs[0]].result.per_class.iter().map(|class| class.name.as_str()).collect();
    let mut figures = String::new();
    for group in &groups {
        let counts = pooled(context, group, classes.len());
        let _ = write!(
            figures,
            "<figure class={}><h4>{}</h4><div class=scroll tabindex=0>{}</div></figure>",
            context.palette.class(&group.method),
            method_name(&group.method, context),
            matrix(&classes, &counts, &group.method)
        );
    }
    let size = if classes.len() > NUMBERED { "matrices large" } else { "matrices" };
    let numbers = if classes.len() > NUMBERED {
        ""
    } else {
        " Numbers are percent of the row; less than half a percent is left out."
    };
    format!(
        "<div class=\"{size}\">{figures}</div><p class=caption>Rows are the true classes, columns what was predicted, runs of all seeds \
         together; each row adds up to 100 %, and a perfect method has the diagonal alone.{numbers}</p>"
    )
}

fn pooled(context: Context<'_>, group: &Group, classes: usize) -> Vec<Vec<usize>> {
    let mut counts = vec![vec![0; classes]; classes];
    for &run in &group.runs {
        for (row, own) in counts.iter_mut().zip(&context.report.runs[run].result.confusion) {
            row.iter_mut().zip(own).for_each(|(count, own)| *count += own);
        }
    }
    counts
}

fn matrix(classes: &[&str], counts: &[Vec<usize>], method: &str) -> String {
    const LABELS: f64 = 140.0;
    let n = classes.len();
    let cell = match n {
        0..=12 => 31.0,
        13..=NUMBERED => 28.0,
        16..=26 => 21.0,
        _ => 15.0,
    };
    let (side, font) = (cell * n as f64, if n > 26 { 9.5 } else { 11.5 });
    let label = format!("Confusion matrix of {method}");
    let mut svg = plots::open(LABELS + side + 2.0, LABELS + side + 2.0, &label);
    svg = svg.replacen("<svg ", &format!("<svg style=\"--w:{:.0}px\" ", LABELS + side), 1);
    let _ = write!(
        svg,
        "<text class=corner x={:.1} y={:.1} text-anchor=end>true ↓ predicted →</text><g font-size={font}>",
        LABELS - 8.0,
        LABELS - 8.0
    );
    for (index, class) in classes.iter().enumerate() {
        let at = LABELS + cell * (index as f64 + 0.5);
        let (name, full) = (shortened(class, 20), escape(class));
        let _ = write!(
            svg,
            "<text class=label x={:.1} y={:.1} text-anchor=end>{name}<title>{full}</title></text>\
             <text class=label transform=\"translate({:.1} {:.1}) rotate(-90)\">{name}<title>{full}</title></text>",
            LABELS - 8.0,
            at + font * 0.35,
            at + font * 0.35,
            LABELS - 8.0
        );
    }
    for (row, line) in counts.iter().enumerate() {
        let total: usize = line.iter().sum();
        for (column, &count) in line.iter().enumerate().filter(|(_, count)| **count > 0) {
            let share = count as f64 / total as f64;
            let (x, y) = (LABELS + cell * column as f64, LABELS + cell * row as f64);
            let title = format!(
                "{} → {}: {count} of {total} ({:.1} %)",
                escape(classes[row]),
                escape(classes[column]),
                share * 100.0
            );
            let _ = write!(
                svg,
                "<g><title>{title}</title><rect class=cell x={x:.1} y={y:.1} width={:.1} height={:.1} fill-opacity={share:.3} />",
                cell - 1.0,
                cell - 1.0
            );
            if n <= NUMBERED && share >= 0.005 {
                let _ = write!(
                    svg,
                    "<text class=\"count{}\" x={:.1} y={:.1} text-anchor=middle>{:.0}</text>",
                    on(share),
                    x + (cell - 1.0) / 2.0,
                    y + cell / 2.0 + 3.5,
                    share * 100.0
                );
            }
            svg.push_str("</g>");
        }
    }
    let _ = write!(
        svg,
        "</g><rect class=frame x={LABELS} y={LABELS} width={:.1} height={:.1} /></svg>",
        side - 1.0,
        side - 1.0
    );
    svg
}
