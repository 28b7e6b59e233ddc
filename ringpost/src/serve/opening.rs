//! What a person sees while the store is being opened.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use router_server::OpeningProgress;

/// A start that is quicker than this shows no progress.
const QUIET: Duration = Duration::from_millis(500);

/// How far the store is, on a terminal in place and elsewhere now and then.
pub(super) struct Progress {
    shown: Instant,
}

impl Default for Progress {
    fn default() -> Self {
        Progress { shown: Instant::now() }
    }
}

impl Progress {
    pub(super) fn show(&mut self, progress: &OpeningProgress) {
        if self.shown.elapsed() < QUIET {
            return;
        }
        self.shown = Instant::now();
        let end = if std::io::stderr().is_terminal() { "\r" } else { "\n" };
        let OpeningProgress { records_read, segments_read, segments_total } = progress;
        let line =
            format!("opening the store: segment {segments_read} of {segments_total}, {records_read} records{end}");
        // Nobody is left to be told when standard error is closed.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}
