//! FGVC-Aircraft, whose split is five text files (Maji et al., *Fine-Grained Visual Classification of Aircraft*, 2013).

use std::collections::HashMap;

use super::{Item, Split, quote, utf8, wrong};
use crate::Result;

/// A text file: its bytes, and how to call it in errors.
pub type NamedBytes<'a> = (&'a [u8], &'a str);

/// Reads `variants.txt`, one class name a line in the order of the labels, and the three lists
/// `images_variant_{train,val,test}.txt`, whose lines are an image's number, a space and the name of its variant.
/// Image `1234567` is the file `1234567.jpg`. Returns notes to show.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) with the line: no name after the number, or an unknown variant.
pub fn from_lists(variants: NamedBytes<'_>, lists: [NamedBytes<'_>; 3]) -> Result<(Split, Vec<String>)> {
    let names = utf8(variants.0, variants.1)?.lines().map(str::trim).filter(|name| !name.is_empty());
    let labels: HashMap<&str, usize> = names.zip(0..).collect();
    let read = |(bytes, place): NamedBytes<'_>| -> Result<Vec<Item>> {
        let lines = utf8(bytes, place)?.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
        let item = |(index, line): (usize, &str)| {
            let item = match line.split_once(' ').map(|(number, name)| (number, name.trim())) {
                Some((number, name)) => match labels.get(name) {
                    Some(&label) => Item::new(&format!("{number}.jpg"), label, name),
                    None => Err(format!("{} is not in {}: correct one of the files", quote(name), variants.1)),
                },
                None => Err(format!("{} has no variant: write the image's number and its variant", quote(line))),
            };
            item.map_err(|why| wrong(format!("{place} line {}", index + 1), why))
        };
        lines.map(item).collect()
    };
    let [train, val, test] = lists;
    Split::new(read(train)?, read(val)?, read(test)?, variants.1)
}
