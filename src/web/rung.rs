//! A method judged and learnt, a slice of time a call: so that a Worker can answer between two slices, pause by not asking, and
//! stop by letting go.

use std::{cell::RefCell, rc::Rc};

use burn_flex::Flex;
use serde::Serialize;
use wasm_bindgen::prelude::*;

use super::{
    error::{Result, to_js},
    gpu::Gpu,
    session::{now, on_either, pictures},
};
use crate::{
    Error,
    session::{Answering, Progress, Rung as Core, RungResult},
    weights::training_file,
};

/// The same on either device.
pub(super) enum AnyRung {
    Cpu(Core<Flex, Flex>),
    Gpu(Core<Gpu, Flex>),
}

/// A learnt method on either device.
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
#[serde(tag = "kind", rename_all = "camelCase")]
enum Event {
    Steps { stage: &'static str, fold: usize, folds: usize, step: usize, steps: usize, losses: Vec<f32>, fraction: f32 },
    Pictures { wanted: Vec<Wanted>, losses: Vec<f32>, fraction: f32 },
    Done { result: RungResult, losses: Vec<f32> },
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
    /// Works for about so many milliseconds. After an event that wants pictures the next call brings them, in order, laid end to
    /// end. After "done" the session can choose the method.
    ///
    /// # Errors
    /// What the method cannot learn from, pictures that were not asked for, a device that fails.
    pub async fn next(&mut self, milliseconds: f64, pixels: Option<Vec<u8>>) -> Result<JsValue> {
        let inner = self.inner.as_mut().ok_or_else(over)?;
        let side = on_either!(AnyRung, inner, rung => rung.image_size());
        let mut brought = pixels.map(|pixels| pictures(pixels, side)).transpose()?;
        let start = now();
        let mut losses = Vec::new();
        loop {
            let progress = on_either!(AnyRung, inner, rung => rung.next(brought.take()).await?);
            let fraction = on_either!(AnyRung, inner, rung => rung.fraction());
            match progress {
                Progress::Step(step) => {
                    self.steps = (step.step, step.steps);
                    losses.push(step.loss);
                }
                Progress::Done => {}
                Progress::Pictures(wanted) => {
                    let view = |view| serde_json::to_string(&view).unwrap_or_default();
                    let wanted =
                        wanted.iter().map(|one| Wanted { example: one.example, view: view(one.view) }).collect();
                    return to_js(&Event::Pictures { wanted, losses, fraction });
                }
                Progress::Finished => return to_js(&Event::Done { result: self.finish()?, losses }),
            }
            if now() - start >= milliseconds {
                let (fold, folds) = on_either!(AnyRung, inner, rung => rung.fold());
                let stage = if fold < folds { "check" } else { "final" };
                let (step, steps) = self.steps;
                return to_js(&Event::Steps { stage, fold, folds, step, steps, losses, fraction });
            }
        }
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
