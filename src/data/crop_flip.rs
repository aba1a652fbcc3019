//! Random resized crop and mirroring, the augmentation that CLIP's towers are trained with.
//!
//! The box is torchvision's `RandomResizedCrop.get_params`: an area uniform in `scale`, an aspect whose logarithm is uniform, up to
//! ten tries, and then the largest box in the middle whose aspect is allowed. Draws are keyed by (seed, step, index), so that what
//! happens to a picture does not depend on who computes it, in which order, or on what was drawn before: a training that goes on
//! after a kill draws what it would have drawn.

use rand::RngCore;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use crate::clip::{preprocess::View, resample::Crop};

/// How often a box is drawn before the middle is taken.
const TRIES: usize = 10;

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CropFlip {
    /// The box's part of the picture's area, least and most.
    pub scale: (f64, f64),
    /// Its width over its height, least and most.
    pub aspect: (f64, f64),
    /// How likely the picture is mirrored.
    pub flip: f64,
}

impl CropFlip {
    /// .08 to 1 of the area (Szegedy and others 2015; CLIP-LoRA's training).
    pub const TRAINING: Self = Self { scale: (0.08, 1.0), aspect: (3.0 / 4.0, 4.0 / 3.0), flip: 0.5 };
    /// .5 to 1 of the area, for support features (Meta-Adapter, Tip-Adapter).
    pub const SUPPORT: Self = Self { scale: (0.5, 1.0), ..Self::TRAINING };
}

impl CropFlip {
    /// What happens to the picture at place `index` of step `step`'s batch. `width` and `height` are the picture's, in pixels, and
    /// must not be 0.
    pub fn view(&self, seed: u64, step: u64, index: u64, (width, height): (u32, u32)) -> View {
        let key = [seed, step, index]
            .iter()
            .fold(Sha256::new_with_prefix("crop-flip"), |key, n| key.chain_update(n.to_le_bytes()));
        let mut random = ChaCha8Rng::from_seed(key.finalize().into());
        self.draw((width, height), &mut || uniform(&mut random))
    }

    /// The same by any source of uniform numbers in [0, 1). In each try one is drawn for the area, one for the aspect, and where the
    /// box fits one each for its row and column; the last one is for the mirroring.
    pub fn draw(&self, (width, height): (u32, u32), uniform: &mut impl FnMut() -> f64) -> View {
        let crop = self.tried((width, height), uniform).unwrap_or_else(|| self.middle((width, height)));
        View { crop, flip: uniform() < self.flip }
    }

    fn tried(&self, (width, height): (u32, u32), uniform: &mut impl FnMut() -> f64) -> Option<Crop> {
        let area = f64::from(width) * f64::from(height);
        let (least, most) = (self.aspect.0.ln(), self.aspect.1.ln());
        (0..TRIES).find_map(|_| {
            let target = area * (self.scale.0 + (self.scale.1 - self.scale.0) * uniform());
            let aspect = (least + (most - least) * uniform()).exp();
            // Python's round, which goes to the even number from the middle.
            let w = (target * aspect).sqrt().round_ties_even() as u32;
            let h = (target / aspect).sqrt().round_ties_even() as u32;
            if w == 0 || h == 0 || w > width || h > height {
                return None;
            }
            // One of the places from 0 to height − h, each equally likely.
            let mut place = |spare: u32| ((f64::from(spare) + 1.0) * uniform()) as u64;
            let top = place(height - h);
            Some(Crop { left: place(width - w), top, width: w, height: h })
        })
    }

    fn middle(&self, (width, height): (u32, u32)) -> Crop {
        let aspect = f64::from(width) / f64::from(height);
        let (w, h) = if aspect < self.aspect.0 {
            (width, (f64::from(width) / self.aspect.0).round_ties_even() as u32)
        } else if aspect > self.aspect.1 {
            ((f64::from(height) * self.aspect.1).round_ties_even() as u32, height)
        } else {
            (width, height)
        };
        let (w, h) = (w.clamp(1, width), h.clamp(1, height));
        Crop { left: ((width - w) / 2).into(), top: ((height - h) / 2).into(), width: w, height: h }
    }
}

/// The upper 53 bits of the next 64 as a fraction.
fn uniform(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_the_key_alone() {
        let view = |seed, step, index| CropFlip::TRAINING.view(seed, step, index, (640, 480));
        assert_eq!(view(1, 2, 3), view(1, 2, 3));
        let others = [view(2, 2, 3), view(1, 3, 3), view(1, 2, 4), view(2, 1, 3), view(1, 3, 2)];
        assert!(others.iter().all(|other| *other != view(1, 2, 3)));
    }

    #[test]
    fn boxes_lie_in_pictures_of_any_shape() {
        for size in [(1, 1), (1, 500), (500, 1), (3, 4000), (64, 64), (641, 479)] {
            for index in 0..500 {
                let Crop { left, top, width, height } = CropFlip::TRAINING.view(7, 0, index, size).crop;
                assert!(width > 0 && height > 0, "{size:?} {width} × {height}");
                assert!(
                    left + u64::from(width) <= size.0.into() && top + u64::from(height) <= size.1.into(),
                    "{size:?}"
                );
            }
        }
    }

    /// A strip allows no box, so the middle of it is taken: as wide as allowed.
    #[test]
    fn a_strip_gives_its_middle() {
        let crop = |size| CropFlip::SUPPORT.view(1, 0, 0, size).crop;
        assert_eq!(crop((3, 4000)), Crop { left: 0, top: 1998, width: 3, height: 4 });
        assert_eq!(crop((4000, 3)), Crop { left: 1998, top: 0, width: 4, height: 3 });
    }
}
