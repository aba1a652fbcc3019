//! What a page or a run holds: a backbone and, on it, classes, photos and what was learnt from them.
//!
//! | file | what it is |
//! |---|---|
//! | [`backbone`] | a model ready for use |
//! | [`models`] | the models that have a name |
//! | [`session`] | a model, a person's classes and photos, what was learnt |
//! | [`ground`] | what all methods of a session stand on |
//! | [`options`] | what may be chosen about a method |
//! | [`folds`] | who is left out when |
//! | [`rung`] | a method judged and learnt, piece by piece |
//! | [`wanted`] | the pictures that training asks for |
//! | [`answering`] | a learnt method, and what it was found to be worth |
//! | [`calibration`] | probabilities that can be believed, and "not sure" |
//! | [`attention`] | where the image tower looked |

pub mod answering;
pub mod attention;
pub mod backbone;
pub mod calibration;
pub mod folds;
pub mod ground;
pub mod models;
pub mod options;
pub mod rung;
#[allow(clippy::module_inception, reason = "it is what the folder is about")]
pub mod session;
pub mod wanted;

pub use answering::{Answering, Kept, RungResult};
pub use backbone::Backbone;
pub use calibration::{Answer, Calibration, Unsure};
pub use folds::Folds;
pub use ground::{Class, Ground};
pub use options::RungOptions;
pub use rung::{Progress, Rung};
pub use session::Session;
pub use wanted::{PictureView, Wanted};
