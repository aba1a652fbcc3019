//! The kernels on a tower that trains: the operations of `B`, recorded with their gradients.
//!
//! Each is one node of the graph instead of a dozen, keeps the least that its gradient needs, and asks for nothing by what
//! is frozen: a matrix has no gradient at all, and an operation none of whose inputs is tracked leaves no trace. So the graph
//! begins at the first layer that trains.

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::NoCheckpointing},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::tensor::{Tensor, TensorPrimitive, backend::Backend, ops::FloatTensor};

use super::{Activation, ClipBackend, Dropout, Precision, Storage};

/// A tensor of `B` from inside a graph.
fn inner<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

/// The reverse of [`inner`].
fn outer<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

/// `[batch, tokens, width]` → the sum of all rows `[width]`: the gradient by what was added to every row.
fn sum_rows<B: Backend>(gradient: Tensor<B, 3>) -> Tensor<B, 1> {
    let [batch, tokens, width] = gradient.dims();
    gradient.reshape([batch * tokens, width]).sum_dim(0).reshape([width])
}

/// `x · Wᵀ + bias + residual` by `x`, `bias` and `residual`.
#[derive(Debug)]
struct Affine;

impl<B: ClipBackend> Backward<B, 3> for Affine {
    type State = B::Matrix;

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = inner::<B, 3>(gradients.consume::<B>(&ops.node));
        let [x, bias, residual] = ops.parents;
        if let Some(bias) = bias {
            gradients.register::<B>(bias.id, outer(sum_rows(gradient.clone())));
        }
        if let Some(x) = x {
            gradients.register::<B>(x.id, outer(B::linear_backward(gradient.clone(), &ops.state)));
        }
        if let Some(residual) = residual {
            gradients.register::<B>(residual.id, outer(gradient));
        }
    }
}

/// `activation(x)` by `x`; the state is `x`.
#[derive(Debug)]
struct Activate;

impl<B: ClipBackend> Backward<B, 1> for Activate {
    type State = (Tensor<B, 3>, Activation);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = inner::<B, 3>(gradients.consume::<B>(&ops.node));
        let ([x], (before, activation)) = (ops.parents, ops.state);
        if let Some(x) = x {
            gradients.register::<B>(x.id, outer(B::activate_backward(before, activation, gradient)));
        }
    }
}

/// Layer normalisation by `x`, `gamma` and `beta`; the state is `x`, `gamma` and epsilon.
#[derive(Debug)]
struct Normalise;

impl<B: ClipBackend> Backward<B, 3> for Normalise {
    type State = (Tensor<B, 3>, Tensor<B, 1>, f64);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = inner::<B, 3>(gradients.consume::<B>(&ops.node));
        let ([x, gamma, beta], (input, weight, epsilon)) = (ops.parents, ops.state);
        if let Some(beta) = beta {
            gradients.register::<B>(beta.id, outer(sum_rows(gradient.clone())));
        }
        if let Some(gamma) = gamma {
            let normal =
                <B as ClipBackend>::layer_norm(input.clone(), &weight.ones_like(), &weight.zeros_like(), epsilon);
            gradients.register::<B>(gamma.id, outer(sum_rows(gradient.clone() * normal)));
        }
        if let Some(x) = x {
            gradients.register::<B>(x.id, outer(B::layer_norm_backward(input, &weight, epsilon, gradient)));
        }
    }
}

/// Attention by `qkv`, which is also the state, with the number of heads and whether it is causal.
#[derive(Debug)]
struct Attend;

impl<B: ClipBackend> Backward<B, 1> for Attend {
    type State = (Tensor<B, 3>, usize, bool);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = inner::<B, 3>(gradients.consume::<B>(&ops.node));
        let ([node], (qkv, heads, causal)) = (ops.parents, ops.state);
        if let Some(node) = node {
            let by_qkv = <B as ClipBackend>::attention_backward(qkv, heads, causal, gradient);
            gradients.register::<B>(node.id, outer(by_qkv));
        }
    }
}

/// `dropout(x) · downᵀ` by `x` and `down`, which are also the state. The mask is drawn again, not kept.
#[derive(Debug)]
struct Down;

impl<B: ClipBackend> Backward<B, 2> for Down {
    type State = (Tensor<B, 3>, Tensor<B, 2>, Dropout);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = inner::<B, 3>(gradients.consume::<B>(&ops.node));
        let ([x, down], (input, matrix, dropout)) = (ops.parents, ops.state);
        let (by_x, by_down) = B::low_rank_down_backward(&input, &matrix, &dropout, gradient);
        if let Some(x) = x {
            gradients.register::<B>(x.id, outer(by_x));
        }
        if let Some(down) = down {
            gradients.register::<B>(down.id, outer(by_down));
        }
    }
}

