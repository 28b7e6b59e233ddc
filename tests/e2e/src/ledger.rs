//! What clients were told, in a file that nothing of what is done to the server can reach.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::fact::{Fact, News};
use crate::poll;

/// An append-only list of facts, in the order in which each device heard them.
pub struct Ledger {
    path: PathBuf,
    file: Mutex<BufWriter<File>>,
    acks: AtomicU64,
}

impl Ledger {
    /// An empty one in this folder.
    pub fn create(folder: &Path) -> Result<Ledger> {
        let path = folder.join("ledger");
        let file = File::create_new(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Ledger { path, file: Mutex::new(BufWriter::new(file)), acks: AtomicU64::new(0) })
    }

    /// Writes it down.
    pub fn note(&self, fact: &Fact) {
        if matches!(fact.news, News::Acked(..)) {
            self.acks.fetch_add(1, Ordering::Relaxed);
        }
        writeln!(self.file(), "{fact}").expect("memory takes the ledger");
    }

    /// Acks so far, repeated ones among them.
    pub fn acks(&self) -> u64 {
        self.acks.load(Ordering::Relaxed)
    }

    /// Waits until there are so many, for as long as they become more. A stall is an error.
    pub fn wait_for_acks(&self, wanted: u64, patience: Duration) -> Result<()> {
        let waited = poll::until_it_stalls(patience, &wanted, || self.acks().min(wanted));
        waited.map_err(|acks| anyhow!("stalled: {acks} acks instead of {wanted}, for {} s", patience.as_secs()))
    }

    /// A reading that has not begun.
    pub fn open(&self) -> Result<Reading<'_>> {
        let file = File::open(&self.path).context("cannot open the ledger")?;
        Ok(Reading { ledger: self, file: BufReader::new(file), torn: Vec::new(), facts: Vec::new() })
    }

    fn file(&self) -> std::sync::MutexGuard<'_, BufWriter<File>> {
        self.file.lock().expect("nobody panics while writing a line")
    }
}

/// What has been read of a ledger.
pub struct Reading<'a> {
    ledger: &'a Ledger,
    file: BufReader<File>,
    /// A line whose end is not written yet.
    torn: Vec<u8>,
    facts: Vec<Fact>,
}

impl Reading<'_> {
    /// Everything up to now.
    pub fn read_on(&mut self) -> Result<&[Fact]> {
        self.ledger.file().flush().context("cannot write the ledger")?;
        while self.file.read_until(b'\n', &mut self.torn).context("cannot read the ledger")? > 0 {
            let Some(line) = self.torn.strip_suffix(b"\n") else { break };
            let line = String::from_utf8_lossy(line);
            self.facts.push(line.parse().map_err(|_| anyhow!("the ledger has the line `{line}`"))?);
            self.torn.clear();
        }
        Ok(&self.facts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::DeviceIndex;
    use crate::scratch::Scratch;

    #[test]
    fn a_reading_goes_on_where_it_was() {
        let scratch = Scratch::on_disk("ledger").expect("a folder");
        let ledger = Ledger::create(scratch.path()).expect("a file");
        let mut reading = ledger.open().expect("a file");
        let facts = [0, 1, 2].map(|index| Fact { device: DeviceIndex(index), news: News::Opened });
        for count in 1..=facts.len() {
            ledger.note(&facts[count - 1]);
            assert_eq!(reading.read_on().expect("lines"), &facts[..count]);
        }
        // Half a line is what another reading may find, since a buffer is written out when it is full.
        ledger.file().write_all(b"3 ope").expect("memory");
        assert_eq!(reading.read_on().expect("lines").len(), 3);
        ledger.file().write_all(b"ned\n").expect("memory");
        assert_eq!(reading.read_on().expect("lines").len(), 4);
    }
}
