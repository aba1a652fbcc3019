//! Attention maps beside their pictures.

use std::fmt::Write as _;

use super::{Context, headline::method_name};
use crate::experiment::report::html::{escape, shortened};

/// A row a picture, a column a state of the image tower.
pub fn attention(context: Context<'_>) -> String {
    let Some(attention) = &context.evidence.attention else { return String::new() };
    let Some(run) = context.detailed(0) else { return String::new() };
    let classes = context.classes();
    let mut head = String::from("<th scope=col>Picture</th>");
    for methods in &attention.columns {
        let names: Vec<String> = methods.iter().map(|method| method_name(method, context)).collect();
        let names = if names.is_empty() { "before training".into() } else { names.join("<br>") };
        let _ = write!(head, "<th scope=col>{names}</th>");
    }
    let mut rows = String::new();
    for row in &attention.rows {
        let line = &run.predictions[row.image];
        let (path, class) = (escape(&line.path), classes[line.label]);
        let _ = write!(
            rows,
            "<tr><th scope=row>{}</th><td><img src=\"{}\" alt=\"{path}\" title=\"{path}\"></td>",
            shortened(class, 28),
            row.view
        );
        for map in &row.maps {
            let _ = write!(rows, "<td><img src=\"{map}\" alt=\"attention over {path}\" title=\"{path}\"></td>");
        }
        rows.push_str("</tr>");
    }
    format!(
        "<div class=scroll tabindex=0><table class=attention><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table></div>\
         <p class=caption>How much the image tower’s last block attends to each part of a picture from its class token (in ResNets, how \
         much the pooling does), the mean of all heads ({}). Amber is the most of that picture, dark grey the least. Methods that \
         leave the tower as it was share a column. The pictures are up to four that the best method mends, \
         and up to two of its own mistakes.</p>",
        context.which()
    )
}
