//! The keys of `[gateway]`.

use gateway_server::{DriverChoice, PinShards, range};
use gateway_transport::KeyExchange;

use super::{key, place};
use crate::config::flags::{DEV, SERVE};
use crate::config::key::{Key, Tier};
use crate::config::kind::{Kind, bytes, count, milliseconds};

pub(super) fn keys() -> impl Iterator<Item = Key> {
    places().into_iter().chain(threads()).chain(limits()).chain(times()).map(|key| key.of(Tier::Gateway))
}

fn places() -> [Key; 6] {
    let drivers = DriverChoice::ALL.map(DriverChoice::name).to_vec();
    [
        key("gateway.listen", place!(gateway.listen), Kind::Address)
            .means("Where native clients connect, by TLS. Port 0 takes a free one.")
            .flag("listen", "ADDR", DEV | SERVE),
        key("gateway.driver", place!(gateway.driver), Kind::Choice(drivers))
            .means(
                "Which mechanism moves the bytes. auto: uring where io_uring is allowed as it wants it, else monoio. monoio: its \
                 io_uring where that is allowed, else readiness.",
            )
            .flag("driver", "DRIVER", DEV | SERVE),
        key("gateway.certificate_file", place!(certificate_file), Kind::File)
            .means("The certificate chain that clients see, as PEM, with the key of `gateway.certificate_key_file`.")
            .unset("`certificate.pem` in the data folder, made at the first start")
            .on_hangup(),
        key("gateway.certificate_key_file", place!(certificate_key_file), Kind::File)
            .means("The private key of the certificate, as PEM.")
            .unset("`certificate.key` in the data folder, made at the first start")
            .on_hangup(),
        key("gateway.key_exchange", place!(key_exchange), Kind::Choice(KeyExchange::ALL.map(KeyExchange::name).to_vec()))
            .means(
                "How TLS agrees on keys. hybrid: X25519 with ML-KEM-768 where the client has it too, so that no recording of \
                 today is read by a quantum computer of tomorrow. classical: never, which saves a handshake 2.3 KB and some \
                 processor time.",
            )
            .on_hangup(),
        key("gateway.token_key_file", place!(token_key_file), Kind::File)
            .means("Gateway without a router in its process: the public keys of whoever makes access tokens, one a line, up to four.")
            .unset("`token.pub` in the data folder; a router makes one in its own")
            .on_hangup()
            .flag("token-key-file", "FILE", SERVE),
    ]
}

fn threads() -> [Key; 2] {
    [
        key("gateway.shards", place!(gateway.shards), count(range::SHARDS))
            .means(
                "Threads that serve connections. Each has the limits below for itself, a link of its own to the router, and the \
                 users whose home it is.",
            )
            .unset("one for each core that the process may use; half of that beside a router in the same process")
            .flag("shards", "COUNT", DEV | SERVE),
        key("gateway.pin_shards", place!(gateway.pin_shards), Kind::Choice(PinShards::ALL.map(PinShards::name).to_vec()))
            .means(
                "Whether each of these threads stays on a core of its own. auto: where there are several, a core for each of \
                 them, and no quota of processor time. off: never, which suits several gateways on one machine.",
            ),
    ]
}

fn limits() -> [Key; 6] {
    [
        key("gateway.connections_max", place!(gateway.shard.connections_max), count(range::CONNECTIONS_MAX))
            .means("Connections of a shard at a time, authenticated or not.")
            .reached("Further sockets are closed at once.")
            .on_hangup(),
        key("gateway.handshakes_max", place!(gateway.shard.handshakes_max), count(range::HANDSHAKES_MAX))
            .means("Connections of a shard that have not authenticated.")
            .reached("The oldest of them goes.")
            .on_hangup(),
        key(
            "gateway.handshakes_per_address_max",
            place!(gateway.shard.handshakes_per_address_max),
            count(range::HANDSHAKES_PER_ADDRESS_MAX),
        )
        .means("The same of one address, or of one IPv6 network of 64 bits.")
        .reached("The oldest of that address goes.")
        .on_hangup(),
        key(
            "gateway.handshakes_per_turn_max",
            place!(gateway.handshakes_per_turn_max),
            count(range::HANDSHAKES_PER_TURN_MAX),
        )
        .means(
            "Steps of TLS handshakes that a turn of a thread takes. One takes as long as dozens of frames, so this is how long \
             people who are there wait for those who come.",
        )
        .reached("The rest wait for the next turns.")
        .on_hangup(),
        key("gateway.send_queue_bytes_max", place!(gateway.shard.send_queue_bytes_max), bytes(range::SEND_QUEUE_BYTES_MAX))
            .means("What waits to be sent to one connection.")
            .reached("The connection is closed as a slow reader; its device goes on where it was when it comes again.")
            .on_hangup(),
        key("gateway.torn_bytes_max", place!(gateway.torn_bytes_max), bytes(range::TORN_BYTES_MAX))
            .means("Memory of a shard for frames and TLS records of which the rest has not arrived, and for what may not be read yet.")
            .reached("The connection with most of it is closed.")
            .on_hangup(),
    ]
}

fn times() -> [Key; 7] {
    [
        key(
            "gateway.handshake_timeout_ms",
            place!(gateway.shard.handshake_timeout),
            milliseconds(range::HANDSHAKE_TIMEOUT),
        )
        .means("From the accepted socket to the Welcome.")
        .reached("The connection is closed."),
        key(
            "gateway.heartbeat_interval_ms",
            place!(gateway.shard.heartbeat_interval),
            milliseconds(range::HEARTBEAT_INTERVAL),
        )
        .means("How often clients are told to be heard of.")
        .reached("A client that is not heard of for twice as long is closed."),
        key("gateway.frame_timeout_ms", place!(gateway.frame_timeout), milliseconds(range::FRAME_TIMEOUT))
            .means("From the first byte of a frame, or of a TLS record, to its last.")
            .reached("The connection is closed.")
            .on_hangup(),
        key("gateway.close_timeout_ms", place!(gateway.close_timeout), milliseconds(range::CLOSE_TIMEOUT))
            .means("From the decision to close a connection to its end, flushing included.")
            .reached("The connection is cut.")
            .on_hangup(),
        key("gateway.drain_timeout_ms", place!(gateway.drain_timeout), milliseconds(range::DRAIN_TIMEOUT))
            .means("From the signal to end to the end.")
            .reached("What is not flushed is cut.")
            .on_hangup(),
        key(
            "gateway.reconnect_window_ms",
            place!(gateway.shard.reconnect_window),
            milliseconds(range::RECONNECT_WINDOW),
        )
        .means("Clients that are told to reconnect come back spread over this time.")
        .on_hangup(),
        key("gateway.ticket_lifetime_ms", place!(gateway.shard.ticket_lifetime), milliseconds(range::TICKET_LIFETIME))
            .means("How long a device may show its resume ticket in place of its access token, as far as that lasts.")
            .reached("The session ends, and the device comes back with its token.")
            .on_hangup(),
    ]
}
