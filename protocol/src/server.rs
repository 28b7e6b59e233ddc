//! The server's end of a session: which frame may come now, and what is done with it.
//!
//! It verifies a frame once, keeps the rules of the session and the limits of the wire, and answers with a [`Step`]. It
//! sends nothing, knows no router and holds no frame: who owns it acts. Whether a user may do what a frame asks for is
//! for the router to say. Invariants: nothing but a Hello is accepted before the Hello, and no second one; a step that
//! closes is the last one; a frame that has to wait has changed nothing, so that it can come again.

mod answer;
mod hello;
mod rate_limit;
mod request;

pub use answer::Welcome;
pub use hello::Hello;
pub use request::{LOOKUP_BURST, LOOKUP_INTERVAL, TYPING_BURST, TYPING_INTERVAL};

use core::time::Duration;

use crate::codes::Code;
use crate::encode::Refusal;
use crate::frame::{self, FrameError};
use crate::ids::ClientMsgId;
use crate::limits::FRAME_SIZE_UNAUTHENTICATED_MAX;
use crate::time::{Instant, Now};
use rate_limit::RateLimit;

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing has come.
    AwaitHello,
    /// The token of its Hello is being checked.
    Authenticating,
    /// The router is asked to serve it.
    Opening,
    /// It has its Welcome.
    Live,
    /// Over.
    Closed,
}

/// What to do with a frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Check the token, then call [`ServerSession::handle_authenticated`] or close. No frame may come before the Welcome.
    Authenticate {
        /// Not checked at all.
        access_token: &'a str,
        /// What a gateway has given for this; may be empty. Where it is good the token need not be looked at.
        resume_ticket: &'a [u8],
        /// The rest of the Hello, valid in itself.
        hello: Hello,
    },
    /// Hand it to the router, byte for byte.
    Forward,
    /// Likewise; under this request_id the router says which channels the session follows, in place of those before.
    Follow(u32),
    /// It would have to go to the router, which cannot take it: bring it again later.
    Wait,
    /// Answer with a Pong.
    Pong,
    /// Nothing: a later version may know more.
    Skip,
    /// Answer with an Error.
    Refuse(Refusal),
    /// Answer with an OpAck that refuses.
    RefuseOp {
        /// Of the frame.
        client_op_id: ClientMsgId,
        /// [`Code::Unsupported`] where the frame itself is not known.
        code: Code,
    },
    /// The client broke a rule: say so and close.
    Close(Code),
}

/// One session of one connection. 24 bytes, no heap.
#[derive(Debug)]
pub struct ServerSession {
    /// In seconds of the monotonic clock, the one that had begun when something came.
    heard_at_s: u32,
    typing: RateLimit,
    lookups: RateLimit,
    version: u16,
    phase: Phase,
    is_transient: bool,
}

const _: () = assert!(size_of::<ServerSession>() <= 24);

impl ServerSession {
    /// Of a connection that has just been accepted.
    pub fn new(now: Instant) -> ServerSession {
        ServerSession {
            heard_at_s: second_of(now),
            typing: RateLimit::default(),
            lookups: RateLimit::default(),
            version: 0,
            phase: Phase::AwaitHello,
            is_transient: false,
        }
    }

    /// How far it is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The protocol version that was agreed on; 0 before the Hello.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// Whether it is a session without a device.
    pub fn is_transient(&self) -> bool {
        self.is_transient
    }

    /// Whether nothing has come for this long, or up to a second longer.
    pub fn is_silent(&self, now: Instant, timeout: Duration) -> bool {
        // Of the second in which something came, its end counts.
        now.since(Instant(0)) >= Duration::from_secs(u64::from(self.heard_at_s) + 1) + timeout
    }

    /// A whole frame without its length prefix, not verified yet. `router_can_take` says whether a frame of this size
    /// could be forwarded now. Only before the Hello and while live.
    pub fn handle_frame<'a>(&mut self, now: Now, bytes: &'a [u8], router_can_take: bool) -> Step<'a> {
        self.heard_at_s = second_of(now.monotonic);
        match self.phase {
            Phase::AwaitHello => self.handle_first(bytes),
            Phase::Live => match frame::client_frame(bytes) {
                Ok(frame) => self.handle_request(now, frame, router_can_take),
                Err(error) => Step::Close(error.into()),
            },
            phase => panic!("no frame is brought while a session is {phase:?}"),
        }
    }

    /// The token is good; the router is asked next.
    pub fn handle_authenticated(&mut self) {
        assert_eq!(self.phase, Phase::Authenticating);
        self.phase = Phase::Opening;
    }

    /// The router serves the session, and the Welcome is sent.
    pub fn handle_opened(&mut self) {
        assert_eq!(self.phase, Phase::Opening);
        self.phase = Phase::Live;
    }

    /// It is over. Also after [`Step::Close`].
    pub fn close(&mut self) {
        self.phase = Phase::Closed;
    }

    fn handle_first<'a>(&mut self, bytes: &'a [u8]) -> Step<'a> {
        match self.accept_hello(bytes) {
            Ok(step) => step,
            Err(code) => Step::Close(code),
        }
    }

    fn accept_hello<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, Code> {
        if bytes.len() > FRAME_SIZE_UNAUTHENTICATED_MAX {
            return Err(Code::FrameTooLarge);
        }
        let frame = frame::client_frame(bytes)?;
        let wire = frame.body_as_hello().ok_or(Code::HelloExpected)?;
        self.version = hello::agree_on_version(wire)?;
        let hello = Hello::decode(wire)?;
        let resume_ticket = wire.resume_ticket().map(|ticket| ticket.bytes()).unwrap_or_default();
        let access_token = wire.access_token().or_else(|| (!resume_ticket.is_empty()).then_some(""));
        let access_token = access_token.ok_or(Code::TokenInvalid)?;
        self.is_transient = hello.is_transient;
        self.phase = Phase::Authenticating;
        Ok(Step::Authenticate { access_token, resume_ticket, hello })
    }
}

fn second_of(now: Instant) -> u32 {
    u32::try_from(now.since(Instant(0)).as_secs()).unwrap_or(u32::MAX)
}

/// Whoever sends a frame that cannot be read is closed: there is no telling where the next one begins.
impl From<FrameError> for Code {
    fn from(error: FrameError) -> Code {
        match error {
            FrameError::TooLarge => Code::FrameTooLarge,
            FrameError::Invalid => Code::FrameInvalid,
        }
    }
}

#[cfg(test)]
mod tests;
