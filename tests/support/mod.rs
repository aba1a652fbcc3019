//! What several integration tests share: seeded weights and pictures, expected features, checkpoints on disk in every
//! layout, and inputs that are wrong in every way.
//!
//! Each test crate compiles this whole module and uses a part of it, hence the permission for dead code.
#![allow(dead_code, unused_imports)]

pub mod faults;
pub mod folders;
pub mod photos;
pub mod pipeline;
pub mod reference;
pub mod seeded;
