//! Making what is missing.
//!
//! Processes that share a folder claim images, so that no two make the same pictures; were it to happen all the same, both would write
//! the same bytes. A picture is written whole, and then its entry is appended to the manifest. A process that is killed in between has
//! lost nothing: the picture itself says what it is ([`super::survey`]).

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rayon::prelude::*;

use super::{
    generator::{Generator, Request},
    origin::{Entry, Kind, Record},
    picture,
    plan::{self, Plan},
    survey::{Image, Shelf, State, Survey},
};
use crate::{
    Error, Result,
    data::decode::decode,
    experiment::{
        Event, Observer,
        sweep::claims::{Attempt, Claims},
    },
    hash,
    platform::{interrupt, native},
};

/// What is made of what.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// What is wanted.
    pub plan: &'a Plan,
    /// The folder of the training images.
    pub root: &'a Path,
    /// The training images.
    pub images: &'a [Image],
    /// Pictures that are made together.
    pub batch: usize,
}

/// What became of it.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Pictures made by this process, by kind.
    pub made: Vec<(Kind, usize)>,
    /// Images whose pictures another living process makes.
    pub elsewhere: usize,
}

/// Makes every picture that `survey` found open and that no other process makes meanwhile.
///
/// # Errors
/// A picture that cannot be read, the folder that cannot be written, a device that fails; [`Error::Interrupted`].
pub fn run(
    job: &Job<'_>,
    shelf: &mut Shelf,
    survey: &Survey,
    claims: &Claims,
    generator: &mut dyn Generator,
    observer: &mut dyn Observer,
) -> Result<Summary> {
    interrupt::listen();
    if !claims.work {
        let why = "does not lock files, so what runs at the same time must be disjoint shards (--shard)";
        observer.observe(&Event::note(format!("{} {why}", shelf.folder.display())));
    }
    let pace = Pace { steps_left: survey.steps.iter().sum(), total: survey.open(), ..Pace::default() };
    let made = job.plan.kinds.iter().map(|&(kind, _)| (kind, 0)).collect();
    let mut making = Making { job, shelf, generator, observer, pace, made, sweeps: claims.work };
    let mut open: Vec<usize> = (0..job.images.len()).filter(|&index| survey.steps[index] > 0).collect();
    // Before hours of work, not at the first that cannot be read.
    let readable = |&index: &usize| {
        let path = job.root.join(&job.images[index].item.path);
        decode(&native::read(&path)?, &path.display().to_string()).map(drop)
    };
    open.par_iter().try_for_each(readable)?;
    loop {
        let before = open.len();
        let mut left = Vec::new();
        let mut queue = open.into_iter().peekable();
        while queue.peek().is_some() {
            let mut held = Vec::new();
            while held.len() < job.batch {
                let Some(index) = queue.next() else { break };
                match claims.attempt(&claim_name(&job.images[index]))? {
                    Attempt::Ours(claim) => held.push((index, claim)),
                    Attempt::Elsewhere(_) => left.push(index),
                }
            }
            let together: Vec<(&Image, usize)> =
                held.iter().map(|&(index, _)| (&job.images[index], survey.steps[index])).collect();
            making.make(&together)?;
        }
        open = left;
        // What others had claimed is looked at again, for as long as this process has found work meanwhile: they may have died.
        if open.is_empty() || open.len() == before {
            return Ok(Summary { made: making.made, elsewhere: open.len() });
        }
    }
}

/// An image's claim; its path may be longer than a file's name can be.
fn claim_name(image: &Image) -> String {
    hash::sha256(&image.item.path)[..24].to_owned()
}

/// Pictures under way.
struct Making<'a, 'b> {
    job: &'a Job<'a>,
    shelf: &'a mut Shelf,
    generator: &'a mut dyn Generator,
    observer: &'b mut dyn Observer,
    pace: Pace,
    made: Vec<(Kind, usize)>,
    /// Whether claims exclude other processes, so that what is half-written in an image's folders is from a dead one.
    sweeps: bool,
}

impl Making<'_, '_> {
    /// Makes what is open of some images, each with the denoising steps that were thought to be left.
    fn make(&mut self, images: &[(&Image, usize)]) -> Result<()> {
        let plan = self.job.plan;
        let planned: usize = images.iter().map(|(_, steps)| steps).sum();
        let after = self.pace.steps_left.saturating_sub(planned);
        for &(kind, strength) in &plan.kinds {
            let mut open = Vec::new();
            let mut found = Vec::new();
            for (image, _) in images {
                if self.sweeps {
                    native::sweep(&self.shelf.folder.join(plan::folder(kind, &image.item)));
                }
                for index in 0..plan.per_image {
                    let Some(record) = self.shelf.wanted(plan, image, (kind, strength), index) else { continue };
                    match self.shelf.look(&record)? {
                        State::Unlisted(entry) => found.push(*entry),
                        state if state.is_open() => open.push(record),
                        _ => {}
                    }
                }
            }
            // Another process made these after this one had looked.
            self.pace.total -= found.len().min(self.pace.total);
            self.shelf.add(found)?;
            for batch in open.chunks(self.job.batch) {
                self.make_batch((kind, strength), batch)?;
            }
        }
        // What was found to be there after all need not be waited for.
        self.pace.steps_left = after;
        Ok(())
    }

