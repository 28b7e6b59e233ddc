//! What the shell of a router counts and measures: its thread, its store, its disk.

use std::time::Duration;

use protocol::figures;
use protocol::figures::{Figure, Figures, Sizes, Times, Visitor};
use router_core::{RouterCounters, RouterGauges};
use storage_api::Request;

figures! {
    /// Of the thread.
    #[derive(Clone, Debug, Default)]
    pub struct ThreadFigures of "router" {
        counter store_seconds: StoreTime, "Time of the router's thread with its store, by part.",
            "append: rows on their way into the log; apply: the index taking what is durable, and reads. Near 1 s a \
             second in sum, this thread is the limit.";
        counter trace_steps: u64, "Steps of messages noted for `ringpost trace`.",
            "Stands still: tracing is off (`trace.one_in` is 0). `docs/trace.md` says what a step costs.";
        counter trace_lost: u64, "Of those: the ones that were never kept, since somebody read traces for long.",
            "Above 0: traces of that time lack steps.";
        histogram turn_seconds: Times, "From what has happened being collected to everything that follows being done.",
            "What a message waits for at most before its own turn. Long ones: large reads, or an overloaded machine.";
    }
}

figures! {
    /// Of the store.
    #[derive(Clone, Debug, Default)]
    pub struct StoreFigures of "store" {
        gauge pressed: bool, "1 while new messages are refused for want of disk.",
            "1: free disk, or see whether it keeps up. Clients get 4002.";
        gauge read_only: bool, "1 until a check of the store has passed.",
            "1: a write had failed. Stop the server and run `ringpost store check`.";
        gauge conversations: u64, "Conversations with at least one entry.", "For planning.";
        gauge users: u64, "Users.", "For planning.";
        gauge entries: u64, "Entries.", "For planning: bytes of the segments per entry.";
        gauge user_events: u64, "Events of users' logs.", "For planning.";
        gauge identities: u64, "Client ids that are found again.", "About those of a week of messages.";
        gauge index_bytes: u64, "Memory of the indexes of full segments.", "4 to 5 bytes a message; for planning.";
        gauge unindexed_bytes: u64, "Bytes of full segments whose index is still being written.",
            "How far the index is behind. Above 64 MiB new messages are refused.";
        counter requests: RequestCounts, "Requests to the store, by kind.", "What the load on the store is made of.";
        counter failures: u64, "Answers that were an error.", "Rises: the log says which; damage is an ERROR line.";
        histogram read_seconds: Times, "From a question to its answer.",
            "Slow: reads go to the disk and that is busy; memory for its cache is short.";
        histogram write_seconds: Times, "From a write to its being durable.",
            "Slow beside `ringpost_log_sync_seconds`: writes wait for the batch before theirs.";
    }
}

figures! {
    /// Of the log and the disk.
    #[derive(Clone, Debug, Default)]
    pub struct LogFigures of "log" {
        gauge segments: u64, "Segments of the log, the open one included.", "Times `segment_bytes`: the space it takes, at most.";
        gauge ballast: bool, "1 while the ballast is in the data folder.",
            "0: the disk was full, and what was accepted got the room of the ballast. Free disk; it is made again.";
        counter commits: u64, "Batches written to the log; each costs one sync.",
            "Messages per commit say how well they gather; one per message is the dearest.";
        histogram batch_bytes: Sizes, "Sizes of those batches.", "They grow with the load, which is how the log keeps up.";
        histogram sync_seconds: Times, "From a sync given to the disk to its end being seen.",
            "The time of the disk. Slow: another process writes to it, or it is a slow one; see `iostat -x`.";
        counter read_bytes: u64, "Bytes read from files of the store.", "Rises with history and devices that were away.";
        histogram disk_read_seconds: Times, "From a read given to the disk to its end being seen.",
            "Slow: not in the page cache; see `iostat -x`.";
        counter side_written_bytes: u64, "Bytes written beside the log: indexes and what is left of old segments.",
            "Bursts with each full segment; more than the log itself: retention is rewriting.";
        gauge operations: u64, "Operations that the disk has been given and has not ended.", "Rises and stays: the disk hangs.";
    }
}

/// Of the router's thread.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StoreTime {
    /// With rows on their way into the log.
    pub append: Duration,
    /// With what has become durable, and with reads.
    pub apply: Duration,
}

impl Figure for StoreTime {
    const LABEL: &'static str = "part";

    fn show(&self, visitor: &mut dyn Visitor) {
        visitor.time("append", self.append);
        visitor.time("apply", self.apply);
    }

    fn merge(&mut self, other: &StoreTime) {
        self.append += other.append;
        self.apply += other.apply;
    }
}

/// A count for each kind of request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestCounts([u64; REQUESTS.len()]);

const REQUESTS: [&str; 14] = [
    "write",
    "load_conversation",
    "load_user",
    "read_entries",
    "read_user_log",
    "find_identity",
    "lookup_users",
    "ensure_user",
    "register_device",
    "erase_entry",
    "list_unfanned",
    "erase_user",
    "forget_user",
    "list_leaving",
];

impl RequestCounts {
    pub(crate) fn increment(&mut self, request: &Request) {
        let index = match request {
            Request::Write(_) => 0,
            Request::LoadConversation(_) => 1,
            Request::LoadUser(_) => 2,
            Request::ReadEntries { .. } => 3,
            Request::ReadUserLog { .. } => 4,
            Request::FindIdentity { .. } => 5,
            Request::LookupUsers { .. } => 6,
            Request::EnsureUser { .. } => 7,
            Request::RegisterDevice { .. } => 8,
            Request::EraseEntry(_) => 9,
            Request::ListUnfanned => 10,
            Request::EraseUser(_) => 11,
            Request::ForgetUser(_) => 12,
            Request::ListLeaving => 13,
        };
        *self.0.get_mut(index).expect("as many as there are names") += 1;
    }
}

impl Figure for RequestCounts {
    const LABEL: &'static str = "request";

    fn show(&self, visitor: &mut dyn Visitor) {
        REQUESTS.iter().zip(self.0).for_each(|(name, count)| visitor.number(name, count));
    }

    fn merge(&mut self, other: &RequestCounts) {
        self.0.iter_mut().zip(other.0).for_each(|(count, other)| *count += other);
    }
}

/// Everything that a router shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct RouterFigures {
    pub(crate) counters: RouterCounters,
    pub(crate) gauges: RouterGauges,
    pub(crate) thread: ThreadFigures,
    pub(crate) store: StoreFigures,
    pub(crate) log: LogFigures,
}

impl Figures for RouterFigures {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.counters.visit(visitor);
        self.gauges.visit(visitor);
        self.thread.visit(visitor);
        self.store.visit(visitor);
        self.log.visit(visitor);
    }
}
