//! A peer: connects, writes, reads at its own pace, checks, and leaves in one way or another; some come back.

use super::kernel::{Kernel, Link};
use super::{Rule, RuleBroken};
use crate::prng::Prng;

const BYTES_MAX: u64 = 3_000;
const LIVES_MAX: u64 = 4;

pub(super) struct Peer {
    prng: Prng,
    lives_left: u64,
    life: Option<Life>,
    connects_in: u64,
}

struct Life {
    link: Link,
    /// The seed of what it writes.
    pattern: u8,
    to_write: usize,
    written: usize,
    read: usize,
    has_ended: bool,
    /// Leaves without a word when it has read so much.
    resets_at: Option<usize>,
    /// Of a thousand turns: those in which it reads.
    reads: u64,
}

impl Peer {
    pub(super) fn new(mut prng: Prng) -> Peer {
        let (lives_left, connects_in) = (1 + prng.below(LIVES_MAX), prng.below(200));
        Peer { prng, lives_left, life: None, connects_in }
    }

    pub(super) fn is_done(&self) -> bool {
        self.life.is_none() && self.lives_left == 0
    }

    pub(super) fn turn(&mut self, kernel: &mut Kernel) -> Result<(), RuleBroken> {
        if let Some(life) = &mut self.life {
            if life.turn(&mut self.prng, kernel)? {
                self.life = None;
                self.connects_in = self.prng.below(100);
            }
        } else if self.lives_left > 0 && self.connects_in == 0 {
            self.lives_left -= 1;
            let to_write = self.prng.below(BYTES_MAX) as usize;
            let resets_at = self.prng.chance(250).then(|| self.prng.index(to_write + 1));
            let (pattern, reads) = (self.prng.draw() as u8, 20 + self.prng.below(980));
            let (written, read, has_ended) = (0, 0, false);
            let link = kernel.connect();
            self.life = Some(Life { link, pattern, to_write, written, read, has_ended, resets_at, reads });
        } else {
            self.connects_in = self.connects_in.saturating_sub(1);
        }
        Ok(())
    }
}

impl Life {
    /// True when it is over.
    fn turn(&mut self, prng: &mut Prng, kernel: &mut Kernel) -> Result<bool, RuleBroken> {
        if self.resets_at.is_some_and(|at| self.read >= at) {
            kernel.peer_resets(self.link);
            return Ok(true);
        }
        if self.written < self.to_write && prng.chance(500) {
            let size = (1 + prng.index(100)).min(self.to_write - self.written);
            let bytes: Vec<u8> = (self.written..self.written + size).map(|at| self.byte(at)).collect();
            match kernel.peer_writes(self.link, &bytes) {
                Some(size) => self.written += size,
                // The server has cut it, which it may.
                None => return Ok(true),
            }
        } else if self.written == self.to_write && !self.has_ended && prng.chance(300) {
            self.has_ended = true;
            kernel.peer_ends(self.link);
        }
        if !prng.chance(self.reads) {
            return Ok(false);
        }
        match kernel.peer_reads(self.link, 1 + prng.index(150)) {
            Some(bytes) => self.check(&bytes).map(|()| false),
            None if kernel.was_cut(self.link) || self.read == self.to_write && self.has_ended => Ok(true),
            None => {
                let what = format!("the server has ended after {} of {} bytes", self.read, self.to_write);
                Err(RuleBroken::new(Rule::Bytes, what))
            }
        }
    }

    fn check(&mut self, bytes: &[u8]) -> Result<(), RuleBroken> {
        for byte in bytes {
            if *byte != self.byte(self.read) || self.read == self.written {
                return Err(RuleBroken::new(Rule::Bytes, format!("byte {} is another one", self.read)));
            }
            self.read += 1;
        }
        Ok(())
    }

    /// Another one at each place, nearly.
    fn byte(&self, at: usize) -> u8 {
        (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0] ^ self.pattern
    }
}
