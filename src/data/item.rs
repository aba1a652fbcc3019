//! One labelled image, and what its path and its class name must be like.

use std::collections::HashSet;

/// An image of a data set with its label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item {
    /// Where the image lies, relative to the data set's image folder, with `/` between the parts.
    pub path: String,
    /// The number of the class, `0..classes`.
    pub label: usize,
    /// The name of the class.
    pub class: String,
}

impl Item {
    /// Makes an item from what a file says.
    ///
    /// # Errors
    /// What is wrong with the path ([`relative_path`]) or the class name (empty, or with control characters). The
    /// caller knows the place and adds it.
    pub fn new(path: &str, label: usize, class: &str) -> Result<Self, String> {
        if class.trim().is_empty() {
            return Err(format!("the class name of {} is empty: give the class a name", super::quote(path)));
        }
        if class.chars().any(char::is_control) {
            let class = super::quote(class);
            return Err(format!("the class name {class} holds control characters: use letters, digits and spaces"));
        }
        Ok(Self { path: relative_path(path)?, label, class: class.to_owned() })
    }
}

/// Checks that `path` stays inside the data set's folder on every system, and brings it into one form: parts joined
/// by single `/`, no `.` parts.
///
/// A split file may come from anywhere, so a path that could lead to another file of this machine is refused, also
/// if only another system would read it so: absolute paths, `..`, drive letters, backslashes, control characters.
///
/// # Errors
/// What is wrong with the path and what to do.
pub fn relative_path(path: &str) -> Result<String, String> {
    let shown = super::quote(path);
    let refuse = |why: &str| Err(format!("the path {shown} {why}"));
    if path.chars().any(char::is_control) {
        return refuse("holds a NUL or another control character: rename the file");
    }
    if path.contains('\\') {
        return refuse("holds a backslash: write / between folders");
    }
    if path.starts_with('/') {
        return refuse("is absolute: make it relative to the image folder");
    }
    if matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic()) {
        return refuse("starts with a drive letter: make it relative to the image folder");
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return refuse("leaves the image folder by ..: move the image inside, or give a higher folder as the root");
    }
    if parts.is_empty() {
        return refuse("names no file: give the image's path");
    }
    Ok(parts.join("/"))
}

/// The items of each class, `classes` lists in all, in the order of `items`.
///
/// Labels must be below `classes`, which [`Split`](super::Split) guarantees for its own items; others are left out.
pub fn by_class(items: &[Item], classes: usize) -> Vec<Vec<&Item>> {
    let mut lists = vec![Vec::new(); classes];
    for item in items {
        if let Some(list) = lists.get_mut(item.label) {
            list.push(item);
        }
    }
    lists
}

/// Each image once, in the order of `items`: a path is one image, however often it was drawn.
pub fn distinct(items: &[Item]) -> impl Iterator<Item = &Item> {
    let mut seen = HashSet::new();
    items.iter().filter(move |item| seen.insert(&item.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_brought_into_one_form() {
        for (path, expected) in [
            ("a/b.jpg", "a/b.jpg"),
            ("./a//b.jpg", "a/b.jpg"),
            ("a/./b..c.jpg", "a/b..c.jpg"),
            ("Grüße/写真 1.png", "Grüße/写真 1.png"),
            ("…/x.jpg", "…/x.jpg"),
        ] {
            assert_eq!(relative_path(path).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn a_path_out_of_the_folder_is_refused() {
        for (path, word) in [
            ("/etc/passwd", "absolute"),
            ("../secret.jpg", ".."),
            ("a/../../secret.jpg", ".."),
            ("a/..", ".."),
            ("C:/x.jpg", "drive"),
            ("c:x.jpg", "drive"),
            ("..\\x.jpg", "backslash"),
            ("\\\\server\\share", "backslash"),
            ("a\0.jpg", "NUL"),
            ("a\n.jpg", "control"),
            ("", "no file"),
            ("./", "no file"),
        ] {
            let why = relative_path(path).unwrap_err();
            assert!(why.contains(word), "{path:?}: {why}");
            assert!(!why.contains(['\n', '\0']), "{why:?} is not one plain line");
        }
    }

    #[test]
    fn a_class_needs_a_name() {
        assert!(Item::new("a.jpg", 0, " ").unwrap_err().contains("empty"));
        assert!(Item::new("a.jpg", 0, "a\tb").unwrap_err().contains("control"));
    }
}
