//! A process of the load: people of a run on one glommio executor. One task reads and acks, another keeps idle ones
//! alive, and a third follows the orders of the conductor.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use bench_harness::{Crowd, Dial, Figures, Peer, Schedule, now_ns};
use glommio::{Latency, LocalExecutorBuilder, Shares, executor, spawn_local_into};
use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use serde::de::DeserializeOwned;

use crate::order::{Order, Outcome, Progress, Setup, Word};
use crate::readiness::Readiness;
use crate::subject;

/// What glommio keeps for reads of its own, pinned, and 10 MiB unless it is told: nothing is read through it here.
const IO_MEMORY_BYTES: usize = 64 * 1024;
/// Turns begin so far apart, as those of the server do: what comes meanwhile is read by one of them.
const TURN_INTERVAL_MIN: Duration = Duration::from_micros(250);
/// What comes in this time gets no older by waiting for it.
const PACE_LATENCY: Duration = Duration::from_micros(500);
/// Between two looks at who is on the way.
const ARRIVAL_TICK: Duration = Duration::from_millis(10);
/// Between two words of how far it is.
const PROGRESS_INTERVAL_NS: u64 = 250_000_000;
/// Whoever was turned away waits so long before the next attempt.
const RETRY_PAUSE_NS: u64 = 200_000_000;
/// The first message after an order is due so late, when all workers have it.
const FIRST_DUE_NS: u64 = 20_000_000;
/// Without anybody new for so long, nobody comes any more.
const STALL_NS: u64 = 30_000_000_000;
/// What is on its way at the end is lost when for so long nothing has arrived.
const SETTLE_NS: u64 = 10_000_000_000;
const SETTLE_TICK: Duration = Duration::from_millis(5);
/// How often idle people are gone through.
const PING_TICK: Duration = Duration::from_millis(250);
const PATIENCE_MAX: Duration = Duration::from_secs(1);
/// See [`pulse`]; of so many workers.
const PULSE: Duration = Duration::from_millis(20);
const PULSED_WORKERS: usize = 4;

/// The hidden verb: follows the orders of its standard input until that ends.
pub fn work() -> Result<()> {
    let mut orders = Orders::default();
    let setup: Setup = orders.next_now()?.context("the conductor has gone")?;
    let executor = LocalExecutorBuilder::default()
        .name("load")
        .io_memory(IO_MEMORY_BYTES)
        .make()
        .map_err(|error| anyhow!("{error}"))?;
    let orphans = Rc::new(RefCell::new(setup.orphans.clone()));
    let result = executor.run(subject::run(setup, orders, orphans.clone()));
    if let Err(error) = &result {
        // A conductor that has gone is no longer told.
        let _ = say(&Word::Failed(format!("{error:#}")));
    }
    end_orphans(&orphans.borrow());
    result
}

/// As in [`Setup::orphans`]; they may change.
pub(crate) type Orphans = Rc<RefCell<Vec<u32>>>;

/// A conductor that ends by itself ends its workers first, so that none comes here unless it has failed or was killed.
fn end_orphans(orphans: &[u32]) {
    for process_id in orphans {
        let process = i32::try_from(*process_id).ok().and_then(Pid::from_raw);
        // It may have ended by itself.
        let _ = process.map(|process| kill_process(process, Signal::TERM));
    }
}

/// Lines of standard input.
#[derive(Default)]
pub(crate) struct Orders {
    buffer: Vec<u8>,
}

impl Orders {
    /// Blocks until there is a whole one; `None` at the end.
    fn next_now<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return serde_json::from_slice(&line).map(Some).context("the conductor says what is no order");
            }
            let mut bytes = [0; 64 * 1024];
            let size = rustix::io::read(rustix::stdio::stdin(), &mut bytes)?;
            if size == 0 {
                return Ok(None);
            }
            self.buffer.extend_from_slice(bytes.get(..size).unwrap_or_default());
        }
    }
}

/// One line on standard output.
fn say(word: &Word) -> Result<()> {
    let line = serde_json::to_string(word).expect("numbers and texts are always JSON") + "\n";
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).context("the conductor has gone")
}

/// What the tasks of a worker share.
struct Stage<P> {
    crowd: RefCell<Crowd<P>>,
    /// Of the reading task; the order at hand fails with it.
    failure: RefCell<Option<anyhow::Error>>,
    dial: Dial,
    setup: Setup,
    orphans: Orphans,
}

