//! The graph begins at the first layer that trains: what is below it leaves no trace.

use burn::{backend::Autodiff, tensor::Tensor};
use burn_flex::Flex;
use lowshot::clip::{
    attention::Attention,
    kernels::Dropout,
    low_rank::LowRank,
    vision::Vision,
    walk::{Place, Tower, Visitor},
};

use crate::problem::Problem;

/// Puts a branch that trains into the last block of the image tower.
struct Last;

impl Visitor<Autodiff<Flex>> for Last {
    fn attention(&mut self, _: &str, place: Place, attention: &mut Attention<Autodiff<Flex>>) {
        if place.tower == Tower::Vision && place.layer + 1 == place.layers {
            let width = attention.width();
            let leaf = |shape: [usize; 2]| Tensor::ones(shape, &Default::default()).require_grad();
            let group = (0, leaf([2, width]), leaf([width, 2]));
            attention.input_branch = Some(LowRank::new(&[group], 3, 1.0, Dropout::none(1)));
        }
    }
}

fn recorded<const D: usize>(tensor: &Tensor<Autodiff<Flex>, D>) -> bool {
    !tensor.clone().into_primitive().tensor().node.requirement.is_none()
}

#[test]
fn frozen_layers_are_not_recorded() {
    let problem = Problem::load("open-clip-vit");
    let mut clip = problem.clip.tracked();
    let pixels = Tensor::from_inner(problem.batch(false).pixels);
    assert!(!recorded(&clip.image_features(pixels.clone())), "a frozen image tower is recorded");
    assert!(!recorded(&clip.text_features(&problem.prompts)), "a frozen text tower is recorded");
    clip.walk(&mut Last);
    let Vision::Vit(vit) = &clip.vision else { unreachable!("the model has a vision transformer") };
    let first = vit.block(0, vit.embed(pixels));
    assert!(!recorded(&first), "a block below the first that trains is recorded");
    assert!(recorded(&vit.block(1, first)), "the block that trains is not recorded");

    let resnet = Problem::load("open-clip-resnet");
    let pixels = Tensor::from_inner(resnet.batch(false).pixels);
    assert!(!recorded(&resnet.clip.tracked().image_features(pixels)), "a frozen ResNet is recorded");
}
