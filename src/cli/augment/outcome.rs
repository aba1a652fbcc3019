//! What `lowshot augment` says at its end.

use std::path::PathBuf;

use serde_json::json;

use crate::{
    Result,
    augment::{
        manifest::Manifest,
        origin::{Entry, Kind},
        plan::Plan,
        survey::Counts,
    },
    cli::{progress, table},
};

/// What came of it.
#[derive(Default)]
pub(super) struct Outcome {
    /// What was found, by kind.
    pub(super) counts: Vec<(Kind, Counts)>,
    /// What was made.
    pub(super) made: Vec<(Kind, usize)>,
    /// What was dropped now.
    pub(super) dropped: Vec<Entry>,
    /// Images whose pictures another process makes.
    pub(super) elsewhere: usize,
    /// Where the contact sheet was written.
    pub(super) review: Option<PathBuf>,
}

impl Outcome {
    /// Prints it: results on stdout, and what is particular on stderr.
    pub(super) fn print(&self, as_json: bool, plan: &Plan, images: usize, manifest: &Manifest) -> Result<()> {
        let made = |kind| self.made.iter().find(|(other, _)| *other == kind).map_or(0, |(_, made)| *made);
        for Entry { record, dropped, .. } in &self.dropped {
            let similarity = dropped.as_ref().map_or(0.0, |dropped| dropped.similarity);
            progress::note(&format!("dropped: {}, similarity {similarity:.3}", record.picture));
        }
        if self.elsewhere > 0 {
            progress::note(&format!("left to other processes: the pictures of {} images", self.elsewhere));
        }
        if as_json {
            let kinds: serde_json::Map<String, serde_json::Value> = self
                .counts
                .iter()
                .map(|&(kind, counts)| {
                    let value = json!({"wanted": images * plan.per_image, "found": counts, "made": made(kind)});
                    (kind.folder().to_owned(), value)
                })
                .collect();
            let dropped = self.dropped.iter().map(|entry| {
                json!({"picture": entry.record.picture, "similarity": entry.dropped.as_ref().map(|dropped| dropped.similarity)})
            });
            return table::json(&json!({
                "images": images, "pictures": kinds, "dropped": dropped.collect::<Vec<_>>(), "elsewhere": self.elsewhere,
                "model": plan.model, "model_sha256": plan.model_sha256, "manifest": manifest.path(), "review": self.review,
            }));
        }
        let rows: Vec<Vec<String>> = self
            .counts
            .iter()
            .map(|&(kind, counts)| {
                let Counts { present, dropped, absent, different, damaged } = counts;
                let mut row = vec![kind.folder().to_owned(), (images * plan.per_image).to_string()];
                row.extend([present, dropped, absent, different, damaged, made(kind)].map(|count| count.to_string()));
                row
            })
            .collect();
        let header = ["pictures", "wanted", "found", "dropped", "missing", "other settings", "damaged", "made"];
        table::rows(&header, &rows, &[1, 2, 3, 4, 5, 6, 7]);
        if !self.dropped.is_empty() {
            table::line(&format!("{} dropped now; recorded in {}", self.dropped.len(), manifest.path().display()));
        }
        if let Some(review) = &self.review {
            progress::note(&format!("written to {}", review.display()));
        }
        Ok(())
    }
}
