//! Prompt templates: sentences with `{}` where the class name goes.

use super::{quote, utf8, wrong};
use crate::Result;

/// The template of a data set that has none of its own (Radford et al., *Learning Transferable Visual Models From
/// Natural Language Supervision*, 2021, section 3.1.4).
pub const DEFAULT: &str = "a photo of a {}.";

/// The seven templates that CLIP's authors found to do best together on `ImageNet`, by forward selection among eighty
/// (the notebook *Prompt Engineering for `ImageNet`* in their repository). Known as `clip-7`.
pub const CLIP_7: [&str; 7] = [
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
];

/// The templates of a named ensemble: `clip-7` or `default`.
pub fn named(name: &str) -> Option<Vec<String>> {
    match name {
        "clip-7" => Some(CLIP_7.map(str::to_owned).to_vec()),
        "default" => Some(vec![DEFAULT.to_owned()]),
        _ => None,
    }
}

/// Reads a templates file: one a line, each with `{}` exactly once. Empty lines and lines that start with `#` do not
/// count. `place` names the file in errors.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) with the line, or where there is no template at all.
pub fn from_text(bytes: &[u8], place: &str) -> Result<Vec<String>> {
    let lines = utf8(bytes, place)?.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let checked = |(index, line): (usize, &str)| match check(line) {
        Ok(()) => Ok(line.to_owned()),
        Err(why) => Err(wrong(format!("{place} line {}", index + 1), why)),
    };
    let templates = lines.map(checked).collect::<Result<Vec<_>>>()?;
    if templates.is_empty() {
        return Err(wrong(place, format!("no template in it: write some, one a line, such as {DEFAULT}")));
    }
    Ok(templates)
}

/// Checks one template.
///
/// # Errors
/// What is wrong with it and what to do; the caller knows the place.
pub fn check(template: &str) -> Result<(), String> {
    match template.matches("{}").count() {
        1 => Ok(()),
        0 => Err(format!("the template {} has no {{}}: put it where the class name goes", quote(template))),
        count => Err(format!("the template {} has {{}} {count} times: keep one", quote(template))),
    }
}

/// The sentence of `class`: the template with the class name in the place of `{}`. Underscores become spaces, because
/// folders and files name classes with them and CLIP was taught with sentences.
pub fn prompt(template: &str, class: &str) -> String {
    template.replacen("{}", &class.replace('_', " "), 1)
}

/// The sentences of all classes under all templates: `[class][template]`.
pub fn prompts(templates: &[String], classes: &[String]) -> Vec<Vec<String>> {
    classes.iter().map(|class| templates.iter().map(|template| prompt(template, class)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_a_sentence() {
        assert_eq!(prompt("a photo of {}.", "tailed_frog"), "a photo of tailed frog.");
        assert_eq!(prompt("{} texture.", "{}"), "{} texture.");
        let sentences = prompts(&["{}!".into(), "a {}?".into()], &["cat".into(), "dog".into()]);
        assert_eq!(sentences, [["cat!", "a cat?"], ["dog!", "a dog?"]]);
    }

    #[test]
    fn every_known_template_is_sound() {
        let known = super::super::registry::KNOWN.iter().flat_map(|known| known.templates);
        for template in known.copied().chain(CLIP_7).chain([DEFAULT]) {
            assert_eq!(check(template), Ok(()));
        }
        assert_eq!(named("clip-7").map(|templates| templates.len()), Some(7));
        assert_eq!(named("clip-8"), None);
    }

    #[test]
    fn a_file_of_templates_is_read_line_by_line() {
        let templates = from_text("\u{feff}# mine\r\n\r\na {}.\r\nthe {}!\n".as_bytes(), "t.txt").unwrap();
        assert_eq!(templates, ["a {}.", "the {}!"]);
        for (text, expected) in [
            (&b"a {}.\n\na cat.\n"[..], "t.txt line 3: "),
            (b"{} and {}\n", "t.txt line 1: "),
            (b"# nothing\n\n", "t.txt: no template"),
            (b"a \xff {}", "t.txt: not UTF-8"),
        ] {
            let error = from_text(text, "t.txt").unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
