//! A process that dies at any moment leaves whole files, and the same command makes the rest.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::studio::{Generated, Studio};

/// Fails the test unless every picture that is there is whole.
fn check_whole(folder: &Generated) -> usize {
    let pictures = folder.pictures();
    for picture in &pictures {
        image::open(folder.0.join(picture)).unwrap_or_else(|error| panic!("{picture}: {error}"));
    }
    pictures.len()
}

#[test]
fn killed_at_any_moment_the_same_command_finishes_it() {
    let kills: u64 = std::env::var("LOWSHOT_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(5);
    let studio = Studio::new();
    let start = Instant::now();
    studio.augment("unbroken", "--batch 2").done();
    let whole = start.elapsed();
    let unbroken = studio.folder("unbroken");
    let mut some = 0;
    for kill in 0..kills {
        let out = format!("killed-{kill}");
        let folder = studio.folder(&out);
        // Killed twice, so that the second process begins with what the first has left.
        for part in [0.3, 0.6] {
            let mut command = studio.0.command();
            command.args(Studio::arguments(&out, "--batch 2")).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            // Fractions that fill the time evenly, whatever their number: multiples of the golden ratio.
            sleep(whole.mul_f64((kill as f64 * 0.618_033_988_75 + part).fract() * 0.9));
            child.kill().unwrap();
            child.wait().unwrap();
            let pictures = check_whole(&folder);
            some += usize::from(pictures > 0 && pictures < 60);
        }
        studio.augment(&out, "").done();
        folder.check_equal(&unbroken);
        let left = crate::command::files(&folder.0).into_iter().filter(|path| path.to_string_lossy().ends_with(".tmp"));
        assert_eq!(left.count(), 0, "half-written files stay");
        fs::remove_dir_all(&folder.0).unwrap();
    }
    println!("{} kills, {some} of them among the pictures", 2 * kills);
    assert!(some > 0, "no kill hit the work");
}

#[cfg(unix)]
#[test]
fn interrupting_ends_with_whole_files_and_exit_130() {
    let studio = Studio::new();
    studio.augment("unbroken", "").done();
    let mut command = studio.0.command();
    command.args(Studio::arguments("out", "")).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let folder = studio.folder("out");
    let start = Instant::now();
    while folder.pictures().is_empty() {
        assert!(child.try_wait().unwrap().is_none() && start.elapsed() < Duration::from_mins(2), "no picture");
        sleep(Duration::from_millis(1));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{message}");
    assert!(message.contains("of 60 pictures: the same command goes on from there"), "{message}");
    let pictures = check_whole(&folder);
    assert!(pictures < 60, "interrupted too late to mean anything");
    // What is there stands in the manifest, because it was not killed.
    assert_eq!(folder.lines().len(), pictures);
    studio.augment("out", "").done();
    folder.check_equal(&studio.folder("unbroken"));
}
