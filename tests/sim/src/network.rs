//! Streams between processes: in order, with delay, until they break.
//!
//! One stream is a *wire* with two ends. A cut loses everything under way in both directions at once; each end learns of
//! it later, at its own time or never. Invariants: bytes of one direction arrive in the order in which they were sent, or
//! not at all and nothing after them; an end that is closed gets nothing more.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use protocol::time::Instant;

use crate::agenda::Agenda;
use crate::fault::Fault;
use crate::prng::Prng;
use crate::process::ProcessId;

/// Names a wire. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WireId(pub u64);

/// Which end of a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Who asked for it.
    Dialer,
    /// Who was asked.
    Listener,
}

impl End {
    fn other(self) -> End {
        if self == End::Dialer { End::Listener } else { End::Dialer }
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// What the process at one end of a wire notices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The wire is there.
    Opened(End),
    /// There will be no such wire.
    DialFailed,
    /// What the other end sent with one call.
    Received(Vec<u8>),
    /// So many bytes of what this end sent have reached the other machine.
    Sent(usize),
    /// It is over: the other end closed it.
    Closed,
    /// It is over: the network failed.
    Lost,
}

/// How a wire breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Both ends learn of it soon.
    Reset,
    /// Only this end learns of it.
    HalfOpen(End),
    /// Nobody is told.
    Silent,
}

#[derive(Debug)]
struct Wire {
    processes: [ProcessId; 2],
    is_open: [bool; 2],
    is_cut: bool,
    /// What happened to it last and has made no difference yet.
    fault: Option<Fault>,
    latency: Duration,
    /// The last arrival at each end so far.
    arrived_at: [Instant; 2],
    /// Things under way to each end.
    under_way: [usize; 2],
}

#[derive(Debug)]
enum Step {
    Open(WireId),
    Fail(WireId, ProcessId),
    Arrive(WireId, End, Vec<u8>),
    /// The other end has closed.
    Finish(WireId, End),
    /// This end learns of a cut.
    Notice(WireId, End),
}

/// All wires.
pub struct Network {
    prng: Prng,
    wires: BTreeMap<WireId, Wire>,
    wires_count: u64,
    steps: Agenda<Step>,
    noticed: VecDeque<(ProcessId, WireId, Happening)>,
    mattered: Vec<Fault>,
}

/// What waits for longer than this waits because of a stall.
const STALL_MIN: Duration = Duration::from_millis(10);
/// When an end that is told of a cut learns of it.
const NOTICE_MAX: Duration = Duration::from_millis(300);

impl Network {
    /// Without wires.
    pub fn new(prng: Prng) -> Network {
        Network {
            prng,
            wires: BTreeMap::new(),
            wires_count: 0,
            steps: Agenda::default(),
            noticed: VecDeque::new(),
            mattered: Vec::new(),
        }
    }

    /// Asks for a wire. `listens`: whether anybody is there. Both ends notice, or the dialer that it failed.
    pub fn dial(&mut self, now: Instant, from: ProcessId, to: ProcessId, listens: bool) -> WireId {
        self.wires_count += 1;
        let id = WireId(self.wires_count);
        let latency_max = if to == ProcessId::Router { Duration::from_micros(500) } else { Duration::from_millis(30) };
        let latency = self.prng.between(Duration::from_micros(50), latency_max);
        let at = now + 2 * latency;
        if !listens {
            self.steps.note(at, Step::Fail(id, from));
            return id;
        }
        let wire = Wire {
            processes: [from, to],
            is_open: [true; 2],
            is_cut: false,
            fault: None,
            latency,
            arrived_at: [at; 2],
            under_way: [0; 2],
        };
        self.wires.insert(id, wire);
        self.steps.note(at, Step::Open(id));
        id
    }

    /// From this end to the other. Lost without a sign when the wire is cut.
    pub fn send(&mut self, now: Instant, id: WireId, from: End, bytes: Vec<u8>) {
        let to = from.other();
        let Some(at) = self.next_arrival(now, id, to) else {
            self.lose(id);
            return;
        };
        self.wires.get_mut(&id).expect("something arrives there").under_way[to.index()] += 1;
        self.steps.note(at, Step::Arrive(id, to, bytes));
    }

