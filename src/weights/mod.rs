//! Safetensors in and out, key names of each layout, the adapter file.
