//! CUDA's kernels, compiled by NVIDIA's own compiler and executed on the processor, instruction by instruction (`ptx`): they compute what
//! the CPU's do. It needs what `hollow.rs` needs, and patience. How fast a GPU is, and what only its hardware does, no test here shows.

use std::{env, process::Command};

use super::{
    computing,
    hollow::{Driver, machine},
};

/// Of `computing` what does not take hours. Towers of every architecture, and a page's session in half precision, have so many shapes, of
/// each of which Burn tries a dozen kernels, that they take much longer.
const COMPUTED: [&str; 2] = ["computing::kernels", "computing::training"];

#[test]
fn what_cuda_computes_is_what_the_cpu_computes() {
    let Some((machine, surroundings)) = machine(Driver::Emulated, (8, 0)) else { return };
    let done = Command::new(env::current_exe().unwrap())
        .args(COMPUTED)
        .args(["--nocapture", "--test-threads=1"])
        .envs(surroundings)
        .env(computing::NEEDED, "1")
        .env("LOWSHOT_CACHE", machine.cache())
        // A measurement is one run then.
        .env("CUBECL_AUTOTUNE_LEVEL", "minimal")
        .output()
        .unwrap();
    let [told, said] = [done.stdout, done.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    println!("{told}\n{said}");
    assert!(done.status.success() && COMPUTED.iter().all(|tests| told.contains(&format!("test {tests}::"))));
}
