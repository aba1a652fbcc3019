//! Few-shot methods on features, one a file, behind one trait.
