//! No GPU: this module is the small one, for the CPU alone.

use burn_flex::{Flex, FlexDevice};

use crate::clip::Precision;

/// What towers would run on; as it is what they run on anyway, nothing is compiled twice for it.
pub type Gpu = Flex;

/// None.
pub const DEVICE: Option<FlexDevice> = None;

/// Refuses.
///
/// # Errors
/// Always.
#[allow(clippy::unused_async, reason = "the module for GPUs has the same signature")]
pub async fn start() -> Result<(), String> {
    Err("this module is for the CPU: load the one for GPUs".into())
}

/// Refuses.
///
/// # Errors
/// Always.
#[allow(clippy::unused_async, reason = "the module for GPUs has the same signature")]
pub async fn check(_precision: Precision) -> Result<(), String> {
    Err("this module is for the CPU: load the one for GPUs".into())
}
