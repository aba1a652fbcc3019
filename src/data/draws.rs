//! Which pictures a training step sees: a function of the seed and the step, so that nothing has to be remembered.

use serde::{Deserialize, Serialize};

use super::generator::ClassGenerator;

/// How a step's pictures are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Draw {
    /// Every picture once in a random order, then all again in another; batches go on over the seam.
    #[default]
    Shuffled,
    /// Each independently of the others.
    Replacement,
}

/// The batches of a training run.
#[derive(Clone, Debug)]
pub struct Draws {
    seed: u64,
    draw: Draw,
    pictures: usize,
    batch: usize,
}

/// The order in which an epoch sees the pictures.
#[derive(Default)]
struct Order {
    epoch: Option<usize>,
    pictures: Vec<usize>,
}

impl Draws {
    /// Batches of `batch` among `pictures`, neither of which is 0.
    pub fn new(draw: Draw, pictures: usize, batch: usize, seed: u64) -> Self {
        Self { seed, draw, pictures, batch }
    }

    /// The pictures of `step`, counted from 0.
    pub fn batch(&self, step: usize) -> Vec<usize> {
        self.drawn(step, &mut Order::default())
    }

    /// The pictures of step `first` and of each that follows, without end. An epoch's order is made once, and is all that is
    /// held.
    pub fn batches(&self, first: usize) -> impl Iterator<Item = Vec<usize>> + use<> {
        let (draws, mut order) = (self.clone(), Order::default());
        (first..).map(move |step| draws.drawn(step, &mut order))
    }

    fn drawn(&self, step: usize, order: &mut Order) -> Vec<usize> {
        match self.draw {
            Draw::Replacement => {
                let mut generator = ClassGenerator::new(self.seed, &format!("batch {step}"));
                (0..self.batch).map(|_| generator.below(self.pictures)).collect()
            }
            Draw::Shuffled => {
                let places = step * self.batch..(step + 1) * self.batch;
                places
                    .map(|place| {
                        let epoch = place / self.pictures;
                        if order.epoch != Some(epoch) {
                            *order = Order { epoch: Some(epoch), pictures: self.epoch(epoch) };
                        }
                        order.pictures[place % self.pictures]
                    })
                    .collect()
            }
        }
    }

    fn epoch(&self, epoch: usize) -> Vec<usize> {
        let mut generator = ClassGenerator::new(self.seed, &format!("epoch {epoch}"));
        let mut order: Vec<usize> = (0..self.pictures).collect();
        for place in (1..order.len()).rev() {
            order.swap(place, generator.below(place + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffled_batches_see_every_picture_equally_often_over_whole_epochs() {
        let draws = Draws::new(Draw::Shuffled, 10, 4, 7);
        let seen: Vec<usize> = (0..5).flat_map(|step| draws.batch(step)).collect();
        for epoch in seen.chunks(10) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(seen[..10], seen[10..]);
        assert_eq!(Draws::new(Draw::Shuffled, 2, 5, 7).batch(3).len(), 5);
    }

    #[test]
    fn a_batch_is_a_function_of_seed_and_step() {
        for draw in [Draw::Shuffled, Draw::Replacement] {
            let draws = Draws::new(draw, 160, 32, 1);
            assert_eq!(draws.batch(17), draws.clone().batch(17));
            let following: Vec<Vec<usize>> = draws.batches(3).take(20).collect();
            assert_eq!(following, (3..23).map(|step| draws.batch(step)).collect::<Vec<_>>());
            assert_ne!(draws.batch(17), draws.batch(18));
            assert_ne!(draws.batch(17), Draws::new(draw, 160, 32, 2).batch(17));
        }
        let repeated = Draws::new(Draw::Replacement, 3, 32, 1).batch(0);
        assert!((0..3).all(|picture| repeated.contains(&picture)));
    }
}
