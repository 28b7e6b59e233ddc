//! The load: one thread, one epoll, all pairs. Each pair writes both ways, and each message is checked where it arrives.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use crate::peer::{Heard, Peer, Stamp};

const EVENTS_AT_ONCE: usize = 1024;
const READ_SIZE: usize = 16 * 1024;
/// An ack waits so long for company: half of what the protocol grants, as the SDK does.
const ACK_DELAY: Duration = Duration::from_millis(50);
/// Connections that are not live yet, at most: a server bounds strangers, and closes the oldest beyond.
const ARRIVING_MAX: usize = 64;
/// All connections are live within this time.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(60);
/// What is on its way at the end of a phase has arrived within this time, or is lost.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Latencies are recorded from 1 µs to a minute with three digits.
const LATENCY_MAX_US: u64 = 60_000_000;

/// How messages are timed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// As acks come: so many of each end on their way.
    Window(usize),
    /// So many a second in all, each at its time.
    PerSecond(f64),
}

/// What a phase gave.
pub(crate) struct Phase {
    /// Messages that were acked within the measured time.
    pub(crate) answered: u64,
    pub(crate) measured: Duration,
    /// From when it was due to its ack, in µs.
    pub(crate) ack_latency: Histogram<u64>,
    /// From when it was due to the other one, in µs.
    pub(crate) delivery_latency: Histogram<u64>,
    /// From when it was due to when it was sent, in µs.
    pub(crate) lag: Histogram<u64>,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) refused: u64,
}

struct End<P> {
    stream: TcpStream,
    peer: P,
    is_live: bool,
    is_writing: bool,
    sent: u64,
    /// When those were due whose acks are not here, oldest first.
    unanswered: std::collections::VecDeque<u64>,
    /// The last number that came from the other end.
    heard: u64,
    ack_at: Option<Instant>,
}

pub(crate) struct Generator<P> {
    epoll: OwnedFd,
    /// Ends 2n and 2n + 1 are a pair.
    ends: Vec<End<P>>,
    began: Instant,
    heard: Vec<Heard>,
    acks_due: std::collections::VecDeque<usize>,
    dirty: Vec<usize>,
}

