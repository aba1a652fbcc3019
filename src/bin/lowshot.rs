//! The `lowshot` command: a thin shell over [`lowshot::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    lowshot::cli::main(std::env::args_os())
}
