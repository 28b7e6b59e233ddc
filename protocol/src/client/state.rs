//! What a device keeps on disk, as a value, and the changes it goes through.
//!
//! A shell holds one, applies each [`Change`] when it has written it, and begins the next session with it. It knows
//! neither files nor encodings.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;

use super::outgoing::Outgoing;
use crate::ids::{ClientMsgId, ConversationId, DeviceGeneration, DeviceId, Seq, StoreIncarnation, UserEpoch, UserSeq};

/// Conversations whose [`Mark`] is kept; those of the others are forgotten, the longest unused first. What it costs to
/// forget one: a repeat in it is shown twice, and a read mark that never reached the server is lost.
pub const MARKS_MAX: usize = 256;

/// How far a device is in its user's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Which life of the store.
    pub store_incarnation: StoreIncarnation,
    /// Which rebuild of the log.
    pub user_epoch: UserEpoch,
    /// Everything up to here.
    pub user_seq: UserSeq,
}

impl Position {
    /// Whether both are of one log, so that their user_seq can be compared.
    pub fn is_same_log(&self, other: &Position) -> bool {
        (self.store_incarnation, self.user_epoch) == (other.store_incarnation, other.user_epoch)
    }
}

/// How far a device is in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which.
    pub conversation: ConversationId,
    /// The newest entry the stream has brought.
    pub held: Seq,
    /// Opened up to here on this device.
    pub read: Seq,
    /// What the server has said about `read`, of this device or another one.
    pub read_confirmed: Seq,
}

/// What the server has given to come back with, for it alone to read. A secret: it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ResumeTicket(pub Box<[u8]>);

impl fmt::Debug for ResumeTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResumeTicket({} bytes)", self.0.len())
    }
}

/// Everything that outlives a session. [`ClientState::new`] is that of a device that was never registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientState {
    /// This installation's own name, by which it is registered once, however often it asks.
    pub install_id: ClientMsgId,
    /// 0 until it is registered.
    pub device: DeviceId,
    /// Of the device.
    pub device_generation: DeviceGeneration,
    /// Of the last Welcome.
    pub resume_ticket: Option<ResumeTicket>,
    /// Events up to here have been applied.
    pub position: Position,
    /// The newest id of ours that may have been sent. All later ones are greater.
    pub last_used_id: Option<ClientMsgId>,
    /// At most [`MARKS_MAX`], the longest unused first.
    pub marks: Vec<Mark>,
    /// What is not yet answered, in the order in which it is sent.
    pub outbox: VecDeque<Outgoing>,
}

/// One step of a [`ClientState`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is registered.
    Registered(DeviceId, DeviceGeneration),
    /// It is what to come back with from now on.
    Ticket(ResumeTicket),
    /// Events up to the position have been applied, and these are the marks that have changed.
    Progress(Position, Vec<Mark>),
    /// The last one in the outbox from now on.
    Queued(Outgoing),
    /// Everything in the outbox may be sent from now on.
    Attempted,
    /// Of something that was never sent.
    Renamed {
        /// Its id until now.
        from: ClientMsgId,
        /// Its id and its frame from now on.
        to: Outgoing,
    },
    /// It has been answered.
    Answered(ClientMsgId),
}

impl ClientState {
    /// A device that is to be registered under this name, which must be on disk before the first session.
    pub fn new(install_id: ClientMsgId) -> ClientState {
        ClientState {
            install_id,
            device: DeviceId(0),
            device_generation: DeviceGeneration(0),
            resume_ticket: None,
            position: Position::default(),
            last_used_id: None,
            marks: Vec::new(),
            outbox: VecDeque::new(),
        }
    }

    /// The state after it. Changes come in the order of their numbers.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Registered(device, generation) => {
                (self.device, self.device_generation) = (*device, *generation);
            }
            Change::Ticket(ticket) => self.resume_ticket = Some(ticket.clone()),
            Change::Progress(position, marks) => {
                if self.position.store_incarnation != position.store_incarnation {
                    self.marks.clear();
                }
                self.position = *position;
                marks.iter().for_each(|mark| put_mark(&mut self.marks, *mark));
            }
            Change::Queued(outgoing) => {
                self.note_used(outgoing);
                self.outbox.push_back(outgoing.clone());
            }
            Change::Attempted => {
                self.outbox.iter_mut().for_each(|outgoing| outgoing.is_attempted = true);
                let newest = self.outbox.iter().filter(|outgoing| !outgoing.is_given).map(|outgoing| outgoing.id).max();
                self.last_used_id = self.last_used_id.max(newest);
            }
            Change::Renamed { from, to } => {
                if let Some(outgoing) = self.outbox.iter_mut().find(|outgoing| outgoing.id == *from) {
                    *outgoing = to.clone();
                }
            }
            Change::Answered(id) => self.outbox.retain(|outgoing| outgoing.id != *id),
        }
    }

    fn note_used(&mut self, outgoing: &Outgoing) {
        if outgoing.is_attempted && !outgoing.is_given {
            self.last_used_id = self.last_used_id.max(Some(outgoing.id));
        }
    }
}

/// Puts a mark at the end; forgets the first one beyond the bound.
pub(super) fn put_mark(marks: &mut Vec<Mark>, mark: Mark) {
    marks.retain(|other| other.conversation != mark.conversation);
    if marks.len() == MARKS_MAX {
        marks.remove(0);
    }
    marks.push(mark);
}
