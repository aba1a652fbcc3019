//! What a method learns from: features of the classes' texts and of a few labelled images.

use burn::tensor::{DType, Int, Tensor, TensorData, backend::Backend};

use crate::{
    Error, Result,
    train::{metrics::check_labels, read},
};

/// How far a feature's length may be from 1: half precision rounds at 1e-3.
const LENGTH_TOLERANCE: f32 = 0.02;

/// Features with the class of each.
#[derive(Clone, Debug)]
pub struct Labelled<B: Backend> {
    /// Unit-length image features `[n, D]`.
    pub features: Tensor<B, 2>,
    /// The class of each row, from 0.
    pub labels: Vec<usize>,
}

/// What a method learns from. `C` classes, `D` the embedding's width. Features are unit-length; half precision is taken
/// and computed with in `f32`.
#[derive(Clone, Debug)]
pub struct FewShot<B: Backend> {
    /// Features of the classes' texts, the zero-shot weights `[C, D]`.
    pub text: Tensor<B, 2>,
    /// Features of the shots `[n, D]`.
    pub features: Tensor<B, 2>,
    /// The class of each shot, from 0; classes may have unequal numbers.
    pub labels: Vec<usize>,
    /// Images for choosing hyper-parameters, where the method chooses any.
    pub val: Option<Labelled<B>>,
    /// What similarities are multiplied by: 100 in the few-shot literature, or the checkpoint's own `logit_scale`.
    pub scale: f32,
}

impl<B: Backend> FewShot<B> {
    /// The number of classes `C`.
    pub fn classes(&self) -> usize {
        self.text.dims()[0]
    }

    /// The width `D` of the features.
    pub fn width(&self) -> usize {
        self.text.dims()[1]
    }

    /// The same in `f32`, with shapes and labels checked.
    pub(super) fn checked(&self) -> Result<Self> {
        if self.classes() == 0 {
            return Err(Error::Data { place: "text features".into(), why: "no classes: name at least one".into() });
        }
        check_scale(self.scale)?;
        check_width(&self.features, self.width())?;
        check_labels("shots", &self.labels, self.features.dims()[0], self.classes())?;
        let val = match &self.val {
            None => None,
            Some(val) => {
                check_width(&val.features, self.width())?;
                check_labels("validation images", &val.labels, val.features.dims()[0], self.classes())?;
                Some(Labelled { features: to_f32(val.features.clone()), labels: val.labels.clone() })
            }
        };
        Ok(Self {
            text: to_f32(self.text.clone()),
            features: to_f32(self.features.clone()),
            labels: self.labels.clone(),
            val,
            scale: self.scale,
        })
    }

    /// Refuses features that are not finite or not of unit length. Reads them back, so it is done once, before a fit.
    pub(super) async fn check_lengths(&self) -> Result<()> {
        // A length that is not a number is in no range.
        let allowed = 1.0 - LENGTH_TOLERANCE..=1.0 + LENGTH_TOLERANCE;
        let val = self.val.as_ref().map(|val| ("validation images", &val.features));
        for (place, features) in [("text features", &self.text), ("shots", &self.features)].into_iter().chain(val) {
            if features.dims()[0] == 0 {
                continue;
            }
            let squares = read(features.clone().powi_scalar(2).sum_dim(1)).await?;
            let wrong = squares.iter().position(|square| !allowed.contains(&square.sqrt()));
            if let Some(row) = wrong {
                let why = format!("row {row} has length {}, not 1: normalise the features", squares[row].sqrt());
                return Err(Error::Data { place: place.into(), why });
            }
        }
        Ok(())
    }

    /// Refuses a method that needs shots where there are none.
    pub(super) fn check_shots(&self) -> Result<()> {
        if self.labels.is_empty() {
            let why = "no images to learn from: give at least one, or use zero-shot".into();
            return Err(Error::Data { place: "shots".into(), why });
        }
        Ok(())
    }
}

/// Refuses a scale that similarities cannot be multiplied by.
pub(super) fn check_scale(scale: f32) -> Result<()> {
    if scale.is_finite() && scale > 0.0 {
        return Ok(());
    }
    Err(Error::Usage(format!("the logit scale is {scale}: give a positive number (100 is usual)")))
}

/// Refuses features `[n, width]` of another width.
pub(super) fn check_width<B: Backend>(features: &Tensor<B, 2>, width: usize) -> Result<()> {
    let found = features.dims()[1];
    if found == width {
        return Ok(());
    }
    let why = format!("width {found}, but the classes have {width}: use the same backbone for both");
    Err(Error::Data { place: "image features".into(), why })
}

/// The tensor in `f32`: adapters and optimisers compute there, whatever the towers use.
pub(super) fn to_f32<B: Backend>(tensor: Tensor<B, 2>) -> Tensor<B, 2> {
    tensor.cast(DType::F32)
}

/// A host matrix as a tensor `[rows, columns]` in `f32`.
pub(super) fn matrix<B: Backend>(values: Vec<f32>, shape: [usize; 2], device: &B::Device) -> Tensor<B, 2> {
    Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
}

/// Row numbers as a tensor, for `select`.
pub(super) fn indices<B: Backend>(rows: &[usize], device: &B::Device) -> Tensor<B, 1, Int> {
    let rows: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
    let n = rows.len();
    Tensor::from_data(TensorData::new(rows, [n]), device)
}
