//! Results on stdout: aligned columns for people, JSON for machines.

use std::io::{IsTerminal, Write, stdout};

use serde::Serialize;

use crate::{Error, Result};

/// Prints a value as JSON.
pub fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::Failed(format!("the result cannot be written as JSON: {error}")))?;
    line(&text);
    Ok(())
}

/// Prints a line. A reader that has gone away (`| head`) is no error.
pub fn line(text: &str) {
    let _ = writeln!(stdout(), "{text}");
}

/// Prints rows under a header, the columns aligned: those in `right` to the right.
pub fn rows(header: &[&str], rows: &[Vec<String>], right: &[usize]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([header[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let format = |cells: &[String]| {
        let cells = cells.iter().enumerate().map(|(column, cell)| {
            let space = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
            if right.contains(&column) { format!("{space}{cell}") } else { format!("{cell}{space}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let header: Vec<String> = header.iter().map(|&name| name.to_owned()).collect();
    let title = format(&header);
    line(&if stdout().is_terminal() { format!("\x1b[1m{title}\x1b[0m") } else { title });
    rows.iter().for_each(|row| line(&format(row)));
}

/// A fraction as a bar of `width` characters, in eighths.
pub fn bar(fraction: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (fraction.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// A fraction in percent.
pub fn percent(fraction: f64) -> String {
    format!("{:.1} %", fraction * 100.0)
}
