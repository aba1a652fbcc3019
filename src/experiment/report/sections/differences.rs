//! Which differences between methods are more than chance.

use std::fmt::Write as _;

use super::{Context, headline::method_name};
use crate::{
    data::Shots,
    experiment::report::{
        comparison::Comparison,
        html::{p_value, points, thousands},
        plots,
        statistics::mean,
    },
};

/// Tables of all pairs, open for the number of shots that is shown in detail.
pub fn differences(context: Context<'_>) -> String {
    let all = &context.benchmark.comparisons;
    if all.is_empty() {
        return String::new();
    }
    let detailed = context.benchmark.detailed_shots();
    let mut shots: Vec<Option<Shots>> = all.iter().map(|comparison| comparison.shots).collect();
    shots.dedup();
    let mut html = table(context, detailed);
    let others: String = shots.iter().filter(|shots| **shots != detailed).map(|shots| table(context, *shots)).collect();
    if !others.is_empty() {
        let _ = write!(html, "<details><summary>At other numbers of shots</summary>{others}</details>");
    }
    html.push_str(
        "<p class=caption>Differences of top-1 accuracy in percentage points, the later method minus the earlier one, mean over the \
         seeds that both have. The interval and p are of the paired t-test over seeds; with few seeds they are wide, and a pair \
         whose differences are all equal has none. McNemar’s exact test asks, within one seed, whether the test images that \
         exactly one of two methods gets right are divided by chance: mended are those that only the later method gets right, \
         spoilt those that only the earlier one does (means over seeds), and p is the largest of the seeds’, since the same image \
         in two runs is not two images. No p is corrected for the number of comparisons.</p>",
    );
    html
}

fn table(context: Context<'_>, shots: Option<Shots>) -> String {
    let comparisons: Vec<&Comparison> =
        context.benchmark.comparisons.iter().filter(|comparison| comparison.shots == shots).collect();
    if comparisons.is_empty() {
        return String::new();
    }
    let reach = plots::reach(comparisons.iter().copied());
    let mut rows = String::new();
    for comparison in comparisons {
        let interval = comparison.ci95.map_or_else(
            || "–".into(),
            |[low, high]| format!("{} to {}", points(low.max(-1.0)), points(high.min(1.0))),
        );
        let p = comparison.p.map_or_else(|| "–".into(), p_value);
        let class = context.palette.class(&comparison.second);
        let _ = write!(
            rows,
            "<tr><th scope=row>{}</th><td class=over>over</td><th scope=row>{}</th><td class=n>{}</td><td class=plotted>{}</td>\
             <td class=n>{interval}</td><td class=n>{p}</td>{}</tr>",
            method_name(&comparison.second, context),
            method_name(&comparison.first, context),
            points(comparison.mean),
            plots::difference(comparison.mean, comparison.ci95, reach, &class),
            mcnemar(comparison)
        );
    }
    let title = shots.map_or_else(String::new, |shots| format!("<caption>{shots} shots</caption>"));
    format!(
        "<div class=scroll tabindex=0><table class=pairs>{title}<thead><tr><th colspan=3 scope=col>Methods</th>\
         <th scope=col class=n>Points</th><th scope=col class=\"n plotted\">−{reach:.0} to +{reach:.0}</th>\
         <th scope=col class=n>95 % interval</th><th scope=col class=n>Paired t, p</th><th scope=col class=n>Mended</th>\
         <th scope=col class=n>Spoilt</th><th scope=col class=n>McNemar, p</th></tr></thead><tbody>{rows}</tbody></table></div>",
        reach = reach * 100.0
    )
}

fn mcnemar(comparison: &Comparison) -> String {
    let Some(p) = comparison.largest_mcnemar_p() else { return "<td class=\"n none\">–</td>".repeat(3) };
    let tests = &comparison.mcnemar;
    let counts = |of: fn(&crate::experiment::report::comparison::McNemar) -> usize| {
        thousands(mean(&tests.iter().map(|test| of(test) as f64).collect::<Vec<f64>>()).round() as usize)
    };
    format!(
        "<td class=n>{}</td><td class=n>{}</td><td class=n>{}</td>",
        counts(|test| test.only_second),
        counts(|test| test.only_first),
        p_value(p)
    )
}
