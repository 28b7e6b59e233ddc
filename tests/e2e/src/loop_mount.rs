//! A file system of one's own in a file, which can be filled up.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cleanup::{Guard, Undo, made};
use crate::poll;
use crate::scratch::Scratch;
use crate::tool::{MKFS, MOUNT, UMOUNT};
use crate::verdict::{Failure, Verdict};

/// A process that was killed may hold the mount a moment longer.
const UNMOUNT_TIMEOUT: Duration = Duration::from_secs(10);

/// An ext4 on a loop device.
#[derive(Debug)]
pub struct LoopMount {
    image: PathBuf,
    point: PathBuf,
    mounted: Option<Guard>,
}

impl LoopMount {
    /// Makes it in this folder and mounts it. Skipped without root or loop devices, and only then.
    pub fn create(scratch: &Scratch, size_mib: u64) -> Verdict<LoopMount> {
        if !rustix::process::geteuid().is_root() {
            return Err(Failure::Skipped("mounting a file system takes root".to_owned()));
        }
        if !Path::new("/dev/loop-control").exists() {
            return Err(Failure::Skipped("this machine has no loop devices (/dev/loop-control)".to_owned()));
        }
        let (image, point) = (scratch.path().join("disk.image"), scratch.folder("disk")?);
        let file = File::create(&image).context("cannot make an image")?;
        file.set_len(size_mib << 20).context("cannot make an image")?;
        MKFS.run(&["-q", "-F", "-m", "0", &text(&image)])?;
        let mut mount = LoopMount { image, point, mounted: None };
        mount.mount()?;
        Ok(mount)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.point
    }

    /// Mounts it; after a cut the journal is replayed.
    pub fn mount(&mut self) -> Result<()> {
        ensure!(self.mounted.is_none(), "mounted twice");
        let mount = || MOUNT.run(&["-o", "loop", &text(&self.image), &text(&self.point)]);
        let ((), guard) = made(mount, |()| Undo::Unmount(self.point.clone()))?;
        self.mounted = Some(guard);
        Ok(())
    }

    /// Unmounts it. Nobody may have a file open there.
    pub fn unmount(&mut self) -> Result<()> {
        let guard = self.mounted.take().context("not mounted")?;
        let mut last = Ok(());
        let unmounted = poll::until(UNMOUNT_TIMEOUT, || {
            last = UMOUNT.run(&[&text(&self.point)]);
            last.is_ok().then_some(())
        });
        if unmounted.is_some() {
            guard.discharge();
        }
        last
    }

    /// Bytes that can still be written to it.
    pub fn free_bytes(&self) -> Result<u64> {
        let space = rustix::fs::statvfs(&self.point).context("cannot ask for free space")?;
        Ok(space.f_bavail * space.f_frsize)
    }

    /// Takes space until so much is left. Gives what [`LoopMount::release`] takes.
    pub fn fill(&self, name: &str, left_bytes: u64) -> Result<PathBuf> {
        let path = self.point.join(name);
        let file = File::create(&path).context("cannot make a file that takes space")?;
        let size = self.free_bytes()?.saturating_sub(left_bytes);
        let mut reserved = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size.max(1));
        // Metadata takes a little of it.
        for _ in 0..64 {
            if reserved.is_ok() {
                break;
            }
            let size = self.free_bytes()?.saturating_sub(left_bytes) * 9 / 10;
            reserved = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size.max(1));
        }
        reserved.context("cannot take space")?;
        Ok(path)
    }

    /// Gives space back.
    pub fn release(&self, filler: &Path) -> Result<()> {
        fs::remove_file(filler).context("cannot give space back")
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
