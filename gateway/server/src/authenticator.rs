//! The thread that checks access tokens for all shards, so that no turn of a shard waits for a signature.
//!
//! Bounded both ways: a shard that asks too much is told so at once, and a verdict waits only for the shard to listen.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use gateway_core::{ConnectionId, Identity};

use crate::access_token::{TokenRefusal, TokenVerifier};
use crate::doorbell::Doorbell;
use protocol_shell::clock;

/// Tokens that wait for their check. At about 50 µs each the last one waits 50 ms; beyond that connections are told to
/// come back later.
pub(crate) const TOKENS_QUEUED_MAX: usize = 1024;

/// What came of a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) connection: ConnectionId,
    pub(crate) result: Result<Identity, TokenRefusal>,
}

/// Too many tokens are waiting.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AuthenticatorBusy;

/// Makes the ends of shards. The thread ends when this and all of them are dropped.
pub(crate) struct Authentication {
    requests: SyncSender<Request>,
}

/// A shard's end.
pub(crate) struct Authenticator {
    requests: SyncSender<Request>,
    asker: Arc<Asker>,
    verdicts: Receiver<Verdict>,
}

struct Request {
    connection: ConnectionId,
    token: String,
    asker: Arc<Asker>,
}

/// Where the verdicts for a shard go.
struct Asker {
    verdicts: SyncSender<Verdict>,
    bell: Arc<Doorbell>,
}

impl Authentication {
    /// Starts the thread. Who exchanges the verifier waits for one check at most.
    pub(crate) fn spawn(verifier: Arc<Mutex<TokenVerifier>>) -> io::Result<(Authentication, JoinHandle<()>)> {
        let (requests, queue) = sync_channel::<Request>(TOKENS_QUEUED_MAX);
        let thread = thread::Builder::new().name("authenticate".to_owned()).spawn(move || {
            for Request { connection, token, asker } in queue {
                let verifier = verifier.lock().expect("nothing panics while it holds this lock");
                let result = verifier.verify(&token, clock::now().wall);
                drop(verifier);
                // A shard that has ended meanwhile wants no verdict.
                if asker.verdicts.send(Verdict { connection, result }).is_ok() {
                    asker.bell.ring();
                }
            }
        })?;
        Ok((Authentication { requests }, thread))
    }

    /// For a shard, which hears this bell for every verdict.
    pub(crate) fn end(&self, bell: Arc<Doorbell>) -> Authenticator {
        let (sender, verdicts) = sync_channel(TOKENS_QUEUED_MAX);
        Authenticator { requests: self.requests.clone(), asker: Arc::new(Asker { verdicts: sender, bell }), verdicts }
    }
}

impl Authenticator {
    /// Asks; the verdict comes with a ring of the bell.
    pub(crate) fn ask(&self, connection: ConnectionId, token: String) -> Result<(), AuthenticatorBusy> {
        self.requests.try_send(Request { connection, token, asker: self.asker.clone() }).map_err(|error| match error {
            TrySendError::Full(_) => AuthenticatorBusy,
            TrySendError::Disconnected(_) => panic!("the authenticator lives as long as somebody can ask it"),
        })
    }

    /// The next verdict that is there.
    pub(crate) fn next_verdict(&self) -> Option<Verdict> {
        self.verdicts.try_recv().ok()
    }
}
