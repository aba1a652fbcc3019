//! Data sets in a table: CSV with a header `path,label` or `path,label,split`.

use std::collections::{BTreeMap, BTreeSet};

use super::folder::divided_by_seed;
use super::{Item, Split, quote, utf8, wrong};
use crate::Result;

/// Reads a table. `place` names the file in errors.
///
/// The columns may stand in any order and others are ignored. `label` is the name of the class; classes are numbered
/// in the byte order of their names. `split` is `train`, `val` (or `valid`, `validation`) or `test`; without that
/// column the images are divided as undivided folders are ([`folder`](super::folder)). Returns notes to show.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) with the line: no such columns, a row of another length, a path that leaves the
/// folder, an empty label, an unknown split; or what [`Split::new`] refuses.
pub fn from_csv(bytes: &[u8], place: &str) -> Result<(Split, Vec<String>)> {
    let text = utf8(bytes, place)?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let not_csv = |error: csv::Error| {
        let line = error.position().map_or(String::new(), |position| format!(" line {}", line_at(text, position)));
        wrong(format!("{place}{line}"), format!("not a CSV row: {}: one value a column", plain(&error)))
    };
    let header = reader.headers().map_err(not_csv)?.clone();
    let column = |name: &str| header.iter().position(|title| title.eq_ignore_ascii_case(name));
    let (Some(path), Some(label)) = (column("path"), column("label")) else {
        let titles = quote(&header.iter().collect::<Vec<_>>().join(","));
        return Err(wrong(place, format!("the first line is {titles}: make it path,label or path,label,split")));
    };
    let list = column("split");

    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(not_csv)?;
        let line = record.position().map_or(0, |position| line_at(text, position));
        let field = |index: usize| record.get(index).unwrap_or_default();
        let item = Item::new(field(path), 0, field(label)).map_err(|why| wrong(format!("{place} line {line}"), why))?;
        rows.push((item, line, list.map(|list| field(list).to_ascii_lowercase())));
    }
    let names: BTreeSet<String> = rows.iter().map(|(item, ..)| item.class.clone()).collect();
    let labels: BTreeMap<String, usize> = names.into_iter().zip(0..).collect();
    let (mut undivided, mut train, mut val, mut test) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (mut item, line, list) in rows {
        item.label = labels[&item.class];
        match list.as_deref() {
            None => undivided.push(item),
            Some("train") => train.push(item),
            Some("val" | "valid" | "validation") => val.push(item),
            Some("test") => test.push(item),
            Some(other) => {
                let why = format!("the split {} is unknown: write train, val or test", quote(other));
                return Err(wrong(format!("{place} line {line}"), why));
            }
        }
    }
    if list.is_some() {
        return Split::new(train, val, test, place);
    }
    let mut notes = Vec::new();
    // A repeated row must not put one image into two lists; which of the equal rows stays makes no difference.
    let rows = undivided.len();
    undivided.sort();
    undivided.dedup();
    if undivided.len() < rows {
        notes.push(format!("{place}: left out {} repeated rows", rows - undivided.len()));
    }
    let split = divided_by_seed(&undivided, place, &mut notes)?;
    Ok((split, notes))
}

/// The line of a row. The reader's own count stops before any empty lines above the row.
fn line_at(text: &str, position: &csv::Position) -> u64 {
    let ahead = text.bytes().skip(position.byte() as usize);
    let empty = ahead.take_while(|byte| matches!(byte, b'\r' | b'\n')).filter(|byte| *byte == b'\n');
    position.line() + empty.count() as u64
}

/// What the reader found, on one line and without the position, which the place already tells.
fn plain(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} values where the header has {expected_len}")
        }
        _ => error.to_string().replace('\n', " "),
    }
}
