//! The promises of the product that a run can break, and the finding that one is broken.

use std::fmt;

/// Named as in the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// What is acknowledged is not lost.
    P1,
    /// One client id makes at most one entry.
    P2,
    /// A sequence has no gap, no reuse, no disorder.
    P3,
    /// Every device gets everything.
    P4,
    /// A resume is complete or refused.
    P5,
    /// Nothing reaches who is not a member.
    P6,
    /// A gateway without its router for three seconds delivers nothing; a device that was revoked is served nothing.
    P7,
    /// What is damaged is reported, never served.
    P10,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub promise: Promise,
    /// Where it shows.
    pub what: String,
}

impl Broken {
    /// A finding.
    pub fn new(promise: Promise, what: impl Into<String>) -> Broken {
        Broken { promise, what: what.into() }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} broken: {}", self.promise, self.what)
    }
}
