//! Which classes a method is good at.

use std::fmt::Write as _;

use super::{Context, headline::method_name};
use crate::experiment::report::{
    benchmark::Group,
    html::{each, escape, percent, thousands},
    statistics::mean,
};

/// A table of classes by methods, coloured by accuracy.
pub fn classes(context: Context<'_>) -> String {
    let groups = groups(context);
    let Some(first) = groups.first() else { return String::new() };
    let classes = &context.report.runs[first.runs[0]].result.per_class;
    let head = each(&groups, |group| format!("<th scope=col class=n>{}</th>", method_name(&group.method, context)));
    let mut rows = String::new();
    for (index, class) in classes.iter().enumerate() {
        let _ = write!(rows, "<tr><th scope=row>{}</th><td class=n>{}</td>", escape(&class.name), thousands(class.n));
        let accuracies: Vec<Option<f64>> = groups.iter().map(|group| accuracy(context, group, index)).collect();
        let best = accuracies.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
        for accuracy in accuracies {
            rows.push_str(
                &accuracy.map_or_else(|| "<td class=\"n none\">–</td>".into(), |accuracy| heat(accuracy, best)),
            );
        }
        rows.push_str("</tr>");
    }
    let macros = each(&groups, |group| format!("<td class=n>{}</td>", percent(group.macro_accuracy.mean)));
    let shots = context.benchmark.detailed_shots().map_or_else(String::new, |shots| format!(" at {shots} shots"));
    format!(
        "<div class=scroll tabindex=0><table class=heat><thead><tr><th scope=col>Class</th><th scope=col class=n>Images</th>{head}\
         </tr></thead><tbody>{rows}</tbody><tfoot><tr><th scope=row>Mean of classes</th><td></td>{macros}</tr></tfoot></table></div>\
         <p class=caption>Percentage of each class’s test images that is classified rightly{shots}, mean over seeds; the stronger the colour, the \
         better. The best method of each class is bold.</p>"
    )
}

/// The groups of the number of shots that is shown in detail; zero-shot's also where it was run at another.
pub fn groups(context: Context<'_>) -> Vec<&Group> {
    let detailed = context.benchmark.detailed_shots();
    let mut groups: Vec<&Group> = context.benchmark.at(detailed).collect();
    if !groups.iter().any(|group| group.is_zero_shot()) {
        let zero = context.benchmark.groups.iter().find(|group| group.is_zero_shot());
        groups.splice(0..0, zero);
    }
    // Runs of an adapter with fewer classes have nothing in these rows.
    let names = |group: &&Group| {
        let classes = &context.report.runs[group.runs[0]].result.per_class;
        classes.iter().map(|class| class.name.clone()).collect::<Vec<String>>()
    };
    let first = groups.first().map(names);
    groups.retain(|group| Some(names(group)) == first);
    groups
}

fn accuracy(context: Context<'_>, group: &Group, class: usize) -> Option<f64> {
    let accuracies: Vec<f64> =
        group.runs.iter().filter_map(|&run| context.report.runs[run].result.per_class.get(class)?.accuracy).collect();
    (!accuracies.is_empty()).then(|| mean(&accuracies))
}

/// A cell whose background tells its number.
fn heat(accuracy: f64, best: f64) -> String {
    let bold = if percent(accuracy) == percent(best) { " best" } else { "" };
    format!(
        "<td class=\"n hot{}{bold}\" style=\"--h:{:.0}%\">{}</td>",
        on(accuracy),
        accuracy * 100.0,
        percent(accuracy)
    )
}

/// The class of text on a background of this strength.
pub fn on(strength: f64) -> &'static str {
    if strength > 0.55 { " on" } else { "" }
}
