//! A bit of a file that is not what was written.

use storage_log::{FileName, SimDisk};

/// See the file's head.
#[derive(Clone, Copy)]
pub(super) struct Rot {
    file: FileName,
    offset: u32,
    bit: u8,
    /// The byte as it is now.
    byte: u8,
}

impl Rot {
    /// Flips the bit.
    pub(super) fn begin(disk: &SimDisk, file: FileName, offset: u32, bit: u8) -> Rot {
        disk.flip_bit(file, offset, bit);
        let byte = byte_at(disk, file, offset).expect("there is something to rot");
        Rot { file, offset, bit, byte }
    }

    /// Flips it back. False: the file has been made anew.
    pub(super) fn end(self, disk: &SimDisk) -> bool {
        let is_there = byte_at(disk, self.file, self.offset) == Some(self.byte);
        if is_there {
            disk.flip_bit(self.file, self.offset, self.bit);
        }
        is_there
    }
}

fn byte_at(disk: &SimDisk, file: FileName, offset: u32) -> Option<u8> {
    disk.content(file)?.get(offset as usize).copied()
}
