//! Files that are no pictures.

use std::time::{Duration, Instant};

use crate::command::{Machine, each};
use crate::support::faults;

#[test]
fn every_broken_picture_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    each(faults::images(folder.path()), |fault| {
        let picture = fault.path.to_str().unwrap();
        fault.check(&machine.run(["classify", picture, "--classes", "river,forest"]).refused());
        fault.check(&machine.run(["embed", picture, "--out", "features.safetensors"]).refused());
        assert_eq!(machine.files().len(), 0, "{}: {:?}", fault.name, machine.files());
    });
}

/// Without a limit this picture's pixels would take 10.8 GB.
#[test]
fn a_huge_picture_is_refused_from_its_header() {
    let machine = Machine::new();
    std::fs::write(machine.path("huge.png"), faults::png(60_000, 60_000)).unwrap();
    let arguments = ["classify", "huge.png", "--classes", "river,forest"];
    let fastest = (0..3).map(|_| {
        let start = Instant::now();
        machine.run(arguments).refused_for(&["huge.png", "60000 × 60000", "megapixels"]);
        start.elapsed()
    });
    // Starting the program and loading the demo model take a part of it; the best of three bears a busy machine.
    let fastest = fastest.min().unwrap();
    assert!(fastest < Duration::from_secs(2), "{fastest:?}");
    #[cfg(target_os = "linux")]
    {
        use std::process::Command;
        let limited = "ulimit -v 4000000; exec \"$@\"";
        let program = machine.command();
        let mut command = Command::new("sh");
        command.args(["-c", limited, "sh"]).arg(program.get_program()).args(arguments).current_dir(machine.work());
        let output = command.env("LOWSHOT_CACHE", machine.cache()).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains("60000 × 60000"), "{message}");
    }
}
