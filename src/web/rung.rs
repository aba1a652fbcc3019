//! A method judged and learnt, a slice of time a call: so that a Worker can answer between two slices, pause by not asking, and
//! stop by letting go.

use std::{cell::RefCell, rc::Rc};

use burn_flex::Flex;
use serde::Serialize;
use wasm_bindgen::prelude::*;

use super::{
    error::{Result, to_js},
    gpu::Gpu,
    session::on_either,
    values::{now, pictures},
};
use crate::{
    Error,
    session::{Answering, Progress, Rung as Core, RungResult},
    weights::training_file,
};

/// The same on either device.
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub(super) enum AnyRung {
    Cpu(Core<Flex, Flex>),
    Gpu(Core<Gpu, Flex>),
}

/// A learnt method on either device.
#[allow(clippy::large_enum_variant, reason = "there are a handful")]
pub(super) enum AnyAnswering {
    Cpu(Answering<Flex, Flex>),
    Gpu(Answering<Gpu, Flex>),
}

/// Where rungs leave what they learnt for their session to take.
pub(super) type Shelf = Rc<RefCell<Vec<AnyAnswering>>>;

/// A method being judged and learnt.
#[wasm_bindgen]
pub struct Rung {
    /// Nothing once it is done.
    inner: Option<AnyRung>,
    shelf: Shelf,
    steps: (usize, usize),
}

/// A picture that is needed.
#[derive(Serialize)]
struct Wanted {
    example: usize,
    view: String,
}

/// What a slice of time came to.
#[derive(Serialize)]
struct Slice {
    /// "check" while photos are left out, then "final".
    stage: &'static str,
    fold: usize,
    folds: usize,
    step: usize,
    steps: usize,
    losses: Vec<f32>,
    fraction: f32,
    /// What the next call has to bring.
    #[serde(skip_serializing_if = "Option::is_none")]
    wanted: Option<Vec<Wanted>>,
    /// Once everything is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<RungResult>,
}

impl Rung {
    pub(super) fn new(inner: AnyRung, shelf: Shelf) -> Self {
        Self { inner: Some(inner), shelf, steps: (0, 0) }
    }

    /// Puts what was learnt where the session finds it.
    fn finish(&mut self) -> Result<RungResult> {
        let (result, answering) = match self.inner.take().ok_or_else(over)? {
            AnyRung::Cpu(rung) => {
                let (result, answering) = rung.into_result()?;
                (result, AnyAnswering::Cpu(answering))
            }
            AnyRung::Gpu(rung) => {
                let (result, answering) = rung.into_result()?;
                (result, AnyAnswering::Gpu(answering))
            }
        };
        self.shelf.borrow_mut().push(answering);
        Ok(result)
    }
}

fn over() -> Error {
    Error::Usage("this rung is done: begin another".into())
}

#[wasm_bindgen]
impl Rung {
    /// Works for about so many milliseconds. After a slice that wants pictures the next call brings them, in order, laid end to
    /// end. After one with a result the session can choose the method.
    ///
    /// # Errors
    /// What the method cannot learn from, pictures that were not asked for, a device that fails.
    pub async fn next(&mut self, milliseconds: f64, pixels: Option<Vec<u8>>) -> Result<JsValue> {
        let inner = self.inner.as_mut().ok_or_else(over)?;
        let side = on_either!(AnyRung, inner, rung => rung.image_size());
        let mut brought = pixels.map(|pixels| pictures(pixels, side)).transpose()?;
        let start = now();
        let (mut losses, mut wanted, mut finished) = (Vec::new(), None, false);
        while wanted.is_none() && !finished {
            match on_either!(AnyRung, inner, rung => rung.next(brought.take()).await?) {
                Progress::Step(step) => {
                    self.steps = (step.step, step.steps);
                    losses.push(step.loss);
                }
                Progress::Done => {}
                Progress::Pictures(pictures) => {
                    let view = |view| serde_json::to_string(&view).unwrap_or_default();
                    let needed = pictures.iter().map(|one| Wanted { example: one.example, view: view(one.view) });
                    wanted = Some(needed.collect());
                }
                Progress::Finished => finished = true,
            }
            if now() - start >= milliseconds {
                break;
            }
        }
        let (fold, folds) = on_either!(AnyRung, inner, rung => rung.fold());
        let fraction = on_either!(AnyRung, inner, rung => rung.fraction());
        let stage = if fold < folds { "check" } else { "final" };
        let (step, steps) = self.steps;
        let result = if finished { Some(self.finish()?) } else { None };
        to_js(&Slice { stage, fold, folds, step, steps, losses, fraction, wanted, result })
    }

    /// Everything that the rest depends on, for `Session.begin`; nothing where starting again costs nothing, or where the last
    /// checkpoint is as good.
    ///
    /// # Errors
    /// The device fails.
    pub async fn checkpoint(&self) -> Result<Option<Vec<u8>>> {
        let Some(inner) = &self.inner else { return Ok(None) };
        on_either!(AnyRung, inner, rung => {
            let Some(state) = rung.state() else { return Ok(None) };
            Ok(Some(training_file::write(state, &rung.identity()).await?))
        })
    }
}
