//! What a shard counts and measures since it began, and how full it is now.

use protocol::figures;
use protocol::figures::{ByCode, Figure, Times, Visitor};
use protocol::frame_number::{CLIENT, SERVER, Status};

figures! {
    /// Numbers that only rise.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct ShardCounters of "shard" {
        counter connections_opened: u64, "Connections taken from the driver.",
            "Its rate is how fast clients come; far above what is usual, they are reconnecting: see the closes by code.";
        counter connections_refused: u64, "Connections not taken, because the shard is full or draining.",
            "Rises outside of a drain: the shard is at `connections_max`; add gateways.";
        counter connections_ended: u64, "Connections that the driver has reported as gone.",
            "Its rate beside that of those opened: above it, clients are leaving.";
        counter connections_moved_in: u64, "Connections that came from another shard, to the home of their user.",
            "With n shards all but one in n of those that authenticate; with one shard none.";
        counter connections_moved_out: u64, "Connections that went to another shard.",
            "Equal to those that came, but for what is on its way.";
        counter ended_by_peer: u64, "Of those ended: the peer said goodbye.", "The way a connection should end.";
        counter ended_lost: u64, "Of those ended: the peer was gone without a goodbye.",
            "Its share rises: a network between clients and gateway, or a proxy with an idle timeout.";
        counter ended_by_transport: u64, "Of those ended: TLS or WebSocket could not go on.",
            "Rises: see the `closed_tls` counters of the gateway.";
        counter tokens_accepted: u64, "Handshakes whose access token was good.",
            "Stands still while connections come: tokens are refused, see the closes by code 3504 and 3505.";
        counter tickets_accepted: u64, "Handshakes whose resume ticket was good.",
            "Far below the tokens while clients come back: the gateways do not have the same `ticket.key`.";
        counter sessions_opened: u64, "Sessions that got their Welcome.",
            "Stands still while tokens are accepted: the router does not open sessions.";
        counter sessions_reopened: u64, "Sessions that a router serves again after a link break.",
            "After a break: it rises by the number of live sessions within seconds.";
        counter frames_received: FramesOfClients, "Frames taken from clients, by kind.",
            "What the load is made of. A kind that rises alone points at one version of a client.";
        counter received_bytes: u64, "Bytes of those frames, without length prefixes.",
            "Divided by the frames: their mean size.";
        counter frames_forwarded: u64, "Frames handed to the router.", "What the router tier has to work on.";
        counter frames_skipped: u64, "Frames of a later version that asked for no answer.",
            "Rises: clients are newer than this gateway; upgrade it.";
        counter frames_held: u64, "Frames left with the driver because the router could not take them.",
            "Rises steadily: the router is slower than its clients, see its store and the credits of the link.";
        counter frames_sent: FramesOfServers, "Frames given to the driver, by kind.",
            "Push is what people receive; Error and GoAway are what they are refused.";
        counter sent_bytes: u64, "Bytes of those frames, with length prefixes.", "Divided by the frames: their mean size.";
        counter fanouts: u64, "Pushes that came once for several connections.",
            "Pushes per fan-out say how much groups share.";
        counter channel_entries: u64, "Entries of channels that came once for all who follow them here.",
            "Deliveries per entry say how large an audience is.";
        counter channel_deliveries: u64, "Entries of channels that were sent to somebody who follows them.",
            "What channels cost this shard.";
        counter channel_misses: u64, "Entries of channels that were left out for somebody whose send queue was half full.",
            "Rises: devices on slow networks; each asks for the history when it reads again.";
        counter deliveries_late: u64, "Frames and answers of the router for connections that were gone.",
            "A few follow every disconnection; many mean that clients leave while they are being sent to.";
        counter link_ups: u64, "Links that came up.", "Rises without a restart of the router: the link breaks.";
        counter link_downs: u64, "Links that went down.", "While it is equal to those that came up, nothing is delivered.";
        counter links_silent: u64, "Of those: the router was not heard of for 3 s.",
            "Rises: the router's machine is gone, stopped or overloaded; its thread may wait for the disk.";
        counter closes: ByCode, "Connections closed by the shard, by code.",
            "The first place to look when clients reconnect: `protocol/src/codes.rs` says what each code means.";
        counter refusals: ByCode, "Frames refused without closing, by code, by this shard alone.",
            "Rises: clients send too fast (4001) or what is not allowed; those of the router are counted there.";
        histogram ack_seconds: Times, "From a message or an operation in full to its answer's place in the socket's queue.",
            "What senders wait for. Slow: compare with `ringpost_router_durable_seconds`, the router's part of it.";
    }
}

