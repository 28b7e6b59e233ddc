//! One frame of every kind that today's schema has, from real encoders, with every field set and no value twice in a
//! frame, so that no field can be taken for another one.
//!
//! What a server checks of a field is kept, so that the same frames are of use as inputs to begin a fuzzer with.

mod client;
mod event;
mod link;
mod server;

use protocol::ids::{ClientMsgId, ConversationId, UserId};
use protocol::time::WallTime;

/// A member of a union, the name of its union first.
pub(crate) struct Sample {
    pub(crate) union: &'static str,
    pub(crate) member: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// All of them.
pub(crate) fn all() -> Vec<Sample> {
    [client::all(), server::all(), event::all(), link::all()].into_iter().flatten().collect()
}

/// The time of all client ids.
const MINTED_AT: WallTime = WallTime(1_764_000_000_000);

fn client_id(number: u8) -> ClientMsgId {
    ClientMsgId::new(MINTED_AT, u128::from_be_bytes([number; 16]))
}

fn direct() -> ConversationId {
    ConversationId::direct(user(1), user(2))
}

/// Of realm 1.
fn user(counter: u64) -> UserId {
    UserId(1 << 48 | counter)
}

/// A frame of a client: the table and its arguments, in which the builder has the name `fbb`.
macro_rules! client_frame {
    ($op:expr, $member:ident, $fbb:ident, $args:expr) => {
        $crate::samples::Sample {
            union: "ClientBody",
            member: stringify!($member),
            bytes: protocol::encode::FrameBuilder::default()
                .client($op, |$fbb| {
                    let args = $args;
                    (wire::ClientBody::$member, wire::$member::create($fbb, &args).as_union_value())
                })
                .to_vec(),
        }
    };
}

/// Likewise of a server.
macro_rules! server_frame {
    ($member:ident, $fbb:ident, $args:expr) => {
        $crate::samples::Sample {
            union: "ServerBody",
            member: stringify!($member),
            bytes: protocol::encode::FrameBuilder::default()
                .server(|$fbb| {
                    let args = $args;
                    (wire::ServerBody::$member, wire::$member::create($fbb, &args).as_union_value())
                })
                .to_vec(),
        }
    };
}

use {client_frame, server_frame};
