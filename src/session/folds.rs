//! Which photos are left out together, so that each is judged by a model that has not learnt from it.

use crate::data::generator::ClassGenerator;

/// Examples divided into folds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folds {
    /// The fold of each example.
    of: Vec<usize>,
    count: usize,
}

impl Folds {
    /// Each example is a fold of its own.
    pub fn leave_one_out(examples: usize) -> Self {
        Self { of: (0..examples).collect(), count: examples }
    }

    /// `count` folds (at most one an example, at least one), in each as nearly as possible the same number of every class. `seed`
    /// draws who goes where.
    pub fn stratified(labels: &[usize], count: usize, seed: u64) -> Self {
        let count = count.clamp(1, labels.len().max(1));
        let mut of = vec![0; labels.len()];
        // Dealt like cards, class after class, so that the folds' sizes differ by one at most.
        let mut next = 0;
        for class in 0..labels.iter().map(|label| label + 1).max().unwrap_or(0) {
            let mut generator = ClassGenerator::new(seed, &format!("fold {class}"));
            let mut members: Vec<usize> = (0..labels.len()).filter(|&example| labels[example] == class).collect();
            for place in (1..members.len()).rev() {
                members.swap(place, generator.below(place + 1));
            }
            for example in members {
                of[example] = next;
                next = (next + 1) % count;
            }
        }
        Self { of, count }
    }

    /// How many folds.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether every example is alone.
    pub fn is_leave_one_out(&self) -> bool {
        self.count == self.of.len()
    }

    /// The examples that fold `fold` leaves out.
    pub fn left_out(&self, fold: usize) -> Vec<usize> {
        (0..self.of.len()).filter(|&example| self.of[example] == fold).collect()
    }

    /// The examples that are learnt from while fold `fold` is left out; with `None` all.
    pub fn learnt(&self, fold: Option<usize>) -> Vec<usize> {
        (0..self.of.len()).filter(|&example| Some(self.of[example]) != fold).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_left_out_once_and_classes_are_spread() {
        // 8, 8, 5 and 1 examples, mixed.
        let labels: Vec<usize> =
            (0..22).map(|i| if i == 21 { 3 } else { [0, 1, 2, 0, 1, 0, 1][i % 7].min(2) }).collect();
        for count in [1, 2, 3, 5, 22] {
            let folds = Folds::stratified(&labels, count, 7);
            let mut seen: Vec<usize> = (0..folds.count()).flat_map(|fold| folds.left_out(fold)).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..22).collect::<Vec<_>>());
            let sizes: Vec<usize> = (0..count).map(|fold| folds.left_out(fold).len()).collect();
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
            for class in 0..4 {
                let of_class = |fold| folds.left_out(fold).into_iter().filter(|&e| labels[e] == class).count();
                let counts: Vec<usize> = (0..count).map(of_class).collect();
                assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{class} {counts:?}");
            }
            for fold in 0..count {
                assert_eq!(folds.left_out(fold).len() + folds.learnt(Some(fold)).len(), 22);
            }
            assert_eq!(folds.learnt(None).len(), 22);
        }
        assert_ne!(Folds::stratified(&labels, 5, 1), Folds::stratified(&labels, 5, 2));
        assert_eq!(Folds::stratified(&labels, 5, 1), Folds::stratified(&labels, 5, 1));
    }

    #[test]
    fn no_more_folds_than_examples() {
        assert_eq!(Folds::stratified(&[0, 1], 5, 1).count(), 2);
        assert!(Folds::stratified(&[0, 1], 5, 1).is_leave_one_out());
        assert_eq!(Folds::leave_one_out(3).left_out(1), [1]);
    }
}
