//! What training minimises.

use burn::tensor::{DType, Tensor, TensorData, activation::log_softmax, backend::Backend};

/// Labels as rows of zeros with a single one: `[n, classes]`, `f32`. Every label must be below `classes`.
pub fn one_hot<B: Backend>(labels: &[usize], classes: usize, device: &B::Device) -> Tensor<B, 2> {
    let mut rows = vec![0f32; labels.len() * classes];
    for (row, &label) in labels.iter().enumerate() {
        rows[row * classes + label] = 1.0;
    }
    Tensor::from_data(TensorData::new(rows, [labels.len(), classes]), (device, DType::F32))
}

/// Mean cross-entropy of `logits` `[n, classes]` against one-hot `targets` `[n, classes]`: one number, in nats.
///
/// A product with the targets instead of a gather, whose gradient is a scatter-add: on a GPU that may add in any order,
/// and a run must give the same bits again.
pub fn cross_entropy<B: Backend>(logits: Tensor<B, 2>, targets: Tensor<B, 2>) -> Tensor<B, 1> {
    let rows = logits.dims()[0].max(1) as f32;
    (log_softmax(logits, 1) * targets).sum_dim(1).sum().neg().div_scalar(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Flex;

    #[test]
    fn cross_entropy_is_the_mean_of_the_negative_log_probabilities() {
        let device = burn::backend::flex::FlexDevice;
        // Probabilities .25/.75 and .5/.5 by hand: logits ln 1, ln 3 and equal ones.
        let logits = Tensor::<Flex, 2>::from_data([[0.0, 3f32.ln()], [5.0, 5.0]], &device);
        let loss = cross_entropy(logits, one_hot(&[0, 1], 2, &device));
        let expected = 4f32.ln().midpoint(2f32.ln());
        assert!((loss.into_scalar() - expected).abs() < 1e-6);
    }
}
