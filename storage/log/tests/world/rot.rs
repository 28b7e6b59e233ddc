//! Rot: what has lain on the disk for long changes by a bit.

use storage_log::{Damage, Disk, FileName, OpenError, Place, Purpose};

use super::{Broken, World, ensure};

impl<D: Disk> World<D> {
    /// A bit rots below what the log says is proved durable: reading and opening must both say so.
    pub(super) fn rot(&mut self) -> Result<(), Broken> {
        self.drain()?;
        let log = self.log.as_ref().expect("a process runs");
        let sealed_through = log.sealed_through();
        let is_sealed = |place: &Place| {
            (place.segment, place.offset + place.length) < (sealed_through.segment, sealed_through.offset)
        };
        let sealed_count = self.history.partition_point(|append| append.places.iter().all(is_sealed));
        if sealed_count == 0 {
            return Ok(());
        }
        let index = self.random.below(sealed_count as u64) as usize;
        let place = self.history[index].places[0];
        let offset = place.offset + self.random.below(place.length.into()) as u32;
        let bit = self.random.below(8) as u8;
        let file = FileName::Segment(place.segment);
        self.lose_process();
        self.disk.flip_bit(file, offset, bit);
        match self.recover(Purpose::Open, u64::MAX) {
            Err(OpenError::Corrupt(corruption)) => {
                ensure!(corruption.file == file, "the damage in {file} was looked for in {}", corruption.file);
                ensure!(corruption.offset <= offset, "the damage was reported behind its place");
                ensure!(matches!(corruption.damage, Damage::SyncedBatch { .. }), "{corruption}");
                self.counts.rot_reported += 1;
            }
            Err(error) => return Err(Broken(format!("rot was taken for something else: {error}"))),
            Ok(_) => return Err(Broken("a log with a rotten acked record was opened".into())),
        }
        self.disk.flip_bit(file, offset, bit);
        self.restart()?;
        self.disk.flip_bit(file, offset, bit);
        self.read_record(index, true);
        while !self.reads.is_empty() {
            self.turn()?;
        }
        self.disk.flip_bit(file, offset, bit);
        Ok(())
    }
}
