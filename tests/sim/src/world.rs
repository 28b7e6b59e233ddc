//! The simulated system as a whole: processes, network, store and people, moved on from one event to the next.
//!
//! Invariants: time never goes back; everything random comes from the seed; nothing here knows how a promise is kept.

mod ending;
mod operator;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::ids::{Realm, UserId};
use protocol::time::Instant;
use router_core::RouterConfig;
use storage_api::{Request, Response};

use crate::agenda::Agenda;
use crate::client_host::ClientHost;
use crate::fault::{Fault, FaultTable};
use crate::gateway_host::GatewayHost;
use crate::ledger::Ledger;
use crate::network::Network;
use crate::outcome::Work;
use crate::prng::Prng;
use crate::process::{Input, Process, ProcessId, Surroundings};
use crate::promise::Broken;
use crate::router_host::RouterHost;
use crate::script::{CROWD_COUNT, DEVICES, GATEWAYS_COUNT, HANDLES, Script, Step, TRANSIENTS};
use crate::sighting::Place;
use crate::store::{EmbeddedHost, Sabotage, SabotagedStore, Shape, SimulatedStore, Store, StoreToll, Weather};
use crate::trace::Trace;

/// From a wake-up to the turn.
const WAKING_MAX: Duration = Duration::from_micros(100);
/// People and machines arrive within this time.
const ARRIVAL_MAX: Duration = Duration::from_secs(1);
/// A device that was revoked is linked anew within this time.
const LINKED_ANEW_MAX: Duration = Duration::from_secs(6);
/// More events than this at one moment of virtual time are a loop without end.
const EVENTS_AT_ONCE_MAX: u32 = 100_000;

/// What is to happen to a process, or to everybody. The number is the life of the process it is meant for.
enum Event {
    Turn(ProcessId, u64),
    /// A turn whose inputs were collected before a pause.
    LateTurn(ProcessId, u64, Vec<Input>),
    Timer(ProcessId, u64),
    Arrive(ProcessId, u64, Input),
    Start(ProcessId),
    Script(Step),
    /// An operator looks whether this is erased by now.
    Erase(Place),
    /// What this fault has spoiled for a while is good again.
    ClearUp(Fault),
    /// Somebody sees that the router is read-only.
    CheckStore(u64),
    /// Somebody puts back what has rotted.
    RestoreStore,
}

/// One seed's world.
pub struct World {
    seed: u64,
    at: Instant,
    prng: Prng,
    agenda: Agenda<Event>,
    network: Network,
    shape: Shape,
    store: Box<dyn Store>,
    trace: Trace,
    ledger: Ledger,
    processes: BTreeMap<ProcessId, Process>,
    listeners: BTreeSet<ProcessId>,
    gateways: Vec<GatewayHost>,
    /// `None` while its store is not open.
    router: Option<RouterHost>,
    router_config: RouterConfig,
    clients: Vec<ClientHost>,
    users: Vec<UserId>,
    faults: FaultTable,
    work: Work,
    broken: Option<Broken>,
    is_calm: bool,
    /// What the store had suffered when its weather was spoiled last, and by what.
    spoiled: Option<(Fault, StoreToll)>,
    /// How many had been refused for lack of room when the disk became full.
    full_since: Option<u64>,
    /// Which fault has made a bit rot that has not been put back, and whether that has been reported.
    rotten: Option<(Fault, bool)>,
    /// The next process that opens the store checks it.
    wants_check: bool,
}

impl World {
    /// Before anything has happened.
    pub fn new(seed: u64, sabotage: Option<Sabotage>, prints_trace: bool) -> World {
        let mut prng = Prng::new(seed);
        let shape = *prng.pick(&[Shape::SingleRows, Shape::OneLog, Shape::Embedded, Shape::Embedded]);
        let (store, users) = found_store(&mut prng, shape, sabotage);
        let router_config = router_config(&mut prng, sabotage);
        let mut world = World {
            seed,
            at: Instant::default(),
            agenda: Agenda::default(),
            network: Network::new(prng.fork()),
            trace: Trace::new(prints_trace),
            ledger: Ledger::default(),
            processes: BTreeMap::new(),
            listeners: BTreeSet::new(),
            gateways: (0..GATEWAYS_COUNT).map(|index| GatewayHost::new(index, 1)).collect(),
            router: None,
            router_config,
            clients: Vec::new(),
            faults: FaultTable::default(),
            work: Work::default(),
            broken: None,
            is_calm: false,
            spoiled: None,
            full_since: None,
            rotten: None,
            wants_check: false,
            prng,
            shape,
            store,
            users,
        };
        world.populate();
        world
    }