figures! {
    /// How full a shard is now.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct ShardGauges of "shard" {
        gauge connections: u64, "Connections that are open, authenticated or not.",
            "Against `connections_max` times the shards, and the descriptors of the process.";
        gauge handshakes: u64, "Of those: the ones without a Welcome.",
            "Stays high: the router does not open sessions, or somebody opens sockets and says nothing.";
        gauge send_queue_bytes: u64, "Given to the driver for all connections and not yet in a socket's buffer.",
            "Rises and stays: clients do not read; each is closed with 3003 at `send_queue_bytes_max`.";
        gauge requests_waiting: u64, "Connections whose next frame waits for credits of the link.",
            "Above 0 for long: the router is the bottleneck.";
        gauge sessions_waiting: u64, "New sessions that the router has not been asked to open yet.",
            "After a link has come up it falls to 0 within seconds; if not, the router's store is slow to read.";
        gauge sessions_asked: u64, "Sessions that the router has been asked to open and has not answered.",
            "At 1024 a shard the rest waits.";
        gauge followers: u64, "Connections that follow a channel, each once for each.",
            "Times the entries of channels: what is to be sent.";
        gauge link_credits_bytes: u64, "What may be sent to the router before it gives credits back, of 8 MiB a shard.",
            "Near 0: the router does not keep up, and clients are held.";
    }
}

/// A count for each kind of frame, of clients or of servers; the first is for those of a later version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByFrame<const OF_CLIENTS: bool>([u64; FRAMES]);

/// Of clients.
pub type FramesOfClients = ByFrame<true>;
/// Of servers.
pub type FramesOfServers = ByFrame<false>;

const FRAMES: usize = 1 + if CLIENT.len() > SERVER.len() { CLIENT.len() } else { SERVER.len() };

impl<const OF_CLIENTS: bool> Default for ByFrame<OF_CLIENTS> {
    fn default() -> Self {
        ByFrame([0; FRAMES])
    }
}

impl<const OF_CLIENTS: bool> ByFrame<OF_CLIENTS> {
    /// Of all kinds together.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(crate) fn increment(&mut self, number: u8) {
        let is_known = usize::from(number) < FRAMES;
        if let Some(count) = self.0.get_mut(if is_known { number.into() } else { 0 }) {
            *count += 1;
        }
    }
}

impl<const OF_CLIENTS: bool> Figure for ByFrame<OF_CLIENTS> {
    const LABEL: &'static str = "frame";

    fn show(&self, visitor: &mut dyn Visitor) {
        let (others, known) = self.0.split_first().expect("there is a first");
        let table = if OF_CLIENTS { CLIENT } else { SERVER };
        for ((_, name, status), count) in table.iter().zip(known) {
            // One that is reserved comes from a client of a later version.
            if *status == Status::Landed || *count > 0 {
                visitor.number(name, *count);
            }
        }
        visitor.number("other", *others);
    }

    fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, other)| *count += other);
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;

    use protocol::codes::Code;
    use protocol::figures::{Buckets, Family, Figures};

    use super::*;

    #[derive(Default)]
    struct Samples(Vec<(&'static str, String, u64)>);

    impl Visitor for Samples {
        fn family(&mut self, family: &Family) {
            self.0.push((family.name, family.label.to_string(), 0));
        }
        fn number(&mut self, label: &str, value: u64) {
            let name = self.0.last().expect("a family comes first").0;
            self.0.push((name, label.to_string(), value));
        }
        fn time(&mut self, _: &str, _: core::time::Duration) {}
        fn buckets(&mut self, _: Buckets<'_>) {}
    }

    #[test]
    fn codes_and_kinds_are_counted_apart_and_shown_by_name() {
        let mut counters = ShardCounters::default();
        counters.closes.increment(Code::Replaced);
        counters.closes.increment(Code::Replaced);
        counters.closes.increment(Code::GoingAway);
        [15, 15, 3, 200].into_iter().for_each(|number| counters.frames_received.increment(number));
        assert_eq!((counters.closes.total(), counters.refusals.total()), (3, 0));
        assert_eq!(counters.frames_received.total(), 4);
        let mut samples = Samples::default();
        counters.visit(&mut samples);
        let frames = "ringpost_shard_frames_received_total";
        for (name, label, value) in [
            ("ringpost_shard_closes_total", "3508", 2),
            ("ringpost_shard_closes_total", "3000", 1),
            (frames, "Ping", 2),
            (frames, "MessageEdit", 1),
            (frames, "MessageSend", 0),
            (frames, "other", 1),
        ] {
            assert!(samples.0.contains(&(name, label.to_string(), value)), "{name} {label}");
        }
        assert!(!samples.0.iter().any(|sample| sample.1 == "DraftSet"), "nobody has sent one");
    }
}
