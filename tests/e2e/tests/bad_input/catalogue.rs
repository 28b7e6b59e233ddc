//! All kinds of bad peers.

use crate::{Case, frames, handshakes};

/// Those whose end comes at once.
pub(crate) const QUICK: &[Case] = &[
    ("garbage instead of TLS gets an alert", handshakes::garbage),
    ("plain HTTP gets an alert", handshakes::plain_http),
    ("garbage dressed as TLS gets an alert", handshakes::dressed_garbage),
    ("TLS 1.2 gets an alert", handshakes::tls_1_2),
    ("another protocol name gets an alert", handshakes::wrong_alpn),
    ("a peer that hangs up in the handshake leaves nothing", handshakes::hang_up),
    ("a changed byte under TLS gets an alert", handshakes::changed_byte),
    ("a first frame that is no Hello is closed", frames::not_hello),
    ("a second Hello is closed", frames::second_hello),
    ("a frame that cannot be verified is closed", frames::unverifiable),
    ("half a frame as a whole one is closed", frames::truncated),
    ("an empty frame is closed", frames::empty),
    ("a frame over the limit is closed unread", frames::oversized),
    ("a token of nobody is closed", frames::wrong_token),
    ("a token whose time is over is closed", frames::expired_token),
    ("a token for a user who does not exist is closed", frames::unknown_user),
    ("a message with a field out of its range is refused and the session goes on", frames::bad_fields),
    ("a frame of a later version is skipped, an operation refused", frames::unknown_frames),
    ("questions without end are refused", frames::question_flood),
];

/// Those who wait for their deadline.
pub(crate) const SLOW: &[Case] = &[
    ("a silent socket is closed at its deadline", handshakes::silent),
    ("half a handshake is closed at its deadline", handshakes::half),
    ("a handshake that drips is closed at its deadline", handshakes::dripping),
    ("a session without a Hello is told that its time is over", frames::no_hello),
    ("half a Hello is told that its time is over", frames::half_hello),
    ("a frame that does not end is told that its time is over", frames::half_frame),
    ("a frame that drips is told that its time is over", frames::dripping_frame),
];

/// More silent sockets than one address may have.
pub(crate) const CROWD: Case = ("of too many silent sockets the oldest go", handshakes::crowd);
