//! The feature `page` puts the built page into the program, so the page must have been built.

use std::{env, path::Path};

fn main() {
    // Nothing else: the program's own list of dependencies has every file of the page, and the library is not compiled again
    // when one changes.
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_PAGE").is_some() && !Path::new("dist/index.html").exists() {
        println!("cargo::error=the feature `page` needs the built page in the folder dist: run `npm run build` first");
    }
}
