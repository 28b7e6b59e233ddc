//! What a router counts and measures since it began, and how full it is now.

use protocol::figures;
use protocol::figures::{ByCode, Times};

figures! {
    /// Numbers that only rise.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct RouterCounters of "router" {
        counter messages_acked: u64, "Messages acked for the first time.",
            "The rate of messages. Stands still while clients send: see the refusals, and the store.";
        counter retries_seen: u64, "Sends that were not the first attempt.",
            "Its share rises: acks get lost or come too late for clients.";
        counter dedup_hits: u64, "Sends that turned out to be there already.",
            "Each is a message that would otherwise be there twice.";
        counter dedup_lookups: u64, "Questions to the store whether a client id is known.",
            "Far above retries and first words of devices since their conversation was loaded: the window of ids is too small.";
        counter resumes: u64, "Sessions that went on after their cursor.", "After a break: as many as reconnect.";
        counter snapshots: u64, "Sessions that got a Snapshot.",
            "Rises beside the resumes: cursors are too old, or of a store that was restored.";
        counter pulls_begun: u64, "Sessions that did not keep up and have to ask for their events.",
            "Rises: devices on slow networks; for all at once, see the sockets of the gateway.";
        counter pulls_ended: u64, "Sessions that have asked for all of their events and are pushed new ones again.",
            "Far below those begun: the devices are still behind, or have left.";
        counter users_parked: u64, "Users that were forgotten but for their sessions, since nothing had happened to them.",
            "Rises while people come and go quiet; such a user takes some hundred bytes.";
        counter users_woken: u64, "Parked users that were loaded again.",
            "Near the rate of messages: `router.park_after_ms` is shorter than the pauses of people who talk.";
        counter gap_pulls: u64, "Entries that a user's log lacked and pulled.",
            "After a start for a moment. At other times: pointers got lost, which is a fault.";
        counter pointers_repeated: u64, "Pointers sent again after a start.", "After a start only.";
        counter entries_published: u64, "Entries of channels sent to a gateway shard for those who follow there.",
            "What channels cost the links: it does not depend on how many follow.";
        counter entries_left_out: u64, "Entries of channels that a link had no credits for.",
            "Rises: that gateway does not keep up; who follows there reads the history instead.";
        counter takeovers: u64, "Conversations whose tail was written anew after a former owner.",
            "After a change of owners only; 0 on one log.";
        counter holes_voided: u64, "Places that a takeover filled with voids.", "With takeovers only; 0 on one log.";
        counter refused: ByCode, "Requests refused, by code.",
            "4000 and 4002: the store does not keep up, or is almost full. 45xx: what clients ask is wrong.";
        counter links_silent: u64, "Links given up because the gateway was not heard of for 3 s.",
            "Rises: a gateway's machine is gone, stopped or overloaded.";
        counter store_retries: u64, "Requests of the store that failed and were repeated.",
            "Rises: the store is not available; the log says why.";
        histogram durable_seconds: Times, "From an entry's place in its conversation to its being durable.",
            "The floor of every ack. Slow: see `ringpost_log_sync_seconds`, and how long a turn takes.";
        histogram push_seconds: Times, "From an event's place in a user's log to its leaving for a device.",
            "It includes being durable. Slow beside that: devices' windows are full, or links lack credits.";
        histogram device_ack_seconds: Times, "From an event's leaving for a device to the device's ack.",
            "What networks and devices take. Slow everywhere: gateways do not get rid of what they are sent.";
    }
}

figures! {
    /// How full a router is now.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct RouterGauges of "router" {
        gauge links: u64, "Links to gateway shards.", "Less than there are gateway shards: one has no link, its `/readyz` says so.";
        gauge sessions: u64, "Sessions on those links.", "Who is being served.";
        gauge sessions_parked: u64, "Of those: the ones of users that are parked, so that nothing else of them is in memory.",
            "Most of them while most people are quiet. Far below: devices do not ack what they are sent.";
        gauge conversations: u64, "Conversations in memory.", "At `conversations_max` idle ones are forgotten and read again.";
        gauge users: u64, "Users in memory.", "At `users_max` likewise.";
        gauge store_requests: u64, "Requests under way at the store.", "Rises and stays: the store does not answer.";
        gauge requests_held: u64, "Requests of gateways that have not begun, since answers to earlier ones wait.",
            "Above 0 for long: a gateway does not take its answers.";
        gauge backlog_bytes: u64, "Answers that wait for the credits of their links.",
            "At `link_backlog_bytes_max` a link is dropped; at half of it the gateway's requests wait.";
        gauge link_credits_min_bytes: u64, "The least that may be sent on any link before credits come back, of 8 MiB.",
            "Near 0: that gateway does not keep up, and pushes through it wait in the log.";
    }
}