impl<B: ClipBackend> ClipBackend for Autodiff<B> {
    type Matrix = B::Matrix;

    fn computes_in(precision: Precision, device: &Self::Device) -> bool {
        B::computes_in(precision, device)
    }

    fn matrix(weight: Tensor<Self, 2>) -> Self::Matrix {
        B::matrix(weight.inner())
    }

    fn stores_in(storage: Storage) -> bool {
        B::stores_in(storage)
    }

    fn matrix_in(storage: Storage, weight: Tensor<Self, 2>) -> Self::Matrix {
        B::matrix_in(storage, weight.inner())
    }

    fn weight(matrix: &Self::Matrix) -> Tensor<Self, 2> {
        Tensor::from_inner(B::weight(matrix))
    }

    fn rows(matrix: &Self::Matrix, ids: &[u32]) -> Tensor<Self, 2> {
        Tensor::from_inner(B::rows(matrix, ids))
    }

    fn linear(
        x: Tensor<Self, 3>,
        matrix: &Self::Matrix,
        bias: Option<&Tensor<Self, 1>>,
        activation: Activation,
        residual: Option<Tensor<Self, 3>>,
    ) -> Tensor<Self, 3> {
        if activation != Activation::Identity {
            // What stands before the activation is needed again for its gradient.
            let before = <Self as ClipBackend>::linear(x, matrix, bias, Activation::Identity, None);
            let y = Self::activate(before, activation);
            return residual.map_or_else(|| y.clone(), |residual| residual + y.clone());
        }
        // Where there is none, a constant stands in its place in the graph.
        let constant = || Tensor::<Self, 1>::zeros([1], &x.device());
        let (bias_node, residual_node) =
            (bias.cloned().unwrap_or_else(constant), residual.clone().unwrap_or_else(|| constant().unsqueeze()));
        let nodes = [outer(x.clone()).node, outer(bias_node).node, outer(residual_node).node];
        let y = <B as ClipBackend>::linear(
            x.inner(),
            matrix,
            bias.cloned().map(Tensor::inner).as_ref(),
            activation,
            residual.map(Tensor::inner),
        );
        inner(match Backward::<B, 3>::prepare::<NoCheckpointing>(Affine, nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(matrix.clone(), outer(y)),
            OpsKind::UnTracked(prepared) => prepared.finish(outer(y)),
        })
    }

    fn layer_norm(
        x: Tensor<Self, 3>,
        gamma: &Tensor<Self, 1>,
        beta: &Tensor<Self, 1>,
        epsilon: f64,
    ) -> Tensor<Self, 3> {
        let nodes = [outer(x.clone()).node, outer(gamma.clone()).node, outer(beta.clone()).node];
        let (x, gamma, beta) = (x.inner(), gamma.clone().inner(), beta.clone().inner());
        let y = outer(<B as ClipBackend>::layer_norm(x.clone(), &gamma, &beta, epsilon));
        inner(match Backward::<B, 3>::prepare::<NoCheckpointing>(Normalise, nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((x, gamma, epsilon), y),
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        })
    }

    fn attention(qkv: Tensor<Self, 3>, heads: usize, causal: bool) -> Tensor<Self, 3> {
        let nodes = [outer(qkv.clone()).node];
        let qkv = qkv.inner();
        let y = outer(<B as ClipBackend>::attention(qkv.clone(), heads, causal));
        inner(match Backward::<B, 1>::prepare::<NoCheckpointing>(Attend, nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((qkv, heads, causal), y),
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        })
    }

    fn activate(x: Tensor<Self, 3>, activation: Activation) -> Tensor<Self, 3> {
        let nodes = [outer(x.clone()).node];
        let x = x.inner();
        let y = outer(B::activate(x.clone(), activation));
        inner(match Backward::<B, 1>::prepare::<NoCheckpointing>(Activate, nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((x, activation), y),
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        })
    }

    fn low_rank_down(x: &Tensor<Self, 3>, down: &Tensor<Self, 2>, dropout: &Dropout) -> Tensor<Self, 3> {
        let nodes = [outer(x.clone()).node, outer(down.clone()).node];
        let (x, down) = (x.clone().inner(), down.clone().inner());
        let y = outer(B::low_rank_down(&x, &down, dropout));
        inner(match Backward::<B, 2>::prepare::<NoCheckpointing>(Down, nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((x, down, dropout.clone()), y),
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        })
    }
}
