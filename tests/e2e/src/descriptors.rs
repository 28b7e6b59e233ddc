//! Room for many sockets, here and in every process that is started from here.

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::verdict::{Failure, Verdict};

/// As many as the system lets us have, at least so many.
pub fn allow(needed: u64) -> Verdict {
    let maximum = getrlimit(Resource::Nofile).maximum;
    if maximum.is_some_and(|maximum| maximum < needed) {
        return Err(Failure::Skipped(format!("{needed} descriptors are needed, and `ulimit -Hn` is {maximum:?}")));
    }
    let limit = Rlimit { current: maximum, maximum };
    setrlimit(Resource::Nofile, limit).context("cannot raise the limit of descriptors").map_err(Failure::from)
}
