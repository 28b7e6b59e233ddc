//! Cuts the power of a file system.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::c_source;
use crate::loop_mount::LoopMount;

/// EXT4_IOC_SHUTDOWN (linux/fs/ext4/ext4.h) with EXT4_GOING_FLAGS_NOLOGFLUSH: from now on nothing reaches the disk, and
/// what the journal holds in memory is lost.
const SOURCE: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
int main(int count, char **words) {
    unsigned int no_log_flush = 2;
    int fd = count == 2 ? open(words[1], O_RDONLY) : -1;
    if (fd >= 0 && ioctl(fd, 0x8004587d, &no_log_flush) == 0) return 0;
    perror("EXT4_IOC_SHUTDOWN");
    return 1;
}
"#;

/// See the file's head.
#[derive(Debug)]
pub struct PowerSwitch {
    program: PathBuf,
}

impl PowerSwitch {
    /// Compiles it in this folder.
    pub fn compile(folder: &Path) -> Result<PowerSwitch> {
        Ok(PowerSwitch { program: c_source::compile(folder, "power_switch", SOURCE, &[])? })
    }

    /// Cuts it. What is mounted there gives errors until it is mounted anew.
    pub fn cut(&self, disk: &LoopMount) -> Result<()> {
        let output = Command::new(&self.program).arg(disk.path()).output().context("cannot start the power switch")?;
        ensure!(output.status.success(), "the power switch: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }
}
