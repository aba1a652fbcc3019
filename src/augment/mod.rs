//! Label-preserving and label-breaking pictures, made from a data set's training images by Stable Diffusion.
//!
//! For a training image `some/image.jpg` they are `label_preserving/some/image/K.png`, `label_breaking/some/image/K.png` and
//! `label_breaking_view/some/image/K.png`, K from 0 on, which is where [`experiment::augmented`](crate::experiment::augmented)
//! looks for them.
//!
//! | module | what it is |
//! |---|---|
//! | [`origin`] | all that decides a picture, and the line and the text that record it |
//! | [`plan`] | which pictures are wanted of which image, each with its seed and its prompt |
//! | [`picture`] | a picture's file: PNG with its record in it |
//! | [`manifest`] | the list of all records beside the pictures, which several processes add to |
//! | [`survey`] | what of the plan is there already |
//! | [`run`] | making what is missing, batch by batch |
//! | [`generator`] | what makes pictures of pictures |
//! | [`similarity`] | how well a picture still shows its class, and dropping those that do not |
//! | [`review`] | a page that shows the pictures beside their sources |
//!
//! A picture is a function of its source's bytes, the plan and the model: neither the order nor the batch nor the process in which
//! it is made is among them. So nothing here has to be undone when a process dies, and two that make the same picture write the same
//! bytes.

pub mod generator;
pub mod manifest;
pub mod origin;
pub mod picture;
pub mod plan;
pub mod review;
pub mod run;
pub mod similarity;
pub mod survey;