    /// This end is done; what it has sent still arrives.
    pub fn close(&mut self, now: Instant, id: WireId, end: End) {
        let other = end.other();
        if let Some(at) = self.next_arrival(now, id, other) {
            self.steps.note(at, Step::Finish(id, other));
        }
        self.shut(id, end);
    }

    /// The machine of this end is gone: nobody says goodbye.
    pub fn vanish(&mut self, id: WireId, end: End) {
        if let Some(wire) = self.wires.get_mut(&id) {
            wire.is_cut = true;
        }
        self.shut(id, end);
    }

    /// The process of this end is gone without a word; the other end learns of it when it sends something.
    pub fn abandon(&mut self, id: WireId, end: End) {
        self.shut(id, end);
    }

    /// The wire breaks, for this reason.
    pub fn cut(&mut self, now: Instant, id: WireId, cut: Cut, fault: Fault) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        (wire.is_cut, wire.fault) = (true, Some(fault));
        for end in [End::Dialer, End::Listener] {
            if cut == Cut::Reset || cut == Cut::HalfOpen(end) {
                let at = now + self.prng.between(Duration::ZERO, NOTICE_MAX);
                self.steps.note(at, Step::Notice(id, end));
            }
        }
    }

    /// Nothing that is sent from now on arrives before `until`, for this reason.
    pub fn stall(&mut self, id: WireId, until: Instant, fault: Fault) {
        if let Some(wire) = self.wires.get_mut(&id) {
            wire.fault = Some(fault);
            wire.arrived_at = wire.arrived_at.map(|at| at.max(until));
        }
    }

    /// Wires that are whole, with the processes at their dialing and listening ends.
    pub fn wires(&self) -> impl Iterator<Item = (WireId, ProcessId, ProcessId)> + '_ {
        let whole = self.wires.iter().filter(|(_, wire)| !wire.is_cut && wire.is_open == [true; 2]);
        whole.map(|(id, wire)| (*id, wire.processes[0], wire.processes[1]))
    }

    /// Whether neither end nor the network has ended it.
    pub fn is_whole(&self, id: WireId) -> bool {
        self.wires.get(&id).is_some_and(|wire| !wire.is_cut && wire.is_open == [true; 2])
    }

    /// Who is at the other end, while the wire is there.
    pub fn peer(&self, id: WireId, process: ProcessId) -> Option<ProcessId> {
        self.wires.get(&id)?.processes.into_iter().find(|other| *other != process)
    }

    /// Every wire of this process with its end, whole or not.
    pub fn wires_of(&self, process: ProcessId) -> Vec<(WireId, End)> {
        let ends = [End::Dialer, End::Listener];
        let all = self.wires.iter().flat_map(|(id, wire)| ends.map(|end| (*id, wire, end)));
        all.filter(|(_, wire, end)| wire.processes[end.index()] == process).map(|(id, _, end)| (id, end)).collect()
    }

    /// Things on their way to both ends.
    pub fn under_way(&self, id: WireId) -> usize {
        self.wires.get(&id).map_or(0, |wire| wire.under_way.iter().sum())
    }

    /// Things on their way to this end.
    pub fn under_way_to(&self, id: WireId, end: End) -> usize {
        self.wires.get(&id).map_or(0, |wire| wire.under_way[end.index()])
    }

    /// Faults that have lost or held up something since the last call, each once.
    pub fn take_mattered(&mut self) -> Vec<Fault> {
        std::mem::take(&mut self.mattered)
    }

    /// When something happens next.
    pub fn next_at(&self) -> Option<Instant> {
        self.steps.next_at()
    }

    /// What a process notices at `now`.
    pub fn poll(&mut self, now: Instant) -> Option<(ProcessId, WireId, Happening)> {
        loop {
            if let Some(noticed) = self.noticed.pop_front() {
                return Some(noticed);
            }
            let (at, step) = self.steps.pop_due(now)?;
            self.take(at, step);
        }
    }

    fn take(&mut self, now: Instant, step: Step) {
        match step {
            Step::Open(id) => {
                for end in [End::Listener, End::Dialer] {
                    self.notice(id, end, Happening::Opened(end));
                }
            }
            Step::Fail(id, process) => self.noticed.push_back((process, id, Happening::DialFailed)),
            Step::Arrive(id, end, bytes) => self.arrive(now, id, end, bytes),
            Step::Finish(id, end) => self.end(id, end, Happening::Closed, |wire| !wire.is_cut),
            Step::Notice(id, end) => self.end(id, end, Happening::Lost, |_| true),
        }
    }

    fn arrive(&mut self, now: Instant, id: WireId, end: End, bytes: Vec<u8>) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        wire.under_way[end.index()] -= 1;
        if wire.is_cut {
            self.lose(id);
            return;
        }
        if !wire.is_open[end.index()] {
            // The other machine says that nobody is there.
            self.steps.note(now + wire.latency, Step::Notice(id, end.other()));
            return;
        }
        self.notice(id, end.other(), Happening::Sent(bytes.len()));
        self.notice(id, end, Happening::Received(bytes));
    }

    fn end(&mut self, id: WireId, end: End, happening: Happening, is_noticed: impl Fn(&Wire) -> bool) {
        if self.wires.get(&id).is_some_and(is_noticed) {
            self.notice(id, end, happening);
            self.shut(id, end);
        }
    }

    fn notice(&mut self, id: WireId, end: End, happening: Happening) {
        if let Some(wire) = self.wires.get(&id).filter(|wire| wire.is_open[end.index()]) {
            self.noticed.push_back((wire.processes[end.index()], id, happening));
        }
    }

    fn shut(&mut self, id: WireId, end: End) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        wire.is_open[end.index()] = false;
        if wire.is_open == [false; 2] {
            self.wires.remove(&id);
        }
    }

    /// `None` when nothing arrives there any more.
    fn next_arrival(&mut self, now: Instant, id: WireId, to: End) -> Option<Instant> {
        let jitter = self.prng.between(Duration::ZERO, Duration::from_millis(3));
        let wire = self.wires.get_mut(&id).filter(|wire| !wire.is_cut)?;
        let arrived_at = &mut wire.arrived_at[to.index()];
        let at = now + wire.latency + jitter;
        if *arrived_at > at + STALL_MIN {
            self.mattered.extend(wire.fault.take());
        }
        *arrived_at = (*arrived_at).max(at);
        Some(*arrived_at)
    }

    fn lose(&mut self, id: WireId) {
        let fault = self.wires.get_mut(&id).and_then(|wire| wire.fault.take());
        self.mattered.extend(fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ProcessId = ProcessId::Client(0);
    const OTHER: ProcessId = ProcessId::Gateway(0);
    const LATER: Instant = Instant(3_600_000_000_000);

    fn open() -> (Network, WireId) {
        let mut network = Network::new(Prng::new(1));
        let id = network.dial(Instant(0), ONE, OTHER, true);
        assert_eq!(happenings(&mut network).len(), 2);
        (network, id)
    }

    fn happenings(network: &mut Network) -> Vec<(ProcessId, Happening)> {
        std::iter::from_fn(|| network.poll(LATER)).map(|(process, _, happening)| (process, happening)).collect()
    }

    #[test]
    fn bytes_arrive_in_order_and_before_the_end() {
        let (mut network, id) = open();
        (0..9).for_each(|byte| network.send(LATER, id, End::Dialer, vec![byte]));
        network.close(LATER, id, End::Dialer);
        let arrived: Vec<Happening> = std::iter::from_fn(|| network.poll(LATER + Duration::from_secs(1)))
            .filter(|(process, ..)| *process == OTHER)
            .map(|(.., happening)| happening)
            .collect();
        let expected: Vec<_> = (0..9).map(|byte| Happening::Received(vec![byte])).chain([Happening::Closed]).collect();
        assert_eq!(arrived, expected);
    }

    #[test]
    fn a_cut_loses_what_is_under_way_and_only_who_is_told_knows() {
        let (mut network, id) = open();
        network.send(Instant(0), id, End::Dialer, vec![1]);
        network.send(Instant(0), id, End::Listener, vec![2]);
        network.cut(Instant(0), id, Cut::HalfOpen(End::Dialer), Fault::ConnectionHalfOpen);
        network.send(Instant(0), id, End::Listener, vec![3]);
        assert_eq!(happenings(&mut network), [(ONE, Happening::Lost)]);
        assert_eq!(network.take_mattered(), [Fault::ConnectionHalfOpen]);
    }

    #[test]
    fn nobody_listening_is_a_dial_that_fails() {
        let mut network = Network::new(Prng::new(1));
        network.dial(Instant(0), ONE, OTHER, false);
        assert_eq!(happenings(&mut network), [(ONE, Happening::DialFailed)]);
    }
}
