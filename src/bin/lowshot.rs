//! The `lowshot` command: a thin shell over [`lowshot::cli`].

use std::process::ExitCode;

use include_dir::Dir;

/// The built page. Here and not in the library, so that a change of the page links the program again and compiles nothing.
#[cfg(feature = "page")]
const PAGE: Option<&Dir<'_>> = {
    static FILES: Dir<'_> = include_dir::include_dir!("$CARGO_MANIFEST_DIR/dist");
    Some(&FILES)
};
#[cfg(not(feature = "page"))]
const PAGE: Option<&Dir<'_>> = None;

fn main() -> ExitCode {
    lowshot::cli::main(std::env::args_os(), PAGE)
}
