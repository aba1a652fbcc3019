//! The `lowshot` command: a thin shell over [`lowshot::cli`].

fn main() {}
