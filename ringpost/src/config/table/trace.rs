//! The keys of `[trace]`: the same for both tiers, so that they trace the same messages.

use gateway_server::range;

use super::key;
use crate::config::key::{Key, Place};
use crate::config::kind::{bytes, count, milliseconds};
use crate::config::value::Stored;

/// A field of both tiers' traces.
macro_rules! place {
    ($field:ident) => {
        Place {
            read: |settings| settings.gateway.shard.trace.$field.to_value(),
            write: |settings, value| {
                settings.gateway.shard.trace.$field = Stored::of_value(value);
                settings.router.trace.$field = settings.gateway.shard.trace.$field;
            },
        }
    };
}

pub(super) fn keys() -> [Key; 3] {
    [
        key("trace.one_in", place!(one_in), count(0..=1_u32 << 20))
            .means("One message of so many leaves a trace for `ringpost trace`, chosen by its id; 0: none. Give all tiers the same."),
        key("trace.bytes_max", place!(bytes_max), bytes(range::TRACE_BYTES_MAX))
            .means("Memory for the traces of a tier.")
            .reached("The oldest steps go."),
        key("trace.kept_ms", place!(kept), milliseconds(range::TRACE_KEPT))
            .means("How long the steps of a message are kept.")
            .reached("They go."),
    ]
}