    fn populate(&mut self) {
        let mut script = Script::draw(&mut self.prng.fork(), &self.users, self.shape);
        while let Some((at, step)) = script.pop() {
            self.agenda.note(at, Event::Script(step));
        }
        let owners = DEVICES.iter().map(|user| (*user, false)).chain(TRANSIENTS.iter().map(|user| (*user, true)));
        for (index, (user, is_transient)) in owners.enumerate() {
            let host = ClientHost::new(index, user, self.users[user], is_transient, &mut self.prng);
            self.clients.push(host);
        }
        let gateways = (0..GATEWAYS_COUNT).map(ProcessId::Gateway);
        let clients = (0..self.clients.len()).map(ProcessId::Client);
        for process in gateways.chain([ProcessId::Router]).chain(clients) {
            self.processes.insert(process, Process::default());
            let at = self.at + self.prng.between(Duration::ZERO, ARRIVAL_MAX);
            self.agenda.note(at, Event::Start(process));
        }
    }

    /// Everything that happens until then, unless a promise is broken before.
    fn run_until(&mut self, deadline: Instant) {
        let mut events_at_once = 0;
        while self.broken.is_none() {
            let next =
                [self.agenda.next_at(), self.network.next_at(), self.store.next_at()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= deadline) else { break };
            events_at_once = if next > self.at { 0 } else { events_at_once + 1 };
            assert!(events_at_once < EVENTS_AT_ONCE_MAX, "time stands still at {:?}", self.at);
            self.at = self.at.max(next);
            self.step();
        }
        self.at = self.at.max(deadline);
    }

    fn step(&mut self) {
        while let Some((process, wire, happening)) = self.network.poll(self.at) {
            let peer = self.network.peer(wire, process);
            self.trace.wire(self.at, process, wire, peer, &happening);
            self.arrive(process, Input::Wire(wire, happening));
        }
        for fault in self.network.take_mattered() {
            self.faults.matter(fault);
        }
        for (token, result) in self.store.poll(self.at) {
            self.trace.note(self.at, format_args!("store completes {} {result:?}", token.0));
            self.arrive(ProcessId::Router, Input::Stored(token, result));
        }
        while let Some((_, event)) = self.agenda.pop_due(self.at) {
            self.happen(event);
        }
        while let Some(news) = self.store.poll_news() {
            self.hear_of_store(news);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Turn(process, life) => self.begin_turn(process, life),
            Event::LateTurn(process, life, inputs) => {
                if self.process(process).life == life {
                    self.turn(process, inputs);
                }
            }
            Event::Timer(process, life) => {
                let at = self.at;
                let body = self.process(process);
                if body.life == life && body.timer_at == Some(at) {
                    body.timer_at = None;
                    self.wake(process);
                }
            }
            Event::Arrive(process, life, input) => {
                if self.process(process).life == life {
                    self.arrive(process, input);
                }
            }
            Event::Start(process) => self.start(process),
            Event::Script(step) => self.perform(step),
            Event::Erase(place) => self.erase(place),
            Event::ClearUp(fault) => self.clear_up(fault),
            Event::CheckStore(life) => self.check_store(life),
            Event::RestoreStore => self.restore_store(),
        }
    }

    fn process(&mut self, id: ProcessId) -> &mut Process {
        self.processes.get_mut(&id).expect("the processes are made once")
    }

    fn arrive(&mut self, process: ProcessId, input: Input) {
        let body = self.process(process);
        if body.is_up {
            body.inbox.push_back(input);
            self.wake(process);
        }
    }

