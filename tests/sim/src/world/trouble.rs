//! What goes wrong: each fault strikes something that is there, or comes again a little later.

use std::time::Duration;

use protocol::encode::FrameBuilder;
use protocol::ids::UserId;

use super::{Event, World};
use crate::fault::Fault;
use crate::network::{Cut, End, Happening, WireId};
use crate::process::{Input, ProcessId};
use crate::script::{DEVICES, GATEWAYS_COUNT, Order, Step};
use crate::store::{Death, Harm, Shape, Weather};

/// A fault that finds nothing to strike comes again after this, out of step with everything else.
const AGAIN_AFTER: Duration = Duration::from_millis(37);
/// With fewer requests of single rows under way the router is not worth killing.
const BUSY_REQUESTS: usize = 6;
/// With less under way to the disk the power is not worth cutting: one of these, so that some cuts tear large writes.
const BUSY_SECTORS: [usize; 3] = [1, 8, 24];
/// So many of a thousand deaths that would change nothing do not happen, and come again.
const MISS_PER_MILLE: u64 = 985;
/// Longer than a link may be silent.
const LINK_STALL_MAX: Duration = Duration::from_secs(5);

impl World {
    pub(super) fn strike(&mut self, fault: Fault) {
        if self.is_calm {
            return;
        }
        self.trace.note(self.at, format_args!("fault: {fault:?}"));
        let has_struck = match fault {
            Fault::GatewayKilled | Fault::GatewayGone => self.strike_gateway(fault),
            Fault::RouterKilled | Fault::PowerCut => self.strike_router(fault),
            Fault::ClientKilled | Fault::ClientReplaced => self.strike_client(fault),
            Fault::ConnectionReset => self.cut_connection(fault, Cut::Reset),
            Fault::ConnectionHalfOpen => {
                let end = *self.prng.pick(&[End::Dialer, End::Listener]);
                self.cut_connection(fault, Cut::HalfOpen(end))
            }
            Fault::ConnectionSilent => self.cut_connection(fault, Cut::Silent),
            Fault::ConnectionStalled => self.stall_connection(),
            Fault::LinkReset | Fault::LinkHalfOpen | Fault::LinkStalled => self.strike_link(fault),
            Fault::ClockStepped => self.step_clock(),
            Fault::Paused | Fault::PausedBeforeClock => self.pause(fault),
            Fault::StoreSlow | Fault::StoreRefusing | Fault::StoreUncertain => self.spoil_weather(fault),
            Fault::SyncFailed => self.store.harm(Harm::SyncFails),
            Fault::WriteFailed => self.store.harm(Harm::WriteFails),
            Fault::DiskFull => self.fill_disk(),
            Fault::BitRotten | Fault::BitRottenLater | Fault::IndexRotten => self.rot(fault),
            Fault::SentTwice => self.make_client_resend(),
            other => unreachable!("{other:?} follows from others"),
        };
        if has_struck {
            self.work.faults_struck += 1;
            if !fault.is_counted_by_disk() {
                self.faults.fire(fault);
            }
        } else {
            self.agenda.note(self.at + AGAIN_AFTER, Event::Script(Step::Fault(fault)));
        }
    }

    /// No more faults; what they have left behind ends by itself.
    pub(super) fn calm_down(&mut self) {
        self.trace.note(self.at, format_args!("no more faults"));
        self.is_calm = true;
        let rotten = self.rotten.map(|(fault, _)| fault);
        let spoiled = self.spoiled.map(|(fault, _)| fault);
        [Some(Fault::DiskFull), rotten, spoiled].into_iter().flatten().for_each(|fault| self.clear_up(fault));
        [Harm::SyncFails, Harm::WriteFails, Harm::Interrupts].into_iter().for_each(|harm| self.store.heal(harm));
    }

    pub(super) fn clear_up(&mut self, fault: Fault) {
        match fault {
            Fault::DiskFull => self.clear_disk(),
            Fault::BitRotten | Fault::BitRottenLater => self.look_for_rot(),
            Fault::IndexRotten => self.restore_index(),
            _ => self.clear_weather(fault),
        }
    }

    /// Unless another fault has spoiled it since.
    fn clear_weather(&mut self, fault: Fault) {
        let Some((_, before)) = self.spoiled.take_if(|(spoiled_by, _)| *spoiled_by == fault) else { return };
        self.store.set_weather(None);
        let toll = self.store.toll();
        let has_mattered = match fault {
            Fault::StoreSlow => toll.slowed > before.slowed,
            Fault::StoreRefusing => toll.refused > before.refused,
            _ => toll.unknown > before.unknown,
        };
        if has_mattered {
            self.faults.matter(fault);
        }
    }

    pub(super) fn note_pauses(&mut self, pause_mattered: bool, naps: bool) {
        if pause_mattered {
            self.faults.matter(Fault::Paused);
        }
        if naps {
            self.faults.matter(Fault::PausedBeforeClock);
        }
    }

