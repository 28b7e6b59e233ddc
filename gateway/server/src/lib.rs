//! The shell of the gateway: drivers and shard threads.