    fn wake(&mut self, process: ProcessId) {
        let waking = self.prng.between(Duration::ZERO, WAKING_MAX);
        let at = self.at + waking;
        let body = self.process(process);
        if body.is_up && !body.is_woken {
            body.is_woken = true;
            let (at, life) = (at.max(body.paused_until), body.life);
            self.agenda.note(at, Event::Turn(process, life));
        }
    }

    fn begin_turn(&mut self, process: ProcessId, life: u64) {
        let at = self.at;
        let body = self.process(process);
        if body.life != life {
            return;
        }
        if body.paused_until > at {
            let until = body.paused_until;
            self.agenda.note(until, Event::Turn(process, life));
            return;
        }
        let inputs: Vec<Input> = body.inbox.drain(..).collect();
        let naps = inputs.iter().any(|input| process != ProcessId::Router || matches!(input, Input::Stored(..)));
        let pause_mattered = std::mem::take(&mut body.is_paused) && !inputs.is_empty();
        let nap = if naps { body.nap.take() } else { None };
        self.note_pauses(pause_mattered, nap.is_some());
        match nap {
            Some(nap) => self.agenda.note(at + nap, Event::LateTurn(process, life, inputs)),
            None => self.turn(process, inputs),
        }
    }

    fn turn(&mut self, process: ProcessId, inputs: Vec<Input>) {
        let at = self.at;
        let body = self.process(process);
        body.is_woken = false;
        let now = body.clock.read(at);
        let mut around = Surroundings {
            at,
            process,
            network: &mut self.network,
            store: &mut *self.store,
            trace: &mut self.trace,
            ledger: &mut self.ledger,
            work: &mut self.work,
            broken: &mut self.broken,
            listeners: &self.listeners,
            prng: &mut self.prng,
            later: Vec::new(),
        };
        let next_at = match process {
            ProcessId::Gateway(index) => {
                let host = &mut self.gateways[index];
                host.turn(now, inputs, &mut around);
                host.next_at()
            }
            ProcessId::Router => {
                let host = self.router.as_mut().expect("nothing reaches a router before its store is open");
                host.turn(now, inputs, &mut around);
                host.next_at()
            }
            ProcessId::Client(index) => {
                let host = &mut self.clients[index];
                host.turn(now, inputs, &mut around);
                host.next_at()
            }
        };
        let later = around.later;
        self.end_turn(process, next_at, later);
    }

    fn end_turn(&mut self, process: ProcessId, next_at: Option<Instant>, later: Vec<(Duration, Input)>) {
        let at = self.at;
        let body = self.process(process);
        let (life, has_more) = (body.life, !body.inbox.is_empty());
        let timer_at = next_at.map(|next| next.max(at)).filter(|next| body.timer_at.is_none_or(|set| *next < set));
        if let Some(timer_at) = timer_at {
            body.timer_at = Some(timer_at);
            self.agenda.note(timer_at, Event::Timer(process, life));
        }
        for (delay, input) in later {
            self.agenda.note(at + delay, Event::Arrive(process, life, input));
        }
        if has_more {
            self.wake(process);
        }
        self.look_after_revoked(process);
    }

    /// Somebody finds out that a device of theirs was revoked, and links it anew after a while.
    fn look_after_revoked(&mut self, process: ProcessId) {
        if let ProcessId::Client(index) = process
            && self.clients[index].is_revoked()
        {
            self.bury(process);
            self.start_within(process, LINKED_ANEW_MAX);
        }
    }

    fn start(&mut self, process: ProcessId) {
        let body = self.process(process);
        if body.is_up {
            return;
        }
        let clock = body.clock;
        let life = body.life + 1;
        *body = Process { clock, life, is_up: true, ..Process::default() };
        self.trace.note(self.at, format_args!("{process:?} starts life {life}"));
        match process {
            ProcessId::Gateway(index) => self.gateways[index] = GatewayHost::new(index, life),
            ProcessId::Router => return self.open_store(),
            ProcessId::Client(index) => self.clients[index].start(&mut self.prng),
        }
        self.listeners.insert(process);
        self.arrive(process, Input::Start);
    }

