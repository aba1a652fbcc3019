//! One file a command; the only folder that prints.
