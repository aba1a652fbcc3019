//! CUDA's kernels, compiled by NVIDIA's own compiler and executed on the processor, instruction by instruction (`ptx`): they compute what
//! the CPU's do. It needs what `hollow.rs` needs, and some minutes. How fast a GPU is, and what only its hardware does, no test here shows.

use std::{env, process::Command};

use super::{
    computing,
    hollow::{Driver, machine},
};

/// Not yet all of `computing`: towers and training take too long for the emulator, and of Burn's own products of matrices, which it tries in many
/// forms, at least one comes out wrong there for sizes that are no multiples of four, which attention and linear layers leave to it. Whose fault that
/// is, is not known.
const COMPUTED: [&str; 3] = [
    "computing::kernels::layer_norm_and_its_gradient",
    "computing::kernels::what_is_not_a_number_is_passed_on_and_spoils_nobody_else",
    "computing::training::dropout_drops_on_the_gpu_what_it_drops_on_the_cpu",
];

#[test]
fn what_cuda_computes_is_what_the_cpu_computes() {
    let Some((machine, surroundings)) = machine(Driver::Emulated, (8, 0)) else { return };
    let done = Command::new(env::current_exe().unwrap())
        .args(COMPUTED)
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .envs(surroundings)
        .env(computing::NEEDED, "1")
        .env("LOWSHOT_CACHE", machine.cache())
        // A measurement is one run then.
        .env("CUBECL_AUTOTUNE_LEVEL", "minimal")
        .output()
        .unwrap();
    let [told, said] = [done.stdout, done.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    println!("{told}\n{said}");
    assert!(done.status.success() && told.contains(&format!("{} passed", COMPUTED.len())));
}