    /// Somebody is about to do something with a client.
    pub(super) fn watch_order(&mut self, client: usize, order: Order) {
        let body = self.process(ProcessId::Client(client));
        if matches!(order, Order::Say(..)) && std::mem::take(&mut body.has_new_clock) {
            self.faults.matter(Fault::ClockStepped);
        }
        if matches!(order, Order::Remove(_) | Order::Leave) {
            let unacked = self.clients.iter().any(|client| client.unacked_in_group() > 0);
            self.faults.fire(Fault::MemberGone);
            if unacked {
                self.faults.matter(Fault::MemberGone);
            }
        }
    }

    pub(super) fn is_up(&self, process: ProcessId) -> bool {
        self.processes.get(&process).is_some_and(|body| body.is_up)
    }

    fn strike_gateway(&mut self, fault: Fault) -> bool {
        let process = ProcessId::Gateway(self.prng.index(GATEWAYS_COUNT));
        if !self.is_up(process) {
            return false;
        }
        if self.under_way(process) > 0 {
            self.faults.matter(fault);
        }
        self.kill(process, fault == Fault::GatewayGone);
        self.start_within(process, Duration::from_secs(4));
        true
    }

    fn strike_router(&mut self, fault: Fault) -> bool {
        let under_way = self.store.under_way();
        let busy = match (self.shape, fault) {
            (Shape::SingleRows, _) => BUSY_REQUESTS,
            (_, Fault::PowerCut) => *self.prng.pick(&BUSY_SECTORS),
            _ => 1,
        };
        if !self.is_up(ProcessId::Router) || (under_way < busy && self.prng.chance(MISS_PER_MILLE)) {
            return false;
        }
        if under_way > 0 && fault == Fault::RouterKilled {
            self.faults.matter(fault);
        }
        self.end_router(if fault == Fault::PowerCut { Death::OfMachine } else { Death::OfProcess });
        self.start_within(ProcessId::Router, Duration::from_secs(3));
        true
    }

    /// The router's process ends, whatever it was doing.
    pub(super) fn end_router(&mut self, death: Death) {
        self.retire_router();
        self.store.crash(self.at, death);
        self.kill(ProcessId::Router, death == Death::OfMachine);
    }

    /// What it has counted counts.
    pub(super) fn retire_router(&mut self) {
        if let Some(router) = self.router.take() {
            self.work.add_router(router.counters());
        }
    }

    fn fill_disk(&mut self) -> bool {
        if self.full_since.is_some() || !self.store.harm(Harm::Full) {
            return false;
        }
        self.full_since = Some(self.ledger.refused_disk_low);
        let until = self.at + self.prng.between(Duration::from_secs(2), Duration::from_secs(8));
        self.agenda.note(until, Event::ClearUp(Fault::DiskFull));
        true
    }

    fn clear_disk(&mut self) {
        let Some(refused_before) = self.full_since.take() else { return };
        self.store.heal(Harm::Full);
        if self.ledger.refused_disk_low > refused_before {
            self.faults.matter(Fault::DiskFull);
        }
    }

    fn strike_client(&mut self, fault: Fault) -> bool {
        let index = self.prng.index(DEVICES.len());
        let process = ProcessId::Client(index);
        let has_unsaved = self.clients[index].has_something_to_lose();
        let is_online = self.clients[index].is_online();
        if !self.is_up(process) || (fault == Fault::ClientReplaced && !is_online) {
            return false;
        }
        if fault == Fault::ClientKilled && !has_unsaved && self.prng.chance(MISS_PER_MILLE) {
            return false;
        }
        if fault == Fault::ClientKilled {
            if has_unsaved {
                self.faults.matter(fault);
            }
            self.kill(process, false);
            self.start_within(process, Duration::from_secs(5));
            return true;
        }
        // The new life is heard of before the end of the old one is.
        if self.clients[index].wire().is_some_and(|wire| self.network.is_whole(wire)) {
            self.faults.matter(fault);
        }
        self.abandon(process);
        self.start_within(process, Duration::from_millis(100));
        true
    }

    fn kill(&mut self, process: ProcessId, machine_too: bool) {
        self.trace.note(self.at, format_args!("{process:?} dies"));
        for (wire, end) in self.network.wires_of(process) {
            if machine_too {
                self.network.vanish(wire, end);
            } else {
                self.network.close(self.at, wire, end);
            }
        }
        self.bury(process);
    }

    /// The process dies, and the other ends of its wires are not told before they send something.
    fn abandon(&mut self, process: ProcessId) {
        self.trace.note(self.at, format_args!("{process:?} dies without a word"));
        for (wire, end) in self.network.wires_of(process) {
            self.network.abandon(wire, end);
        }
        self.bury(process);
    }

    /// It is gone, and nothing that was meant for it reaches its next life.
    pub(super) fn bury(&mut self, process: ProcessId) {
        let body = self.process(process);
        (body.is_up, body.life) = (false, body.life + 1);
        body.inbox.clear();
        self.listeners.remove(&process);
    }

    pub(super) fn start_within(&mut self, process: ProcessId, delay_max: Duration) {
        let at = self.at + self.prng.between(Duration::from_millis(1), delay_max);
        self.agenda.note(at, Event::Start(process));
    }

