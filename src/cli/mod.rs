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

use std::{
    ffi::OsString,
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};
use include_dir::Dir;

use crate::{
    Error, Result,
    platform::{
        fault::{self, Fault},
        join_pool,
    },
};

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
    let found = Arguments::command().try_get_matches_from(arguments).and_then(|matches| {
        let name = matches.subcommand_name().unwrap_or_default().to_owned();
        Ok((name, Arguments::from_arg_matches(&matches)?))
    });
    let (name, arguments) = match found {
        Ok(found) => found,
        Err(error) => return usage(&error),
    };
    join_pool();
    match guarded(&name, || run(arguments.command, page)) {
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

fn run(command: Command, page: Option<&'static Dir<'static>>) -> Result<()> {
    match command {
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
    }
}

/// Runs the command `name`; what panics is an error too. When a GPU has died, whatever came of it is a consequence, and what is told
/// is the cause.
fn guarded(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    fault::watch(|what| progress::note(&format!("lowshot: a bug: {what}")));
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    // A fault that is no panic comes back with a tensor that could not be read.
    let told = match &result {
        Ok(Err(Error::Failed(why))) => fault::recognise(why),
        _ => None,
    };
    match (fault::first().or(told), result) {
        (Some(fault), _) => {
            Err(Error::Failed(format!("the GPU is not usable any more: {fault}{}", advice(fault, name))))
        }
        (None, Ok(result)) => result,
        (None, Err(_)) => Err(Error::Failed(
            "stopped by the bug above; please report it with the command, and what RUST_BACKTRACE=1 adds".into(),
        )),
    }
}

/// What to do about a fault, by the flags that the command `name` has.
fn advice(fault: Fault, name: &str) -> String {
    let ways: &[(&str, &str)] = match fault {
        Fault::Memory(_) => &[
            ("batch_size", "a smaller --batch-size"),
            ("accumulate", "--accumulate"),
            ("checkpoint_blocks", "--checkpoint-blocks"),
            ("precision", "--precision f16"),
            ("device", "--device cpu"),
        ],
        Fault::Lost => &[("device", "the same command again, or --device cpu")],
    };
    let command = Arguments::command();
    let flags = command.find_subcommand(name).map(|command| command.get_arguments().map(clap::Arg::get_id));
    let flags: Vec<&str> = flags.into_iter().flatten().map(clap::Id::as_str).collect();
    let ways: Vec<&str> = ways.iter().filter(|(flag, _)| flags.contains(flag)).map(|(_, way)| *way).collect();
    if ways.is_empty() { String::new() } else { format!("; try {}", ways.join(", ")) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_dies_and_a_bug_are_each_a_line() {
        let told = |name: &str, message: &'static str| guarded(name, || panic!("{message}")).unwrap_err().to_string();
        let bug = told("train", "index out of bounds");
        assert!(bug.contains("bug") && bug.contains("RUST_BACKTRACE"), "{bug}");
        let memory = "called `Result::unwrap()` on an `Err` value: can't allocate buffer of size: 1073741824\n 0: x";
        let train = told("train", memory);
        for part in
            ["1024 MiB", "--batch-size", "--accumulate", "--checkpoint-blocks", "--precision f16", "--device cpu"]
        {
            assert!(train.contains(part), "{part} is not in: {train}");
        }
        // Only flags that the command has; and what follows of the first fault is none of its own.
        let classify = guarded("classify", || {
            std::thread::spawn(|| panic!("CUDA_ERROR_OUT_OF_MEMORY")).join().unwrap_err();
            Err(Error::Failed("the device could not return a tensor".into()))
        });
        let classify = classify.unwrap_err().to_string();
        assert!(classify.contains("memory does not suffice") && classify.contains("--precision f16"), "{classify}");
        assert!(!classify.contains("--batch-size") && !classify.contains('\n'), "{classify}");
        assert_eq!(guarded("doctor", || Ok(())).map_err(|why| why.to_string()), Ok(()));
        let _ = panic::take_hook();
    }
}
