//! Places that nothing can be written to. A place that cannot be had here is skipped, and the test log says why.
#![allow(clippy::print_stdout)]

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Fault;
use crate::support::folders;

/// A folder that nothing can be written into; none, with the reason printed, where this user may write anywhere.
pub fn read_only_folder(parent: &Path) -> Option<Fault> {
    let folder = folders::create(&parent.join("read-only"));
    let mut permissions = fs::metadata(&folder).expect("the new folder").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&folder, permissions).expect("the folder is ours");
    // Permissions do not stop root; Linux's /sys takes new entries from nobody.
    for candidate in [folder.as_path(), Path::new("/sys")] {
        match fs::create_dir(candidate.join("lowshot-probe")) {
            Ok(()) => fs::remove_dir(candidate.join("lowshot-probe")).expect("the probe is ours"),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let name = candidate.to_str().expect("a path in UTF-8");
                return Some(Fault::new("read-only folder", candidate, &[name, "permission"]));
            }
            Err(_) => {}
        }
    }
    println!("skipped: this user may write everywhere, so there is no read-only folder to try");
    None
}

/// A disk of 64 KiB, unmounted when dropped.
#[derive(Debug)]
pub struct FullDisk {
    folder: PathBuf,
}

impl FullDisk {
    /// Mounts the disk and fills all but a page of it; none, with the reason printed, where this user cannot mount.
    pub fn mount(parent: &Path) -> Option<Self> {
        let folder = folders::create(&parent.join("full-disk"));
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "lowshot-test"]).arg(&folder).output();
        match mount {
            Ok(output) if output.status.success() => {
                fs::write(folder.join("filler"), vec![1; 60 * 1024]).expect("room for the filler");
                Some(Self { folder })
            }
            Ok(output) => {
                println!("skipped: cannot mount a small disk: {}", String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(error) => {
                println!("skipped: cannot mount a small disk: {error}");
                None
            }
        }
    }

    /// The folder on that disk, to write a run or an adapter into.
    pub fn fault(&self) -> Fault {
        Fault::new("full disk", &self.folder, &[self.folder.to_str().expect("a path in UTF-8"), "space"])
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        // A failure here must not hide the test's own; the folder is below a temporary one.
        let _ = Command::new("umount").arg(&self.folder).status();
    }
}

/// The path of a file on which every write fails with "no space left" (Linux), for those who cannot mount.
pub fn full_file(parent: &Path) -> Option<Fault> {
    let full = Path::new("/dev/full");
    if File::open(full).is_err() {
        println!("skipped: this system has no /dev/full");
        return None;
    }
    #[cfg(unix)]
    {
        let link = parent.join("full.safetensors");
        std::os::unix::fs::symlink(full, &link).expect("a link");
        return Some(Fault::new("full file", &link, &["full.safetensors", "space"]));
    }
    #[allow(unreachable_code)]
    None
}
