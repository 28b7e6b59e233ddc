//! A ring that lies to the machine above it about one thing, so that the machine does what a driver with that bug does.

use std::collections::VecDeque;
use std::time::Duration;

use gateway_ring::{Buffer, Completion, Errno, Operation, Ring, SocketId};

/// Which bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingSabotage {
    /// A receive that found no buffer is not begun again.
    Rearm,
    /// A send is taken for whole, however short it was.
    ShortWrite,
    /// A slot counts as free while something is under way on it.
    EarlyFree,
}

impl RingSabotage {
    /// All, by their names on the command line.
    pub const ALL: &[(&str, RingSabotage)] = &[
        ("ring-rearm", RingSabotage::Rearm),
        ("ring-short-write", RingSabotage::ShortWrite),
        ("ring-early-free", RingSabotage::EarlyFree),
    ];
}

pub(super) struct SabotagedRing<R: Ring> {
    ring: R,
    sabotage: Option<RingSabotage>,
    /// Of early frees: what is under way, as the machine counts it.
    watched: Vec<SocketId>,
    invented: VecDeque<Completion<R::Descriptor>>,
    /// Sockets whose late completions the machine does not want any more.
    forgotten: Vec<SocketId>,
}

impl<R: Ring> SabotagedRing<R> {
    pub(super) fn new(ring: R, sabotage: Option<RingSabotage>) -> SabotagedRing<R> {
        let (watched, invented, forgotten) = (Vec::new(), VecDeque::new(), Vec::new());
        SabotagedRing { ring, sabotage, watched, invented, forgotten }
    }

    fn watch(&mut self, operation: &Operation<R::Descriptor>) {
        match operation {
            Operation::Watch(socket) => self.watched.push(*socket),
            // It is said to have ended at once.
            Operation::CancelWatch(socket) => {
                if let Some(place) = self.watched.iter().position(|it| it == socket) {
                    self.watched.swap_remove(place);
                    self.forgotten.push(*socket);
                    self.invented.push_back(Completion::Watched { socket: *socket, is_armed: false, has_gone: false });
                }
            }
            _ => {}
        }
    }

    /// `None`: not to be told.
    fn lie(&mut self, completion: Completion<R::Descriptor>) -> Option<Completion<R::Descriptor>> {
        Some(match (self.sabotage, completion) {
            (Some(RingSabotage::Rearm), Completion::Received { socket, result: Err(Errno::NOBUFS) }) => {
                Completion::Received { socket, result: Err(Errno::AGAIN) }
            }
            (Some(RingSabotage::ShortWrite), Completion::Sent { socket, bytes, from, result: Ok(_) }) => {
                let result = Ok(bytes.len() - from);
                Completion::Sent { socket, bytes, from, result }
            }
            (Some(RingSabotage::EarlyFree), Completion::Watched { socket, .. }) if self.forgotten.contains(&socket) => {
                return None;
            }
            (Some(RingSabotage::EarlyFree), Completion::Watched { socket, is_armed, has_gone }) => {
                if !is_armed {
                    self.watched.retain(|it| *it != socket);
                }
                Completion::Watched { socket, is_armed, has_gone }
            }
            (_, completion) => completion,
        })
    }
}

impl<R: Ring> Ring for SabotagedRing<R> {
    type Descriptor = R::Descriptor;

    fn buffers_count(&self) -> u32 {
        self.ring.buffers_count()
    }

    fn submit(&mut self, operation: Operation<R::Descriptor>) {
        if self.sabotage == Some(RingSabotage::EarlyFree) {
            self.watch(&operation);
        }
        self.ring.submit(operation);
    }

    fn turn(&mut self, patience: Duration) {
        self.ring.turn(patience);
    }

    fn next_completion(&mut self) -> Option<Completion<R::Descriptor>> {
        if let Some(invented) = self.invented.pop_front() {
            return Some(invented);
        }
        loop {
            let completion = self.ring.next_completion()?;
            if let Some(completion) = self.lie(completion) {
                return Some(completion);
            }
        }
    }

    fn bytes(&mut self, buffer: &Buffer) -> &mut [u8] {
        self.ring.bytes(buffer)
    }

    fn give_back(&mut self, buffer: Buffer) {
        self.ring.give_back(buffer);
    }
}
