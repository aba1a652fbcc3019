//! What methods on features need in memory, asked before a data set's worth of pictures is looked at for nothing.

use crate::{
    Error, Result,
    adapter::{Method, Recipe},
    data::Item,
    platform::native,
};

/// Fewer bytes than this are not worth a word.
const SENSIBLE: f64 = 2e9;

/// Says what learning on features from `train` and `val` images takes where that is much; `width` is that of the features.
///
/// # Errors
/// [`Error::Usage`] where it is more than the machine has free.
pub fn check(recipe: &Recipe, train: &[Item], val: &[Item], classes: usize, width: usize) -> Result<Option<String>> {
    let method = recipe.method();
    let needed = needed(method, train, val, classes, width);
    if needed < SENSIBLE {
        return Ok(None);
    }
    let (count, needed_gb) = (train.len(), needed / 1e9);
    let takes = format!("{method} on {count} images takes about {needed_gb:.0} GB of memory");
    let advice = "learn from fewer (--shots), or train through the towers (--enable_lora), which holds no features";
    match native::free_memory() {
        Some(free) if needed > free as f64 => {
            Err(Error::Usage(format!("{takes}, of which {:.0} GB are free: {advice}", free as f64 / 1e9)))
        }
        _ => Ok(Some(format!("{takes}; if that is too much, {advice}"))),
    }
}

/// An estimate of the bytes at the peak: the features, and the largest tables that the method makes of them.
fn needed(method: Method, train: &[Item], val: &[Item], classes: usize, width: usize) -> f64 {
    let [n, validated, classes, width] = [train.len(), val.len(), classes, width].map(|count| count as f64);
    let features = 4.0 * width * (n + validated);
    let tables = match method {
        Method::ZeroShot | Method::Tuning(_) => return 0.0,
        // How like each image that judges is to each in the cache, on the device and read back from it.
        Method::Tip => 2.0 * 4.0 * n * if val.is_empty() { n } else { validated },
        // The same of the images among themselves, and its gradient.
        Method::TipF => 2.0 * 4.0 * n * n.max(validated),
        // Each class's shots beside one another, as many places as the largest class needs, with their keys and the gradients.
        Method::Meta => 4.0 * 4.0 * width * classes * (largest(train, classes as usize) + 1) as f64,
        // In f64.
        Method::LinearProbe => 8.0 * width * n,
    };
    // Features are put together from their segments, and then put on the device.
    2.0 * features + tables + 4.0 * classes * (n + validated)
}

/// Images of the class that has the most.
fn largest(items: &[Item], classes: usize) -> usize {
    let mut counts = vec![0; classes];
    items.iter().for_each(|item| counts[item.label] += 1);
    counts.into_iter().max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(count: usize) -> Vec<Item> {
        (0..count).map(|index| Item::new(&format!("{index}.jpg"), index % 10, "class").unwrap()).collect()
    }

    /// What runs on all of `EuroSAT` with features of 256 numbers took beyond the program with its model.
    #[test]
    fn estimates_are_near_what_was_measured() {
        let (train, val) = (items(13_500), items(5_400));
        let measured = [
            (Method::Tip, 583e6),
            (Method::TipF, 1_530e6),
            (Method::Meta, 85e6),
            (Method::LinearProbe, 61e6),
            (Method::ZeroShot, 0.0),
        ];
        for (method, bytes) in measured {
            let estimate = needed(method, &train, &val, 10, 256);
            assert!((0.8 * bytes..=1.3 * bytes).contains(&estimate), "{method}: {estimate} for {bytes}");
        }
    }

    #[test]
    fn what_is_too_much_is_said_in_a_line() {
        let check = |count: usize| {
            let train = items(count);
            super::check(&Recipe::from(Method::Tip), &train, &train[..count / 2], 10, 512)
        };
        assert_eq!(check(1_000).unwrap(), None);
        // 30,000 · 15,000 likenesses, twice.
        let note = check(30_000).map_or_else(|error| error.to_string(), Option::unwrap_or_default);
        assert!(note.contains("tip on 30000 images takes about 4 GB") && note.contains("--enable_lora"), "{note}");
        assert!(!note.contains('\n'), "{note}");
    }
}