    fn perform(&mut self, step: Step) {
        match step {
            Step::Order(client, order) => {
                if self.process(ProcessId::Client(client)).is_up {
                    self.watch_order(client, order);
                    self.arrive(ProcessId::Client(client), Input::Order(order));
                } else {
                    // The app is not there; its user tries again a little later.
                    let at = self.at + Duration::from_millis(500);
                    self.agenda.note(at, Event::Script(step));
                }
            }
            Step::Erase(draw) => self.begin_erasure(draw),
            Step::Fault(fault) => self.strike(fault),
            Step::Calm => self.calm_down(),
        }
    }
}

/// A store of this shape with nothing but the users in it.
fn found_store(prng: &mut Prng, shape: Shape, sabotage: Option<Sabotage>) -> (Box<dyn Store>, Vec<UserId>) {
    let latency_max = Duration::from_millis(*prng.pick(&[1, 4, 40]));
    let fair = Weather { latency_max, ..Weather::FAIR };
    let crowd = (0..CROWD_COUNT).map(|index| format!("crowd-{index}"));
    let handles: Vec<String> = HANDLES.iter().map(ToString::to_string).chain(crowd).collect();
    if shape == Shape::Embedded {
        let store = EmbeddedHost::new(&handles, fair, sabotage == Some(Sabotage::Fsync), prng.fork());
        let users = store.users();
        return (sabotaged(store, sabotage, &users), users);
    }
    let mut store = SimulatedStore::new(shape == Shape::OneLog, fair, prng.fork());
    let mut ensure = |handle: &str| {
        let response = store.look(&Request::EnsureUser { realm: Realm(1), handle: handle.to_owned() });
        let Response::Users(users) = response else { panic!("a user was asked for") };
        users.first().expect("it was made if need be").id
    };
    let users: Vec<UserId> = handles.iter().map(|handle| ensure(handle)).collect();
    (sabotaged(store, sabotage, &users), users)
}

fn sabotaged(store: impl Store + 'static, sabotage: Option<Sabotage>, users: &[UserId]) -> Box<dyn Store> {
    match sabotage {
        Some(sabotage) => Box::new(SabotagedStore::new(store, sabotage, users.to_vec())),
        None => Box::new(store),
    }
}

/// Small bounds now and then, so that what happens at them happens.
fn router_config(prng: &mut Prng, sabotage: Option<Sabotage>) -> RouterConfig {
    let dedup_window_entries = if sabotage == Some(Sabotage::Dedup) { 0 } else { *prng.pick(&[0, 4, 256]) };
    RouterConfig {
        dedup_window_entries,
        conversations_max: *prng.pick(&[1, 100]),
        users_max: *prng.pick(&[2, 100]),
        push_window_events: *prng.pick(&[4, 256]),
        pull_after: Duration::from_millis(*prng.pick(&[50, 5_000])),
        park_after: Duration::from_millis(*prng.pick(&[20, 30_000])),
        ..RouterConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Ending;

    #[test]
    fn a_seed_sends_and_suffers_enough_on_a_store_of_any_shape() {
        for shape in [Shape::SingleRows, Shape::OneLog, Shape::Embedded] {
            let worlds = (0..).map(|seed| World::new(seed, None, false)).filter(|world| world.shape == shape);
            for outcome in worlds.take(2).map(World::run) {
                assert_eq!(outcome.ending, Ending::Green, "seed {}", outcome.seed);
                let Work { messages_sent, faults_struck, .. } = outcome.work;
                // An order to an app that dies at that moment is lost with it.
                let is_enough = messages_sent >= 295 && faults_struck >= 5;
                assert!(is_enough, "seed {}: {messages_sent} messages, {faults_struck} faults", outcome.seed);
            }
        }
    }

    #[test]
    fn a_seed_has_one_history() {
        let run = |seed| World::new(seed, None, false).run();
        let (one, other, another) = (run(3), run(3), run(4));
        assert_eq!((one.trace_hash, one.work, one.faults), (other.trace_hash, other.work, other.faults));
        assert_ne!(one.trace_hash, another.trace_hash);
    }
}