/// Runs until the conductor has nothing more to say.
pub(crate) async fn run<P: Peer + 'static>(
    setup: Setup,
    mut orders: Orders,
    orphans: Orphans,
    peer: impl FnMut(usize) -> P,
) -> Result<()> {
    let crowd = Crowd::new(setup.share.rooms, peer)?;
    let sockets = Readiness::new(crowd.descriptor().try_clone_to_owned()?);
    let dial = Dial::new(setup.servers.clone());
    let stage = Rc::new(Stage { crowd: RefCell::new(crowd), failure: RefCell::new(None), dial, setup, orphans });
    let reading = executor().create_task_queue(Shares::Static(1000), Latency::NotImportant, "read");
    let pacing = executor().create_task_queue(Shares::Static(1000), Latency::Matters(PACE_LATENCY), "pace");
    let queue = |error: glommio::GlommioError<()>| anyhow!("{error}");
    let reader = stage.clone();
    spawn_local_into(async move { reader.read(sockets).await }, reading).map_err(queue)?.detach();
    let interval = PULSE * u32::try_from(stage.setup.share.workers.div_ceil(PULSED_WORKERS)).unwrap_or(1);
    spawn_local_into(pulse(interval), reading).map_err(queue)?.detach();
    let pinger = stage.clone();
    spawn_local_into(async move { pinger.ping().await }, reading).map_err(queue)?.detach();
    let follow = async move {
        let mut input = Readiness::new(rustix::stdio::stdin().as_fd().try_clone_to_owned()?);
        loop {
            if !orders.buffer.is_empty() || input.wait(PATIENCE_MAX).await? {
                let Some(order) = orders.next_now()? else { return Ok(()) };
                let outcome = stage.follow(order).await?;
                say(&Word::Done(Box::new(outcome)))?;
            }
        }
    };
    spawn_local_into(follow, pacing).map_err(queue)?.await
}

/// Wakes the executor although it has gone to sleep with work at hand. It does that when its thread loses the processor
/// between arming its preemption timer and running the first task: then it finds its time is up, takes that for nothing to
/// do, and parks. Whoever was woken by a timer or a socket has no timer and no poll any more, so that with nothing else on
/// its way that worker is silent for good.
async fn pulse(interval: Duration) -> Result<()> {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    let interval = Timespec::try_from(interval).context("a short time")?;
    let times = Itimerspec { it_interval: interval, it_value: interval };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times)?;
    let mut ready = Readiness::new(timer.try_clone()?);
    loop {
        if ready.wait(PATIENCE_MAX).await? {
            rustix::io::read(&timer, &mut [0; 8])?;
        }
    }
}

impl<P: Peer> Stage<P> {
    async fn read(&self, mut sockets: Readiness) {
        let mut turn_began = std::time::Instant::now();
        loop {
            let ack_ns = self.crowd.borrow().next_ack_ns();
            let until_ack = ack_ns.map(|at| Duration::from_nanos(at.saturating_sub(now_ns())));
            let turned = match sockets.wait(until_ack.map_or(PATIENCE_MAX, |at| at.min(PATIENCE_MAX))).await {
                Ok(_) => {
                    // There is nothing else to do but to send what is due, which is as late then as the interval is long.
                    thread::sleep(TURN_INTERVAL_MIN.saturating_sub(turn_began.elapsed()));
                    turn_began = std::time::Instant::now();
                    self.crowd.borrow_mut().turn(Duration::ZERO)
                }
                Err(error) => Err(error.into()),
            };
            if let Err(error) = turned {
                *self.failure.borrow_mut() = Some(error);
                return;
            }
        }
    }

    /// Each once an interval, spread evenly over it.
    async fn ping(&self) {
        let people = self.crowd.borrow().rooms().people();
        if self.setup.heartbeat_ms == 0 {
            return;
        }
        let mut pings = Schedule::new(now_ns(), people as f64 * 1000.0 / self.setup.heartbeat_ms as f64);
        loop {
            glommio::timer::sleep(PING_TICK).await;
            while let Some((nth, _)) = pings.take_due(now_ns()) {
                let pinged = self.crowd.borrow_mut().ping(usize::try_from(nth).unwrap_or_default() % people);
                if let Err(error) = pinged {
                    *self.failure.borrow_mut() = Some(error);
                    return;
                }
                glommio::yield_if_needed().await;
            }
        }
    }

    fn check(&self) -> Result<()> {
        self.failure.borrow_mut().take().map_or(Ok(()), Err)
    }

    fn progress(&self) -> Progress {
        let crowd = self.crowd.borrow();
        let Figures { answered, delivered, .. } = *crowd.figures();
        Progress { live: crowd.live_count() as u64, answered, delivered }
    }

    async fn follow(&self, order: Order) -> Result<Outcome> {
        let lost = match order {
            Order::Arrive { arriving_max, since_ns } => {
                self.crowd.borrow_mut().begin_figures();
                self.arrive(arriving_max, since_ns).await?;
                0
            }
            Order::Write { per_second_each, warm_ms, measured_ms } => {
                self.write(
                    per_second_each * self.setup.share.rooms.writers() as f64,
                    warm_ms * 1_000_000,
                    measured_ms * 1_000_000,
                )
                .await?
            }
            Order::Leave => {
                self.crowd.borrow_mut().leave();
                0
            }
            Order::Adopt(orphans) => {
                *self.orphans.borrow_mut() = orphans;
                0
            }
            Order::Look => 0,
        };
        self.check()?;
        let mut crowd = self.crowd.borrow_mut();
        let gone = crowd.take_gone().len() as u64;
        Ok(Outcome::new(crowd.figures(), crowd.live_count(), gone, lost))
    }

