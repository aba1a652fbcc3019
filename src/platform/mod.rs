//! What differs between a machine and a browser.
