//! A peer of the baseline.

use bench_baseline::wire::{Kind, Record};

use crate::peer::{Heard, Peer, Stamp};

pub(crate) struct BaselinePeer {
    outgoing: Vec<u8>,
    received: Vec<u8>,
    /// Of the other one, and not acked.
    last: Option<u64>,
}

impl BaselinePeer {
    pub(crate) fn new(pair: usize, end: usize, heard: &mut Vec<Heard>) -> BaselinePeer {
        let mut outgoing = Vec::new();
        Record { kind: Kind::Join, first: pair as u64, second: end as u64 }.encode(&mut outgoing);
        heard.push(Heard::Live);
        BaselinePeer { outgoing, received: Vec::new(), last: None }
    }
}

impl Peer for BaselinePeer {
    fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.outgoing
    }

    fn receive(&mut self, bytes: &[u8], heard: &mut Vec<Heard>) -> anyhow::Result<()> {
        self.received.extend_from_slice(bytes);
        let mut rest = &self.received[..];
        while let Some((record, size)) = Record::decode(rest) {
            rest = rest.get(size..).unwrap_or_default();
            heard.push(match record.kind {
                Kind::Answer => Heard::Answered,
                Kind::Message => {
                    self.last = Some(record.first);
                    Heard::Message(Stamp { number: record.first, due_ns: record.second })
                }
                _ => Heard::Tick,
            });
        }
        let rest_size = rest.len();
        self.received.drain(..self.received.len() - rest_size);
        Ok(())
    }

    fn send(&mut self, stamp: Stamp) -> anyhow::Result<()> {
        Record { kind: Kind::Message, first: stamp.number, second: stamp.due_ns }.encode(&mut self.outgoing);
        Ok(())
    }

    fn ack(&mut self) -> anyhow::Result<()> {
        if let Some(last) = self.last.take() {
            Record { kind: Kind::Ack, first: last, second: 0 }.encode(&mut self.outgoing);
        }
        Ok(())
    }
}
