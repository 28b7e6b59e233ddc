//! What the shell of a gateway counts: sockets and TLS. What a shard counts (frames, sessions, codes) is in
//! [`gateway_core::ShardCounters`].
//!
//! Each shard has its own, and each figure of it is written by one thread: by the shard's, but with monoio the first two of
//! the first shard by the thread that accepts for all.

use protocol::figures;
use protocol::figures::{Sizes, Times};
use protocol_shell::Counter;

figures! {
    /// What is counted one by one, and seen at once.
    #[derive(Debug, Default)]
    pub struct Metrics of "gateway" {
        counter sockets_accepted: Counter, "Sockets accepted.", "How fast clients connect.";
        counter accept_failures: Counter, "Sockets that could not be accepted, most likely for want of descriptors.",
            "Above 0: see `ulimit -n` and the memory of the machine.";
        counter sockets_closed: Counter, "Sockets closed, by either side; refused ones not counted.",
            "Accepted less closed and refused are open.";
        counter sockets_refused: Counter, "Sockets closed at once: the shard takes no more, or the socket is broken.",
            "Rises outside of a drain: the shard is full.";
        counter handshakes_completed: Counter, "TLS handshakes completed.",
            "Far below the sockets accepted: see the `closed_tls` counters.";
        counter closed_not_tls: Counter, "Sockets closed because the peer does not speak TLS.",
            "Rises: a probe or a proxy that speaks plain text to `--listen`.";
        counter closed_tls_invalid: Counter, "Sockets closed for TLS bytes that are not valid.",
            "A few are noise of the network; many are somebody who tries.";
        counter closed_tls_misbehaved: Counter, "Sockets closed for breaking the rules of TLS.",
            "Above 0: a broken client, or somebody who tries.";
        counter closed_tls_incompatible: Counter, "Sockets closed for want of a common version, suite or protocol.",
            "Rises: clients without TLS 1.3.";
        counter closed_tls_alert: Counter, "Sockets closed because the peer sent a fatal TLS alert.",
            "Rises after a change of certificates: clients do not trust the new one.";
        counter closed_torn_memory: Counter, "Connections closed because the memory for torn frames was used up.",
            "Above 0: `torn_bytes_max` is too small for the load, or somebody sends frames without their ends.";
        counter moves_refused: Counter, "Connections told to come again, since too many were on their way to the shard of their user.",
            "Rises in a storm: that shard is late, see the turns of the threads.";
        counter closed_aborted: Counter, "Connections cut because they could not be flushed in time.",
            "Rises: peers vanish without closing; their networks break.";
        counter truncated: Counter, "Connections that the peer ended without a TLS close_notify.",
            "Common with phones; a sudden rise is a network that breaks.";
        counter sends: Counter, "Batches of frames given to the sockets.", "Frames sent per batch say how well they gather.";
        counter received_bytes: Counter, "Bytes received from sockets.", "Traffic as the network counts it, TLS included.";
        counter sent_bytes: Counter, "Bytes given to sockets.", "Likewise; beside the frames' own bytes it says what TLS adds.";
    }
}

figures! {
    /// What the loop of a shard thread measures, published now and then.
    #[derive(Clone, Debug, Default)]
    pub struct LoopFigures of "gateway" {
        histogram handshake_seconds: Times, "From an accepted socket to the end of its TLS handshake.",
            "Slow: the thread is busy (see its CPU), or the clients' networks are.";
        histogram send_bytes: Sizes, "Sizes of the batches given to sockets.",
            "Small ones under load: frames leave one by one and cost a system call each.";
        histogram turn_seconds: Times, "Turns of the thread, from what has happened being collected to everything being begun that \
            follows. The uring driver only.",
            "Grows with the load, since a turn serves all who are ready; steadily above a few ms: the thread is at its limit.";
        counter stalls: u64, "Turns that took longer than 100 ms. The uring driver only.",
            "Above 0: the machine took the thread away, or a fault of ours; the log says when.";
        gauge handshakes_waiting: u64, "Connections whose next step of the TLS handshake waits for a turn. The uring driver only.",
            "High for long: more come than a thread can greet, or somebody floods it; see `gateway.handshakes_per_turn_max`.";
        gauge torn_bytes: u64, "Held for frames and TLS records that have not come whole, and while a connection is held.",
            "Near `torn_bytes_max`: the largest of them are about to be closed.";
        gauge torn_connections: u64, "Connections of which something waits in memory: the beginning of a frame, or what is held.",
            "High for long: slow networks, or somebody who sends frames without their ends.";
        gauge closing_connections: u64, "Connections that are being flushed and closed.",
            "High for long: peers do not take their last bytes.";
        counter trace_steps: u64, "Steps of messages noted for `ringpost trace`.",
            "Stands still: tracing is off (`trace.one_in` is 0). `docs/trace.md` says what a step costs.";
        counter trace_lost: u64, "Of those: the ones that were never kept, since somebody read traces for long.",
            "Above 0: traces of that time lack steps.";
        gauge linked: bool, "1 while each shard of the gateway has its link to the router.",
            "0: sessions stay, nothing is delivered. The same as `/readyz`.";
    }
}
