//! All kinds of bad peers.

use crate::{Case, frames, handshakes, hellos, requests};

/// Those whose end comes at once.
pub(crate) const QUICK: &[Case] = &[
    ("garbage instead of TLS gets an alert", handshakes::garbage),
    ("plain HTTP gets an alert", handshakes::plain_http),
    ("garbage dressed as TLS gets an alert", handshakes::dressed_garbage),
    ("TLS 1.2 gets an alert", handshakes::tls_1_2),
    ("another protocol name gets an alert", handshakes::wrong_alpn),
    ("a peer that hangs up in the handshake leaves nothing", handshakes::hang_up),
    ("a record over its limit gets an alert", handshakes::oversized_record),
    ("records that say nothing, without end, are closed", handshakes::empty_records),
    ("a changed byte under TLS gets an alert", handshakes::changed_byte),
    ("a first frame that is no Hello is closed", hellos::not_hello),
    ("a second Hello is closed", hellos::second_hello),
    ("a Hello of another version is closed", hellos::other_version),
    ("a Hello that contradicts itself is closed", hellos::contradictory),
    ("a device that does not exist is closed", hellos::unknown_device),
    ("a frame that cannot be verified is closed", frames::unverifiable),
    ("half a frame as a whole one is closed", frames::truncated),
    ("an empty frame is closed", frames::empty),
    ("a frame over the limit is closed unread", frames::oversized),
    ("a frame that would cost much to verify is closed at once", frames::bloated),
    ("what comes behind a bad frame is not looked at", frames::behind_a_bad_one),
    ("a peer that vanishes within a frame leaves nothing", frames::vanished),
    ("a token of nobody is closed", hellos::wrong_token),
    ("a token whose time is over is closed", hellos::expired_token),
    ("a token for a user who does not exist is closed", hellos::unknown_user),
    ("a message with a field out of its range is refused and the session goes on", requests::bad_messages),
    ("a question out of its range, or not a guest's, is refused and the session goes on", requests::bad_questions),
    ("a frame of a later version is skipped, an operation refused", requests::unknown_frames),
    ("questions without end are refused", requests::question_flood),
];

/// Those who wait for their deadline.
pub(crate) const SLOW: &[Case] = &[
    ("a silent socket is closed at its deadline", handshakes::silent),
    ("half a handshake is closed at its deadline", handshakes::half),
    ("a handshake that drips is closed at its deadline", handshakes::dripping),
    ("a session without a Hello is told that its time is over", hellos::no_hello),
    ("half a Hello is told that its time is over", hellos::half_hello),
    ("a frame that does not end is told that its time is over", frames::half_frame),
    ("a frame that drips is told that its time is over", frames::dripping_frame),
    ("a TLS record that does not end is told that its time is over", frames::half_record),
];

/// More silent sockets than one address may have.
pub(crate) const CROWD: Case = ("of too many silent sockets the oldest go", handshakes::crowd);

/// Who fills every buffer there is.
pub(crate) const DEAF: Case = ("a peer that asks and does not read is closed", requests::deaf);