impl<P: Peer> Generator<P> {
    /// Connects all ends and waits until they are live.
    pub(crate) fn connect(
        server: SocketAddr,
        pairs: usize,
        mut peer: impl FnMut(usize, usize, &mut Vec<Heard>) -> Result<P>,
    ) -> Result<Generator<P>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("no epoll")?;
        let (ends, heard) = (Vec::with_capacity(2 * pairs), Vec::new());
        let (acks_due, dirty) = (Default::default(), Vec::new());
        let mut generator = Generator { epoll, ends, began: Instant::now(), heard, acks_due, dirty };
        let deadline = Instant::now() + ARRIVAL_TIMEOUT;
        for index in 0..2 * pairs {
            generator.await_live(ARRIVING_MAX - 1, deadline)?;
            let stream = TcpStream::connect(server).context("cannot connect")?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let flags = epoll::EventFlags::IN;
            epoll::add(&generator.epoll, stream.as_fd(), epoll::EventData::new_u64(index as u64), flags)?;
            let mut heard = Vec::new();
            let peer = peer(index / 2, index % 2, &mut heard)?;
            let is_live = heard.contains(&Heard::Live);
            let unanswered = Default::default();
            generator.ends.push(End {
                stream,
                peer,
                is_live,
                is_writing: false,
                sent: 0,
                unanswered,
                heard: 0,
                ack_at: None,
            });
            generator.dirty.push(index);
            generator.turn(Duration::ZERO, None)?;
        }
        generator.await_live(0, deadline)?;
        Ok(generator)
    }

    /// Until at most so many are on their way to be live.
    fn await_live(&mut self, arriving_max: usize, deadline: Instant) -> Result<()> {
        while self.ends.iter().filter(|end| !end.is_live).count() > arriving_max {
            ensure!(Instant::now() < deadline, "not all connections are live after {} s", ARRIVAL_TIMEOUT.as_secs());
            self.turn(Duration::from_millis(10), None)?;
        }
        Ok(())
    }

    /// Runs a phase: a second to warm up, then what is measured, then until all has arrived. `at_border` is called when
    /// measuring begins and ends.
    pub(crate) fn run(&mut self, pace: Pace, measured: Duration, mut at_border: impl FnMut()) -> Result<Phase> {
        let mut phase = Phase::new(measured)?;
        let warm_until = Instant::now() + Duration::from_secs(1);
        self.load(pace, warm_until, None)?;
        at_border();
        let began = Instant::now();
        self.load(pace, began + measured, Some(&mut phase))?;
        phase.measured = began.elapsed();
        at_border();
        let answered = phase.answered;
        self.settle(&mut phase)?;
        phase.answered = answered;
        Ok(phase)
    }

    fn load(&mut self, pace: Pace, until: Instant, mut phase: Option<&mut Phase>) -> Result<()> {
        let began = Instant::now();
        let mut due_count: u64 = 0;
        while Instant::now() < until {
            match pace {
                Pace::Window(window) => {
                    self.fill_windows(window)?;
                    self.turn(Duration::from_millis(10), phase.as_deref_mut())?;
                }
                Pace::PerSecond(rate) => {
                    let interval = Duration::from_secs_f64(1.0 / rate);
                    let mut now = Instant::now();
                    while began + interval.mul_f64(due_count as f64) <= now {
                        let due = began + interval.mul_f64(due_count as f64);
                        self.send(due_count as usize % self.ends.len(), due)?;
                        if let Some(phase) = phase.as_deref_mut() {
                            phase.lag.saturating_record(micros(now.duration_since(due)));
                        }
                        due_count += 1;
                        now = Instant::now();
                        if due_count.is_multiple_of(64) {
                            break;
                        }
                    }
                    let next = began + interval.mul_f64(due_count as f64);
                    self.turn(next.saturating_duration_since(Instant::now()), phase.as_deref_mut())?;
                }
            }
        }
        Ok(())
    }

    fn fill_windows(&mut self, window: usize) -> Result<()> {
        for index in 0..self.ends.len() {
            while self.ends.get(index).is_some_and(|end| end.unanswered.len() < window) {
                self.send(index, Instant::now())?;
            }
        }
        Ok(())
    }

    fn send(&mut self, index: usize, due: Instant) -> Result<()> {
        let due_ns = u64::try_from(due.duration_since(self.began).as_nanos()).unwrap_or(u64::MAX);
        let end = self.ends.get_mut(index).context("no such end")?;
        end.sent += 1;
        end.unanswered.push_back(due_ns);
        end.peer.send(Stamp { number: end.sent, due_ns })?;
        self.dirty.push(index);
        Ok(())
    }

    /// Until everything that was sent has been answered and has arrived; what has not is lost.
    fn settle(&mut self, phase: &mut Phase) -> Result<()> {
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        while Instant::now() < deadline && self.missing_count() > 0 {
            self.turn(Duration::from_millis(10), Some(phase))?;
        }
        phase.lost = self.missing_count();
        Ok(())
    }

    fn missing_count(&self) -> u64 {
        let pairs = self.ends.chunks_exact(2);
        let missing = |pair: &[End<P>]| {
            let [one, other] = pair else { return 0 };
            let unheard = one.sent.abs_diff(other.heard) + other.sent.abs_diff(one.heard);
            unheard + one.unanswered.len() as u64 + other.unanswered.len() as u64
        };
        pairs.map(missing).sum()
    }

    /// Waits for sockets, at most so long, and does what they and the acks want.
    fn turn(&mut self, patience: Duration, mut phase: Option<&mut Phase>) -> Result<()> {
        self.flush()?;
        let mut events = Vec::with_capacity(EVENTS_AT_ONCE);
        let patience = self.next_ack().map_or(patience, |at| patience.min(at));
        let timeout = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: i64::from(patience.subsec_nanos()) };
        epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)).context("epoll")?;
        for event in &events {
            let (index, flags) = (event.data.u64() as usize, event.flags);
            if flags.contains(epoll::EventFlags::OUT) {
                self.dirty.push(index);
            }
            if flags.contains(epoll::EventFlags::IN) {
                self.receive(index, phase.as_deref_mut())?;
            }
        }
        self.send_acks()?;
        self.flush()
    }

    fn receive(&mut self, index: usize, mut phase: Option<&mut Phase>) -> Result<()> {
        let mut buffer = [0; READ_SIZE];
        let end = self.ends.get_mut(index).context("no such end")?;
        let size = match end.stream.read(&mut buffer) {
            Ok(0) => anyhow::bail!("the server has closed a connection"),
            Ok(size) => size,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("cannot read"),
        };
        end.peer.receive(buffer.get(..size).unwrap_or_default(), &mut self.heard)?;
        self.dirty.push(index);
        let now = Instant::now();
        let since = |due_ns: u64| micros(now.duration_since(self.began)).saturating_sub(due_ns / 1000);
        for heard in self.heard.drain(..) {
            match heard {
                Heard::Live => end.is_live = true,
                Heard::Answered => {
                    let due_ns = end.unanswered.pop_front().context("an ack for nothing")?;
                    if let Some(phase) = phase.as_deref_mut() {
                        phase.answered += 1;
                        phase.ack_latency.saturating_record(since(due_ns));
                    }
                }
                Heard::Message(stamp) => {
                    if let Some(phase) = phase.as_deref_mut() {
                        phase.delivery_latency.saturating_record(since(stamp.due_ns));
                        phase.duplicated += u64::from(stamp.number == end.heard);
                        phase.reordered += u64::from(stamp.number != end.heard + 1 && stamp.number != end.heard);
                    }
                    end.heard = stamp.number;
                }
                Heard::Tick => {}
                Heard::Refused => {
                    if let Some(phase) = phase.as_deref_mut() {
                        phase.refused += 1;
                    }
                }
            }
            if matches!(heard, Heard::Message(_) | Heard::Tick) && end.ack_at.is_none() {
                end.ack_at = Some(now + ACK_DELAY);
                self.acks_due.push_back(index);
            }
        }
        Ok(())
    }

    fn next_ack(&self) -> Option<Duration> {
        let at = self.ends.get(*self.acks_due.front()?)?.ack_at?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    fn send_acks(&mut self) -> Result<()> {
        let now = Instant::now();
        while let Some(index) = self.acks_due.front().copied() {
            let end = self.ends.get_mut(index).context("no such end")?;
            if end.ack_at.is_some_and(|at| at > now) {
                break;
            }
            end.ack_at = None;
            end.peer.ack()?;
            self.dirty.push(index);
            self.acks_due.pop_front();
        }
        Ok(())
    }

    /// One write a connection and turn.
    fn flush(&mut self) -> Result<()> {
        for index in std::mem::take(&mut self.dirty) {
            let end = self.ends.get_mut(index).context("no such end")?;
            let outgoing = end.peer.outgoing();
            if outgoing.is_empty() {
                continue;
            }
            match end.stream.write(outgoing) {
                Ok(size) => drop(outgoing.drain(..size)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("cannot write"),
            }
            let is_writing = !outgoing.is_empty();
            if std::mem::replace(&mut end.is_writing, is_writing) != is_writing {
                let out = if is_writing { epoll::EventFlags::OUT } else { epoll::EventFlags::empty() };
                let (data, flags) = (epoll::EventData::new_u64(index as u64), epoll::EventFlags::IN | out);
                epoll::modify(&self.epoll, end.stream.as_fd(), data, flags)?;
            }
        }
        Ok(())
    }
}

impl Phase {
    fn new(measured: Duration) -> Result<Phase> {
        let histogram = || Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).context("a histogram");
        Ok(Phase {
            answered: 0,
            measured,
            ack_latency: histogram()?,
            delivery_latency: histogram()?,
            lag: histogram()?,
            lost: 0,
            duplicated: 0,
            reordered: 0,
            refused: 0,
        })
    }

    /// Messages a second.
    pub(crate) fn rate(&self) -> f64 {
        self.answered as f64 / self.measured.as_secs_f64()
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
