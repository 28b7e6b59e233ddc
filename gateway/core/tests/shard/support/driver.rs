//! What a driver does, and what it may take for granted: every rule of the contract is an assertion here.

use std::collections::{BTreeMap, VecDeque};

use gateway_core::{Action, CloseCause, ConnectionId, Flow, Shard};
use protocol::codes::Code;
use protocol::time::Now;

/// One connection as its driver knows it.
pub(crate) struct Guest {
    pub(crate) flow: Flow,
    /// Sent by the client and not taken by the shard.
    pub(crate) unread: VecDeque<Vec<u8>>,
    /// Sent by the shard and not looked at by the test.
    pub(crate) received: Vec<Vec<u8>>,
    /// Which of all sends was the first for it.
    pub(crate) first_send: Option<u64>,
    pub(crate) closed: Option<Code>,
    /// Given by the shard and not in the socket's buffer.
    pub(crate) queue_bytes: u32,
    /// A socket that takes nothing.
    pub(crate) is_stuck: bool,
}

#[derive(Default)]
pub(crate) struct Driver {
    pub(crate) guests: BTreeMap<ConnectionId, Guest>,
    pub(crate) tokens: Vec<(ConnectionId, String)>,
    pub(crate) sends: u64,
    pub(crate) send_bytes: u64,
    pub(crate) closes: u64,
    /// Who has to go to which shard.
    pub(crate) moves: Vec<(ConnectionId, u16)>,
    /// In what order everything was wanted, for the comparison of two runs.
    pub(crate) trace: u64,
}

impl Driver {
    pub(crate) fn admit(&mut self, connection: ConnectionId) {
        let guest = Guest {
            flow: Flow::Continue,
            unread: VecDeque::new(),
            received: Vec::new(),
            first_send: None,
            closed: None,
            queue_bytes: 0,
            is_stuck: false,
        };
        let previous = self.guests.insert(connection, guest);
        assert!(previous.is_none(), "an id is given to one connection");
    }

    pub(crate) fn receive(&mut self, now: Now, shard: &mut Shard, connection: ConnectionId, frame: &[u8]) {
        let guest = self.guests.get_mut(&connection).expect("clients send on open connections");
        guest.unread.push_back(frame.to_vec());
        self.bring(now, shard, connection);
    }

    /// Brings what is unread, as far as the shard takes it.
    fn bring(&mut self, now: Now, shard: &mut Shard, connection: ConnectionId) {
        let guest = self.guests.get_mut(&connection).expect("who is brought is open");
        while guest.flow == Flow::Continue && guest.closed.is_none() {
            let Some(frame) = guest.unread.front() else { return };
            guest.flow = shard.handle_frame(now, connection, frame);
            if guest.flow != Flow::Retry {
                guest.unread.pop_front();
            }
        }
    }

    /// True when there was anything to do.
    pub(crate) fn drain(&mut self, now: Now, shard: &mut Shard) -> bool {
        let mut acted = false;
        while let Some(action) = shard.poll_action() {
            acted = true;
            self.act(now, shard, action);
        }
        for (connection, guest) in self.guests.iter_mut().filter(|(_, guest)| !guest.is_stuck && guest.queue_bytes > 0)
        {
            shard.handle_sent(now, *connection, guest.queue_bytes);
            guest.queue_bytes = 0;
            acted = true;
        }
        acted
    }

    fn act(&mut self, now: Now, shard: &mut Shard, action: Action) {
        let connection = action.connection();
        let guest = self.guests.get_mut(&connection).expect("an action is for a connection that is open");
        assert_eq!(guest.closed, None, "after its close nothing is wanted of a connection: {action:?}");
        self.trace = note(self.trace, u64::from(connection.index) << 32 | u64::from(connection.generation));
        match action {
            Action::Authenticate { access_token, .. } => self.tokens.push((connection, access_token)),
            Action::Send { frame, .. } => {
                let bytes = shard.frame(&frame).concat();
                assert_eq!(frame.queue_bytes() as usize, bytes.len() + 4);
                self.trace = bytes.iter().fold(self.trace, |trace, byte| note(trace, u64::from(*byte)));
                self.sends += 1;
                guest.first_send.get_or_insert(self.sends);
                self.send_bytes += u64::from(frame.queue_bytes());
                guest.queue_bytes += frame.queue_bytes();
                guest.received.push(bytes);
            }
            Action::Release { .. } => {
                assert_ne!(guest.flow, Flow::Continue, "only who is held is released");
                guest.flow = Flow::Continue;
                self.bring(now, shard, connection);
            }
            Action::MoveTo { shard, .. } => self.moves.push((connection, shard)),
            Action::Close { code, .. } => {
                self.closes += 1;
                self.trace = note(self.trace, u64::from(code.number()));
                guest.closed = Some(code);
            }
        }
    }

    /// The socket is gone.
    pub(crate) fn end(&mut self, now: Now, shard: &mut Shard, connection: ConnectionId, cause: CloseCause) {
        self.guests.remove(&connection).expect("it ends once");
        shard.handle_closed(now, connection, cause);
    }

    /// Those that are not closed.
    pub(crate) fn open(&self) -> impl Iterator<Item = (ConnectionId, &Guest)> {
        self.guests.iter().filter(|(_, guest)| guest.closed.is_none()).map(|(id, guest)| (*id, guest))
    }
}

fn note(trace: u64, value: u64) -> u64 {
    (trace.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
