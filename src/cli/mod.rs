//! The command line: one file a command. Raw flags become a resolved plan, which the rest of the crate runs.
//!
//! This is the only folder that prints: results on stdout, everything else on stderr.

mod augment;
mod bench;
mod classify;
mod convert;
mod demo;
mod device;
mod doctor;
mod embed;
mod eval;
mod fetch;
mod models;
mod picture;
mod progress;
mod report;
mod serve;
mod sweep;
mod table;
mod train;
mod tuning;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand, error::ErrorKind};
use include_dir::Dir;

use crate::Error;

/// Teach CLIP your own classes with a handful of photos.
#[derive(Parser)]
#[command(name = "lowshot", version, about, arg_required_else_help = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Demo),
    Classify(classify::Classify),
    Augment(Box<augment::Augment>),
    Convert(convert::Convert),
    Embed(embed::Embed),
    Train(Box<train::Train>),
    Eval(eval::Eval),
    Report(report::Report),
    Sweep(sweep::Sweep),
    Serve(serve::Serve),
    Fetch(fetch::Fetch),
    Models(models::Models),
    Bench(Box<bench::Bench>),
    Doctor(doctor::Doctor),
}

/// Runs the command line; returns the exit code: 0 done, 1 failed, 2 wrong usage or input,
/// 130 interrupted with a checkpoint. `page` is the page that the program holds, if it does.
pub fn main(arguments: impl IntoIterator<Item = OsString>, page: Option<&'static Dir<'static>>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let result = match arguments.command {
        Command::Demo(command) => command.run(),
        Command::Classify(command) => command.run(),
        Command::Augment(command) => command.run(),
        Command::Convert(command) => command.run(),
        Command::Embed(command) => command.run(),
        Command::Train(command) => command.run(),
        Command::Eval(command) => command.run(),
        Command::Report(command) => command.run(),
        Command::Sweep(command) => command.run(),
        Command::Serve(command) => command.run(page),
        Command::Fetch(command) => command.run(),
        Command::Models(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Doctor(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress::error(&error);
            ExitCode::from(match error {
                Error::Interrupted(_) => 130,
                _ if error.is_usage() => 2,
                _ => 1,
            })
        }
    }
}

/// Help and version as clap prints them; a wrong flag as one line.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
    }
    let text = error.render().to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or("wrong usage").trim_start_matches("error: ").to_owned();
    // "the following arguments were not provided:" is followed by the arguments themselves.
    let detail: Vec<&str> =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more")).collect();
    let message = [&[first.as_str()], detail.as_slice()].concat().join(" ");
    progress::error(&Error::Usage(format!("{message} (see 'lowshot --help')")));
    ExitCode::from(2)
}