    /// Things on their way from and to a process.
    fn under_way(&self, process: ProcessId) -> usize {
        self.network.wires_of(process).iter().map(|(wire, _)| self.network.under_way(*wire)).sum()
    }

    fn connection(&mut self) -> Option<WireId> {
        let of_clients = |(_, dialer, _): &(WireId, ProcessId, ProcessId)| matches!(dialer, ProcessId::Client(_));
        let wires: Vec<WireId> = self.network.wires().filter(of_clients).map(|(wire, ..)| wire).collect();
        (!wires.is_empty()).then(|| *self.prng.pick(&wires))
    }

    fn cut_connection(&mut self, fault: Fault, cut: Cut) -> bool {
        let Some(wire) = self.connection() else { return false };
        self.network.cut(self.at, wire, cut, fault);
        true
    }

    fn stall_connection(&mut self) -> bool {
        let Some(wire) = self.connection() else { return false };
        let until = self.at + self.prng.between(Duration::from_millis(100), Duration::from_secs(8));
        self.network.stall(wire, until, Fault::ConnectionStalled);
        true
    }

    fn strike_link(&mut self, fault: Fault) -> bool {
        let links: Vec<WireId> = self
            .network
            .wires()
            .filter(|(_, _, listener)| *listener == ProcessId::Router)
            .map(|(wire, ..)| wire)
            .collect();
        if links.is_empty() {
            return false;
        }
        let wire = *self.prng.pick(&links);
        match fault {
            Fault::LinkReset => self.network.cut(self.at, wire, Cut::Reset, fault),
            Fault::LinkHalfOpen => {
                let end = *self.prng.pick(&[End::Dialer, End::Listener]);
                self.network.cut(self.at, wire, Cut::HalfOpen(end), fault);
            }
            _ => {
                let until = self.at + self.prng.between(Duration::from_millis(100), LINK_STALL_MAX);
                self.network.stall(wire, until, fault);
            }
        }
        true
    }

    fn step_clock(&mut self) -> bool {
        const MINUTE_MS: i64 = 60_000;
        let step_ms = *self.prng.pick(&[MINUTE_MS, 5 * MINUTE_MS, 60 * MINUTE_MS, 3 * 24 * 60 * MINUTE_MS]);
        let step_ms = if self.prng.chance(500) { step_ms } else { -step_ms };
        let client = ProcessId::Client(self.prng.index(DEVICES.len()));
        let body = self.process(client);
        body.clock.wall_ahead_ms += step_ms;
        body.has_new_clock = true;
        true
    }

    fn pause(&mut self, fault: Fault) -> bool {
        let processes: Vec<ProcessId> = self.processes.keys().copied().filter(|process| self.is_up(*process)).collect();
        let process = if self.prng.chance(400) { ProcessId::Router } else { *self.prng.pick(&processes) };
        if !self.is_up(process) {
            return false;
        }
        let pause = self.prng.between(Duration::from_millis(50), Duration::from_secs(6));
        let until = self.at + pause;
        let body = self.process(process);
        if fault == Fault::Paused {
            (body.paused_until, body.is_paused) = (until, true);
        } else {
            body.nap = Some(pause);
        }
        true
    }

    fn spoil_weather(&mut self, fault: Fault) -> bool {
        let weather = match fault {
            Fault::StoreSlow => {
                let latency_max = self.prng.between(Duration::from_millis(50), Duration::from_millis(800));
                Weather { latency_max, ..Weather::FAIR }
            }
            Fault::StoreRefusing => Weather { unavailable_per_mille: 300, ..Weather::FAIR },
            _ => Weather { unknown_per_mille: 300, ..Weather::FAIR },
        };
        if self.spoiled.is_some() {
            return false;
        }
        self.spoiled = Some((fault, self.store.toll()));
        self.store.set_weather(Some(weather));
        let until = self.at + self.prng.between(Duration::from_secs(1), Duration::from_secs(6));
        self.agenda.note(until, Event::ClearUp(fault));
        true
    }

    /// The client is told that what it has sent may be lost, and it is not.
    fn make_client_resend(&mut self) -> bool {
        let is_candidate = |index: &usize| self.clients[*index].is_online() && self.clients[*index].unacked_count() > 0;
        let candidates: Vec<usize> = (0..DEVICES.len()).filter(is_candidate).collect();
        if candidates.is_empty() {
            return false;
        }
        let index = *self.prng.pick(&candidates);
        let Some(wire) = self.clients[index].wire() else { return false };
        let frame = FrameBuilder::default().resend().to_vec();
        self.faults.matter(Fault::SentTwice);
        self.arrive(ProcessId::Client(index), Input::Wire(wire, Happening::Received(frame)));
        true
    }

    /// What the store has suffered, at the end.
    pub(super) fn take_toll(&mut self) {
        let toll = self.store.toll();
        for (fault, count) in [(Fault::RowLost, toll.lost), (Fault::RowLate, toll.late)] {
            (0..count).for_each(|_| self.faults.fire_and_matter_if(fault, true));
        }
        self.faults.add_disk(&toll.disk);
    }

    /// Whose client it is.
    pub(super) fn user_of(&self, client: usize) -> UserId {
        self.users[crate::script::user_of(client)]
    }
}
