//! `lowshot report`: its numbers held to `SciPy`, its tables and its page to hostile and damaged run folders.

mod command_line;
mod damage;
mod features;
mod folders;
mod grid;
mod hostile;
mod statistics;
