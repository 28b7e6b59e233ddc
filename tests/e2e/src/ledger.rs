//! What clients were told, in a file that nothing of what is done to the server can reach.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, anyhow};

use crate::fact::{Fact, News};

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

    /// Everything up to now.
    pub fn read(&self) -> Result<Vec<Fact>> {
        self.file().flush().context("cannot write the ledger")?;
        let text = fs::read_to_string(&self.path).context("cannot read the ledger")?;
        // What is being written while it is read ends in the middle of a line.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| line.parse().map_err(|_| anyhow!("the ledger has the line `{line}`"))).collect()
    }

    fn file(&self) -> std::sync::MutexGuard<'_, BufWriter<File>> {
        self.file.lock().expect("nobody panics while writing a line")
    }
}
