//! The first frame of a connection is its access token; every later one comes back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::Sender;
use std::time::Duration;

use gateway_core::{
    AuthRefusal, CloseCause, ConnectionId, Flow, Identity, LinkEvent, MovedConnection, Peer, Refusal, ShardConfig,
    ShardCounters, ShardGauges, TicketKeys,
};
use gateway_server::{ShardAction, ShardPort};
use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::link::{Batch, LinkError};
use protocol::time::{Instant, Now};
use protocol::trace::TraceNotes;

/// Handshake and token must be done in this time.
pub(crate) const HELLO_TIMEOUT: Duration = Duration::from_millis(1500);

/// See the file's head. A frame that begins with `router ` goes over the link, and what comes from there goes to
/// everybody; `flood` is answered with 32 MiB and a close; a frame that begins with `later ` is taken the second time.
pub(crate) struct EchoShard {
    connections: BTreeMap<ConnectionId, Guest>,
    keys_used: u32,
    actions: VecDeque<ShardAction<Vec<u8>>>,
    batches: VecDeque<Vec<u8>>,
    causes: Sender<CloseCause>,
    counters: ShardCounters,
    notes: TraceNotes,
}

struct Guest {
    is_welcome: bool,
    has_retried: bool,
    opened_at: Instant,
}

impl EchoShard {
    pub(crate) fn new(causes: Sender<CloseCause>) -> EchoShard {
        EchoShard {
            connections: BTreeMap::new(),
            keys_used: 0,
            actions: VecDeque::new(),
            batches: VecDeque::new(),
            causes,
            counters: ShardCounters::default(),
            notes: TraceNotes::default(),
        }
    }

    fn send(&mut self, connection: ConnectionId, frame: &[u8]) {
        self.actions.push_back(ShardAction::Send { connection, frame: frame.to_vec() });
    }

    fn go_away(&mut self, connection: ConnectionId, code: Code) {
        let frame = FrameBuilder::default().go_away(code, 0, 0).to_vec();
        self.send(connection, &frame);
        self.actions.push_back(ShardAction::Close { connection, code });
    }

    fn everybody(&self) -> Vec<ConnectionId> {
        self.connections.keys().copied().collect()
    }
}

impl ShardPort for EchoShard {
    type Frame = Vec<u8>;

    fn handle_limits(&mut self, _config: ShardConfig) {}

    fn handle_ticket_keys(&mut self, _keys: TicketKeys) {}

    fn handle_open(&mut self, now: Now, _peer: Peer) -> Result<ConnectionId, Refusal> {
        self.keys_used += 1;
        let key = ConnectionId { index: self.keys_used, generation: 1 };
        self.connections.insert(key, Guest { is_welcome: false, has_retried: false, opened_at: now.monotonic });
        Ok(key)
    }

    fn handle_frame(&mut self, _now: Now, connection: ConnectionId, frame: &[u8]) -> Flow {
        let guest = self.connections.get_mut(&connection).expect("it is open");
        if !guest.is_welcome {
            let access_token = String::from_utf8_lossy(frame).into_owned();
            self.actions.push_back(ShardAction::Authenticate { connection, access_token });
            return Flow::Hold;
        }
        if frame.starts_with(b"later ") {
            guest.has_retried = !guest.has_retried;
            if guest.has_retried {
                self.actions.push_back(ShardAction::Release { connection });
                return Flow::Retry;
            }
        }
        match frame {
            b"flood" => {
                (0..512).for_each(|_| self.send(connection, &[7; 65_536]));
                self.actions.push_back(ShardAction::Close { connection, code: Code::SlowReader });
            }
            frame if frame.starts_with(b"router ") => self.batches.push_back(frame.to_vec()),
            frame => self.send(connection, frame),
        }
        Flow::Continue
    }

    fn handle_violation(&mut self, _now: Now, connection: ConnectionId, code: Code) {
        self.go_away(connection, code);
    }

    fn handle_authenticated(&mut self, _now: Now, connection: ConnectionId, result: Result<Identity, AuthRefusal>) {
        match result {
            Ok(_) => {
                self.connections.get_mut(&connection).expect("it is open").is_welcome = true;
                self.send(connection, b"welcome");
                self.actions.push_back(ShardAction::Release { connection });
            }
            Err(AuthRefusal::Expired) => self.go_away(connection, Code::TokenExpired),
            Err(_) => self.go_away(connection, Code::TokenInvalid),
        }
    }

    fn handle_leaving(&mut self, _now: Now, _connection: ConnectionId) -> Option<MovedConnection> {
        unreachable!("it sends nobody away")
    }

    fn handle_moved_in(&mut self, _now: Now, _moved: MovedConnection) -> ConnectionId {
        unreachable!("nobody is sent here")
    }

    fn handle_sent(&mut self, _now: Now, _connection: ConnectionId, _bytes_sent: u32) {}

    fn handle_closed(&mut self, _now: Now, connection: ConnectionId, cause: CloseCause) {
        self.connections.remove(&connection).expect("it was open, and ends once");
        // A test that has seen enough does not listen any more.
        let _ = self.causes.send(cause);
    }

    fn handle_link(&mut self, _now: Now, event: LinkEvent) {
        if event == LinkEvent::Down {
            self.everybody().into_iter().for_each(|connection| self.send(connection, b"link down"));
        }
    }

    fn handle_link_batch(&mut self, _now: Now, batch: Batch) -> Result<(), LinkError> {
        self.everybody().into_iter().for_each(|connection| self.send(connection, &batch));
        if *batch == *b"garbage" { Err(LinkError::Invalid) } else { Ok(()) }
    }

    fn handle_drain(&mut self, _now: Now, _reconnect_window: Duration) {
        self.everybody().into_iter().for_each(|connection| self.go_away(connection, Code::GoingAway));
    }

    fn handle_timeout(&mut self, now: Now) {
        for connection in self.everybody() {
            let guest = self.connections.get_mut(&connection).expect("just listed");
            if !guest.is_welcome && now.monotonic.since(guest.opened_at) >= HELLO_TIMEOUT {
                guest.opened_at = Instant(u64::MAX);
                self.go_away(connection, Code::HelloTimeout);
            }
        }
    }

    fn poll_action(&mut self) -> Option<ShardAction<Vec<u8>>> {
        self.actions.pop_front()
    }

    fn poll_batch(&mut self) -> Option<Batch> {
        self.batches.pop_front().map(Batch::from)
    }

    fn take_back(&mut self, _batch: Batch) {}

    fn take_spent(&mut self) -> Option<Batch> {
        None
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let strangers = self.connections.values().filter(|guest| !guest.is_welcome);
        strangers.map(|guest| guest.opened_at).min().map(|oldest| oldest + HELLO_TIMEOUT)
    }

    fn frame<'a>(&'a self, frame: &'a Vec<u8>) -> [&'a [u8]; 3] {
        let (head, tail) = frame.split_at(frame.len() / 2);
        [head, tail, &[]]
    }

    fn has_link(&self) -> bool {
        true
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn counters(&self) -> &ShardCounters {
        &self.counters
    }

    fn gauges(&self) -> ShardGauges {
        ShardGauges::default()
    }

    fn notes(&mut self) -> &mut TraceNotes {
        &mut self.notes
    }
}
