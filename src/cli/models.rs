//! `lowshot models`: which models have a name, and which are on this machine.

use clap::Args;
use serde_json::json;

use super::table;
use crate::{Result, platform::models::snapshot, session::models::MODELS};

/// List the models that have a name, and which of them are on this machine.
#[derive(Args)]
pub struct Models {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Models {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let place = |repository: Option<&str>| match repository {
            None => Some("inside the package".to_owned()),
            Some(repository) => snapshot(repository).map(|folder| folder.display().to_string()),
        };
        if self.json {
            let models: Vec<_> = MODELS
                .iter()
                .map(|model| {
                    json!({"name": model.name, "repository": model.repository, "image": model.image,
                           "parameters": (f64::from(model.parameters) * 10.0).round() * 1e5, "about": model.about,
                           "place": place(model.repository)})
                })
                .collect();
            return table::json(&models);
        }
        let rows: Vec<Vec<String>> = MODELS
            .iter()
            .map(|model| {
                vec![
                    model.name.to_owned(),
                    format!("{:.1} M", model.parameters),
                    format!("{} px", model.image),
                    if place(model.repository).is_some() { "yes" } else { "no" }.to_owned(),
                    model.about.to_owned(),
                    model.repository.map_or_else(String::new, |_| format!("lowshot fetch {}", model.name)),
                ]
            })
            .collect();
        table::rows(&["name", "parameters", "input", "here", "what for", "get it with"], &rows, &[1, 2]);
        table::line(
            "\n--model also takes a folder (Hugging Face or OpenCLIP layout), a safetensors file, or a fetched repository as organisation/name.",
        );
        Ok(())
    }
}
