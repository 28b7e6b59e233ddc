//! The workers of a run, as one: an order goes to all, and what they have seen is added up. Ended when it is dropped.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bench_harness::Rooms;

use crate::kernel;
use crate::order::{Order, Outcome, Progress, Setup, Share, Word};

/// Workers whose people connect at a time, the next ones as soon as those are done. The server sees as many on their way as
/// it can take; dozens of processes that wake for a few of them each would take most of the processors instead.
const ARRIVING_WORKERS_MAX: usize = 4;
/// Workers whose people write, where as many can have them all: what one wakes for is then worth waking for.
const WRITING_WORKERS: usize = 2;
/// A worker that lives says something more often.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What is told while an order is followed.
pub(crate) enum Event {
    /// Of all workers together.
    Progress(Progress),
    /// The first worker begins to measure.
    Measuring,
    /// The last one has ended.
    Measured(Progress),
}

/// See the file's head.
pub(crate) struct Workers {
    workers: Vec<Worker>,
    words: Receiver<(usize, Option<Word>)>,
}

struct Worker {
    child: Child,
    orders: ChildStdin,
}

impl Workers {
    /// One process for each setup.
    pub(crate) fn start(binary: &Path, setups: &[Setup]) -> Result<Workers> {
        let (sender, words) = channel();
        let start = |(index, setup)| Worker::start(binary, index, setup, sender.clone());
        let workers = setups.iter().enumerate().map(start).collect::<Result<Vec<_>>>()?;
        Ok(Workers { workers, words })
    }

    /// Of all of them.
    pub(crate) fn process_ids(&self) -> Vec<u32> {
        self.workers.iter().map(|worker| worker.child.id()).collect()
    }

    /// Has all of them follow it, and waits until they have.
    pub(crate) fn follow(&mut self, order: Order, mut hear: impl FnMut(Event) -> Result<()>) -> Result<Outcome> {
        let workers_count = self.workers.len();
        let mut progress = vec![Progress::default(); workers_count];
        let at_a_time = if matches!(order, Order::Arrive { .. }) { ARRIVING_WORKERS_MAX } else { workers_count };
        let mut untold = self.workers.iter_mut();
        for worker in untold.by_ref().take(at_a_time) {
            worker.tell(&order)?;
        }
        let (mut is_measuring, mut measured_count, mut done_count) = (false, 0, 0);
        let mut outcome = Outcome::default();
        while done_count < workers_count {
            let (index, word) = match self.words.recv_timeout(SILENCE_MAX) {
                Ok(word) => word,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    bail!("no worker of the load has said anything for {} s", SILENCE_MAX.as_secs())
                }
            };
            let slot = progress.get_mut(index).context("an unknown worker")?;
            match word {
                None => bail!("a worker of the load has ended"),
                Some(Word::Failed(text)) => bail!("a worker of the load has failed: {text}"),
                Some(Word::Progress(now)) => {
                    *slot = now;
                    hear(Event::Progress(sum(&progress)))?;
                }
                Some(Word::Measuring) => {
                    if !std::mem::replace(&mut is_measuring, true) {
                        hear(Event::Measuring)?;
                    }
                }
                Some(Word::Measured(now)) => {
                    *slot = now;
                    measured_count += 1;
                    if measured_count == workers_count {
                        hear(Event::Measured(sum(&progress)))?;
                    }
                }
                Some(Word::Done(of_worker)) => {
                    done_count += 1;
                    outcome.add(*of_worker);
                    untold.next().map_or(Ok(()), |worker| worker.tell(&order))?;
                }
            }
        }
        Ok(outcome)
    }
}

fn sum(progress: &[Progress]) -> Progress {
    let mut sum = Progress::default();
    progress.iter().for_each(|of_worker| sum.add(*of_worker));
    sum
}

impl Worker {
    fn start(binary: &Path, index: usize, setup: &Setup, words: Sender<(usize, Option<Word>)>) -> Result<Worker> {
        let mut command = Command::new(binary);
        command.args(["bench", "worker"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start a worker of the load")?;
        let (orders, out) = child.stdin.take().zip(child.stdout.take()).context("they are piped")?;
        let listen = move || {
            for line in BufReader::new(out).lines() {
                let Some(word) = line.ok().and_then(|line| serde_json::from_str(&line).ok()) else { break };
                if words.send((index, Some(word))).is_err() {
                    return;
                }
            }
            // Whoever has dropped the workers does not listen any more.
            let _ = words.send((index, None));
        };
        let mut worker = Worker { child, orders };
        thread::Builder::new().name("worker".to_owned()).spawn(listen).context("no thread for a worker")?;
        worker.tell(setup)?;
        Ok(worker)
    }

    fn tell(&mut self, what: &impl serde::Serialize) -> Result<()> {
        let line = serde_json::to_string(what).expect("numbers and texts are always JSON") + "\n";
        self.orders.write_all(line.as_bytes()).context("a worker of the load has ended")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Rooms shared out evenly over as few workers as may hold them, and those where somebody writes over the first of these;
/// `setup` makes one of a share.
pub(crate) fn setups(rooms: Rooms, setup: impl FnMut(Share) -> Setup) -> Result<Vec<Setup>> {
    let per_worker_max = kernel::connections_per_worker()? / rooms.size;
    ensure!(per_worker_max > 0, "a room is larger than the descriptors of a process: see `ulimit -n`");
    let workers = rooms.count.div_ceil(per_worker_max);
    // Each can have as many, since each has as many rooms.
    let writing_workers = rooms.writing.div_ceil(rooms.count / workers).max(WRITING_WORKERS).min(workers);
    let before = |of: usize, over: usize, index: usize| index.min(over) * of / over;
    let share = |index| {
        let part = |of: usize, over: usize| before(of, over, index + 1) - before(of, over, index);
        let (count, writing) = (part(rooms.count, workers), part(rooms.writing, writing_workers));
        let first_number = before(rooms.count, workers, index) * rooms.size;
        Share { rooms: Rooms { count, size: rooms.size, writing }, first_number, workers }
    };
    Ok((0..workers).map(share).map(setup).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::SubjectSetup;

    #[test]
    fn rooms_are_shared_out_whole_and_none_is_left() {
        let per_worker = kernel::connections_per_worker().expect("descriptors");
        for rooms in [
            Rooms::all_writing(1, 2),
            Rooms { count: per_worker, size: 2, writing: 7 },
            Rooms::all_writing(50, 1024),
            Rooms { count: 2 * per_worker, size: 2, writing: 2 * per_worker - 1 },
        ] {
            let (mut next, mut writing) = (0, 0);
            let setup = |share: Share| {
                let of_worker = share.rooms;
                assert_eq!(share.first_number, next, "no room is left out");
                assert!(of_worker.people() <= per_worker && of_worker.writing <= of_worker.count);
                (next, writing) = (next + of_worker.people(), writing + of_worker.writing);
                let (servers, orphans) = (Vec::new(), Vec::new());
                Setup { subject: SubjectSetup::Baseline, servers, share, heartbeat_ms: 0, orphans }
            };
            setups(rooms, setup).expect("descriptors");
            assert_eq!((next, writing), (rooms.people(), rooms.writing));
        }
    }
}
