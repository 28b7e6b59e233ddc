//! What a gateway is given anew while it runs. A shard thread takes it between two turns, so that no turn sees half of it.

use std::sync::Mutex;

use gateway_core::TicketKeys;
use gateway_transport::TlsServer;

use crate::config::GatewayConfig;

/// For one shard thread.
#[derive(Clone)]
pub(crate) struct Renewal {
    pub(crate) config: GatewayConfig,
    pub(crate) tls: TlsServer,
    pub(crate) tickets: TicketKeys,
}

/// Holds the newest one until the thread has taken it: an older one is not worth a turn.
#[derive(Default)]
pub(crate) struct RenewalSlot(Mutex<Option<Renewal>>);

impl RenewalSlot {
    /// Ring the thread's bell afterwards.
    pub(crate) fn put(&self, renewal: Renewal) {
        *self.0.lock().expect("nothing panics while it holds this lock") = Some(renewal);
    }

    pub(crate) fn take(&self) -> Option<Renewal> {
        self.0.lock().expect("nothing panics while it holds this lock").take()
    }
}
