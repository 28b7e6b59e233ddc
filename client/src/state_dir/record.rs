//! A client's state as bytes: the changes of a batch, and a whole state as the changes that lead to it.
//!
//! Little-endian. Numbers of records are never given to something else.

use protocol::client::{Change, ClientState, Mark, Outgoing, Position, ResumeTicket};
use protocol::ids::{
    ClientMsgId, ConversationId, DeviceGeneration, DeviceId, Seq, StoreIncarnation, UserEpoch, UserSeq,
};

const INSTALLED: u8 = 1;
const REGISTERED: u8 = 2;
const PROGRESS: u8 = 3;
const QUEUED: u8 = 4;
const ATTEMPTED: u8 = 5;
const RENAMED: u8 = 6;
const ANSWERED: u8 = 7;
const LAST_USED: u8 = 8;
const TICKET: u8 = 9;

const IS_GIVEN: u8 = 1;
const IS_ATTEMPTED: u8 = 2;

/// Bytes that are not what was written, although their checksum is right: of a later version, or a fault of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordError;

pub(super) fn encode_change(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Registered(device, generation) => {
            bytes.push(REGISTERED);
            bytes.extend(device.0.to_le_bytes());
            bytes.extend(generation.0.to_le_bytes());
        }
        Change::Ticket(ticket) => {
            bytes.push(TICKET);
            bytes.extend((ticket.0.len() as u32).to_le_bytes());
            bytes.extend(&ticket.0);
        }
        Change::Progress(position, marks) => {
            bytes.push(PROGRESS);
            bytes.extend(position.store_incarnation.0.to_le_bytes());
            bytes.extend(position.user_epoch.0.to_le_bytes());
            bytes.extend(position.user_seq.0.to_le_bytes());
            bytes.extend((marks.len() as u32).to_le_bytes());
            for mark in marks {
                bytes.extend(mark.conversation.0);
                bytes.extend(mark.held.0.to_le_bytes());
                bytes.extend(mark.read.0.to_le_bytes());
                bytes.extend(mark.read_confirmed.0.to_le_bytes());
            }
        }
        Change::Queued(outgoing) => {
            bytes.push(QUEUED);
            encode_outgoing(bytes, outgoing);
        }
        Change::Attempted => bytes.push(ATTEMPTED),
        Change::Renamed { from, to } => {
            bytes.push(RENAMED);
            bytes.extend(from.0);
            encode_outgoing(bytes, to);
        }
        Change::Answered(id) => {
            bytes.push(ANSWERED);
            bytes.extend(id.0);
        }
    }
}

pub(super) fn encode_state(bytes: &mut Vec<u8>, state: &ClientState) {
    bytes.push(INSTALLED);
    bytes.extend(state.install_id.0);
    encode_change(bytes, &Change::Registered(state.device, state.device_generation));
    if let Some(ticket) = &state.resume_ticket {
        encode_change(bytes, &Change::Ticket(ticket.clone()));
    }
    encode_change(bytes, &Change::Progress(state.position, state.marks.clone()));
    for outgoing in &state.outbox {
        bytes.push(QUEUED);
        encode_outgoing(bytes, outgoing);
    }
    if let Some(id) = state.last_used_id {
        bytes.push(LAST_USED);
        bytes.extend(id.0);
    }
}

fn encode_outgoing(bytes: &mut Vec<u8>, outgoing: &Outgoing) {
    let is_given = if outgoing.is_given { IS_GIVEN } else { 0 };
    let is_attempted = if outgoing.is_attempted { IS_ATTEMPTED } else { 0 };
    bytes.push(is_given | is_attempted);
    bytes.extend((outgoing.frame().len() as u32).to_le_bytes());
    bytes.extend(outgoing.frame());
}

/// Applies the records of a batch. On an error the state is of no use.
pub(super) fn apply(state: &mut ClientState, batch: &[u8]) -> Result<(), RecordError> {
    let mut reader = Reader(batch);
    while !reader.0.is_empty() {
        let change = match reader.u8()? {
            INSTALLED => {
                *state = ClientState::new(ClientMsgId(reader.array()?));
                continue;
            }
            LAST_USED => {
                state.last_used_id = Some(ClientMsgId(reader.array()?));
                continue;
            }
            REGISTERED => Change::Registered(DeviceId(reader.u64()?), DeviceGeneration(reader.u32()?)),
            TICKET => {
                let size = reader.u32()? as usize;
                Change::Ticket(ResumeTicket(reader.take(size)?.into()))
            }
            PROGRESS => reader.progress()?,
            QUEUED => Change::Queued(reader.outgoing()?),
            ATTEMPTED => Change::Attempted,
            RENAMED => Change::Renamed { from: ClientMsgId(reader.array()?), to: reader.outgoing()? },
            ANSWERED => Change::Answered(ClientMsgId(reader.array()?)),
            _ => return Err(RecordError),
        };
        state.apply(&change);
    }
    Ok(())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, size: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.0.split_at_checked(size).ok_or(RecordError)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], RecordError> {
        self.take(SIZE)?.try_into().map_err(|_| RecordError)
    }

    fn u8(&mut self) -> Result<u8, RecordError> {
        self.array().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, RecordError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, RecordError> {
        self.array().map(u64::from_le_bytes)
    }

    fn progress(&mut self) -> Result<Change, RecordError> {
        let position = Position {
            store_incarnation: StoreIncarnation(self.u64()?),
            user_epoch: UserEpoch(self.u64()?),
            user_seq: UserSeq(self.u64()?),
        };
        let marks = (0..self.u32()?).map(|_| self.mark()).collect::<Result<_, _>>()?;
        Ok(Change::Progress(position, marks))
    }

    fn mark(&mut self) -> Result<Mark, RecordError> {
        Ok(Mark {
            conversation: ConversationId(self.array()?),
            held: Seq(self.u64()?),
            read: Seq(self.u64()?),
            read_confirmed: Seq(self.u64()?),
        })
    }

    fn outgoing(&mut self) -> Result<Outgoing, RecordError> {
        let flags = self.u8()?;
        let size = self.u32()? as usize;
        let frame = self.take(size)?;
        Outgoing::decode(frame, flags & IS_GIVEN != 0, flags & IS_ATTEMPTED != 0).map_err(|_| RecordError)
    }
}
