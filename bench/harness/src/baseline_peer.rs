//! A peer of the baseline.

use anyhow::Result;
use bench_baseline::wire::{Kind, Record};

use crate::peer::{Desk, Heard, Peer, Stamp};

/// See the file's head.
pub struct BaselinePeer {
    pair: u64,
    end: u64,
    /// A record of which the rest has not come.
    torn: Vec<u8>,
    /// Of the other one, and not acked.
    last: Option<u64>,
}

impl BaselinePeer {
    /// One end, 0 or 1, of a pair.
    pub fn new(pair: usize, end: usize) -> BaselinePeer {
        BaselinePeer { pair: pair as u64, end: end as u64, torn: Vec::new(), last: None }
    }
}

impl Peer for BaselinePeer {
    fn arrive(&mut self, _desk: &mut Desk, outgoing: &mut Vec<u8>, heard: &mut Vec<Heard>) -> Result<()> {
        Record { kind: Kind::Join, first: self.pair, second: self.end }.encode(outgoing);
        heard.push(Heard::Live);
        Ok(())
    }

    fn receive(
        &mut self,
        bytes: &[u8],
        _desk: &mut Desk,
        _outgoing: &mut Vec<u8>,
        heard: &mut Vec<Heard>,
    ) -> Result<()> {
        self.torn.extend_from_slice(bytes);
        let mut rest = &self.torn[..];
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
        self.torn.drain(..self.torn.len() - rest_size);
        Ok(())
    }

    fn send(&mut self, stamp: Stamp, _desk: &mut Desk, outgoing: &mut Vec<u8>) -> Result<()> {
        Record { kind: Kind::Message, first: stamp.number, second: stamp.due_ns }.encode(outgoing);
        Ok(())
    }

    fn ack(&mut self, _desk: &mut Desk, outgoing: &mut Vec<u8>) -> Result<()> {
        if let Some(last) = self.last.take() {
            Record { kind: Kind::Ack, first: last, second: 0 }.encode(outgoing);
        }
        Ok(())
    }

    /// The baseline asks for none.
    fn ping(&mut self, _desk: &mut Desk, _outgoing: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }
}