    fn make_batch(&mut self, (kind, strength): (Kind, f64), batch: &[Record]) -> Result<()> {
        if interrupt::asked() {
            return Err(self.pace.interrupted());
        }
        self.pace.begin(batch.len() * self.job.plan.taken(strength));
        let folder = if kind == Kind::LabelBreakingView { self.shelf.folder.as_path() } else { self.job.root };
        let requests = batch.par_iter().map(|record| request(folder, record)).collect::<Result<Vec<_>>>()?;
        let (pace, observer) = (&mut self.pace, &mut *self.observer);
        let mut step = || {
            pace.step(batch.len());
            observer.observe(&pace.event());
            if interrupt::asked() { Err(pace.interrupted()) } else { Ok(()) }
        };
        let pictures = self.generator.generate(&requests, self.job.plan, strength, &mut step)?;
        let file = |(picture, record)| picture::encode(picture, record);
        let files = pictures.par_iter().zip(batch).map(file).collect::<Result<Vec<_>>>()?;
        let mut entries = Vec::new();
        for (bytes, record) in files.iter().zip(batch) {
            native::write(&self.shelf.folder.join(&record.picture), bytes)?;
            entries.push(Entry { record: record.clone(), sha256: hash::sha256(bytes), dropped: None });
        }
        self.shelf.add(entries)?;
        self.pace.end(batch.len());
        self.observer.observe(&self.pace.event());
        if let Some((_, made)) = self.made.iter_mut().find(|(other, _)| *other == kind) {
            *made += batch.len();
        }
        Ok(())
    }
}

/// What the generator is asked for, for a picture whose source lies in `folder`.
fn request(folder: &Path, record: &Record) -> Result<Request> {
    let origin = &record.origin;
    let path = folder.join(&origin.source);
    let source = decode(&native::read(&path)?, &path.display().to_string())?;
    Ok(Request { source, prompt: origin.prompt.clone(), seed: origin.seed })
}

/// How far it is, and how long the rest will take by what was really made so far. What was there before does not count.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    /// Pictures made, and to be made in all.
    done: usize,
    total: usize,
    /// Denoising steps of whole pictures, of the present batch so far, and of that in all. Pictures take time by their steps.
    steps: usize,
    steps_of_batch: usize,
    batch: usize,
    /// Those still to be done, without the present batch's.
    steps_left: usize,
    since: Option<Instant>,
}

impl Pace {
    /// A batch that takes so many steps begins.
    fn begin(&mut self, steps: usize) {
        self.since.get_or_insert_with(Instant::now);
        (self.batch, self.steps_of_batch) = (steps, 0);
        self.steps_left = self.steps_left.saturating_sub(steps);
    }

    /// Steps were done. Some schedulers take one or two more than strength and steps say.
    fn step(&mut self, steps: usize) {
        self.steps_of_batch = (self.steps_of_batch + steps).min(self.batch);
    }

    /// The batch is finished and written.
    fn end(&mut self, pictures: usize) {
        self.done += pictures;
        self.steps += self.batch;
        (self.batch, self.steps_of_batch) = (0, 0);
    }

    fn interrupted(&self) -> Error {
        let (done, total) = (self.done, self.total);
        let advice = "the same command goes on from there";
        Error::Interrupted(format!("interrupted after {done} of {total} pictures: {advice}"))
    }

    fn event(&self) -> Event {
        let spent = self.since.map_or(Duration::ZERO, |since| since.elapsed());
        Event::Generating {
            done: self.done,
            total: self.total.max(self.done),
            seconds_left: self.seconds_left(spent.as_secs_f64()),
        }
    }

    /// How long the rest will take, when what was done took `spent` seconds.
    fn seconds_left(&self, spent: f64) -> Option<f64> {
        let done = self.steps + self.steps_of_batch;
        let left = self.steps_left + self.batch - self.steps_of_batch;
        (done > 0).then(|| spent * left as f64 / done as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_estimated_by_the_steps_that_were_done() {
        // Two pictures of 15 steps and two of 30 are missing, whatever was there before.
        let mut pace = Pace { steps_left: 90, total: 4, ..Pace::default() };
        assert_eq!(pace.seconds_left(0.0), None);
        pace.begin(30);
        for _ in 0..15 {
            pace.step(2);
        }
        // As many as the strength says, although a scheduler took one more.
        pace.step(2);
        assert_eq!(pace.seconds_left(10.0), Some(20.0));
        pace.end(2);
        assert_eq!(pace.seconds_left(12.0), Some(24.0));
        pace.begin(60);
        pace.step(2);
        assert_eq!(pace.seconds_left(16.0), Some(29.0));
        (0..29).for_each(|_| pace.step(2));
        pace.end(2);
        assert_eq!((pace.done, pace.seconds_left(30.0)), (4, Some(0.0)));
    }
}