    async fn arrive(&self, arriving_max: usize, since_ns: Option<u64>) -> Result<()> {
        let ordered_ns = now_ns();
        let people = self.crowd.borrow().rooms().people();
        let mut waiting: VecDeque<(u64, usize)> = self.crowd.borrow().away().map(|index| (0, index)).collect();
        let mut telling = Telling::default();
        let (mut live_most, mut moved_ns) = (0, ordered_ns);
        loop {
            self.check()?;
            {
                let mut crowd = self.crowd.borrow_mut();
                let now = now_ns();
                waiting.extend(crowd.take_gone().into_iter().map(|index| (now + RETRY_PAUSE_NS, index)));
                while crowd.arriving_count() < arriving_max
                    && let Some((_, index)) = waiting.pop_front_if(|(not_before_ns, _)| *not_before_ns <= now)
                {
                    let stream = self.dial.connect(self.setup.share.first_number + index).context("cannot connect")?;
                    crowd.arrive(index, stream, since_ns.unwrap_or_else(now_ns))?;
                }
                if crowd.live_count() == people {
                    return Ok(());
                }
                if crowd.live_count() > live_most {
                    (live_most, moved_ns) = (crowd.live_count(), now);
                }
                ensure!(
                    now - moved_ns < STALL_NS,
                    "{} of {people} connections of a worker are live, and for {} s no other one has come{}; see the \
                     server's log, its `ulimit -n` and gateway.connections_max",
                    crowd.live_count(),
                    STALL_NS / 1_000_000_000,
                    crowd.figures().refused_code.map_or(String::new(), |code| format!(" (code {code})")),
                );
            }
            telling.tell(|| self.progress())?;
            glommio::timer::sleep(ARRIVAL_TICK).await;
        }
    }

    /// Gives what was lost.
    async fn write(&self, per_second: f64, warm_ns: u64, measured_ns: u64) -> Result<u64> {
        let began_ns = now_ns() + FIRST_DUE_NS;
        let mut schedule = Schedule::new(began_ns, per_second);
        let mut telling = Telling::default();
        self.pace(&mut schedule, began_ns + warm_ns, &mut telling).await?;
        self.crowd.borrow_mut().begin_figures();
        say(&Word::Measuring)?;
        self.pace(&mut schedule, began_ns + warm_ns + measured_ns, &mut telling).await?;
        say(&Word::Measured(self.progress()))?;
        let (mut missing_least, mut moved_ns) = (u64::MAX, now_ns());
        loop {
            let missing = self.crowd.borrow().missing_count();
            if missing < missing_least {
                (missing_least, moved_ns) = (missing, now_ns());
            }
            if missing == 0 || now_ns() - moved_ns > SETTLE_NS {
                break;
            }
            self.check()?;
            glommio::timer::sleep(SETTLE_TICK).await;
        }
        let mut crowd = self.crowd.borrow_mut();
        let lost = crowd.missing_count();
        crowd.forgive_missing();
        Ok(lost)
    }

    /// Sends what is due before this moment, each when it is, and ends then.
    async fn pace(&self, schedule: &mut Schedule, until_ns: u64, telling: &mut Telling) -> Result<()> {
        while schedule.next_due_ns().min(now_ns()) < until_ns {
            self.check()?;
            {
                let mut crowd = self.crowd.borrow_mut();
                crowd.send_due(schedule)?;
                crowd.flush_all()?;
            }
            telling.tell(|| self.progress())?;
            match schedule.next_due_ns().min(until_ns).saturating_sub(now_ns()) {
                0 => executor().yield_task_queue_now().await,
                wait_ns => glommio::timer::sleep(Duration::from_nanos(wait_ns).max(TURN_INTERVAL_MIN)).await,
            }
        }
        Ok(())
    }
}

/// Says how far it is, not too often.
#[derive(Default)]
struct Telling {
    told_ns: u64,
}

impl Telling {
    fn tell(&mut self, progress: impl FnOnce() -> Progress) -> Result<()> {
        if now_ns() - self.told_ns < PROGRESS_INTERVAL_NS {
            return Ok(());
        }
        self.told_ns = now_ns();
        say(&Word::Progress(progress()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);
    /// Not much more than what passes between arming the timer and the first task: now and then it is up.
    const LATENCY: Duration = Duration::from_micros(100);
    const NAPS: usize = 1_000;

    #[test]
    fn an_executor_that_parks_with_work_at_hand_is_woken_by_the_pulse() {
        let (sender, receiver) = channel();
        thread::spawn(move || {
            let executor = LocalExecutorBuilder::default().make().expect("io_uring is allowed here");
            executor.run(async move {
                let queue =
                    glommio::executor().create_task_queue(Shares::Static(1000), Latency::Matters(LATENCY), "hasty");
                spawn_local_into(pulse(PULSE), queue).expect("a queue").detach();
                let naps = async {
                    for _ in 0..NAPS {
                        glommio::timer::sleep(Duration::from_micros(100)).await;
                    }
                };
                spawn_local_into(naps, queue).expect("a queue").await;
            });
            sender.send(()).expect("the test waits");
        });
        receiver.recv_timeout(PATIENCE).expect("the executor sleeps with work at hand");
    }
}
