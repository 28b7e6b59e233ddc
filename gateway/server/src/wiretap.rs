//! TRACE lines of every frame, under the id that its client gave it: what a message is called from its sender's socket
//! to its recipients'. Never what is in it.

use gateway_core::ConnectionId;
use protocol::frame;
use protocol::ids::ClientMsgId;
use protocol::wire;

/// A frame has come whole.
pub(crate) fn received(connection: ConnectionId, bytes: &[u8]) {
    if !tracing::enabled!(tracing::Level::TRACE) {
        return;
    }
    let size = bytes.len();
    let Ok(frame) = frame::client_frame(bytes) else {
        return tracing::trace!(?connection, size, "a frame that cannot be read received");
    };
    let kind = frame.body_type().variant_name();
    let message = frame.body_as_message_send().map(|send| ClientMsgId::from(send.client_msg_id()));
    match message.or(frame.client_op_id().map(ClientMsgId::from)) {
        Some(client_msg_id) => tracing::trace!(?connection, size, kind, %client_msg_id, "frame received"),
        None => tracing::trace!(?connection, size, kind, "frame received"),
    }
}

/// A frame is queued for its socket. `parts` begin with the length prefix.
pub(crate) fn sent(connection: ConnectionId, parts: [&[u8]; 3]) {
    if !tracing::enabled!(tracing::Level::TRACE) {
        return;
    }
    let bytes = parts.concat();
    let size = bytes.len();
    let frame = bytes.get(protocol::limits::FRAME_PREFIX_SIZE..).unwrap_or_default();
    let Ok(frame) = frame::server_frame(frame) else { return };
    let kind = frame.body_type().variant_name();
    let mut named = Vec::new();
    if let Some(ack) = frame.body_as_message_ack() {
        named.push(ClientMsgId::from(ack.client_msg_id()));
    }
    for event in frame.body_as_push().into_iter().filter_map(|push| push.events()).flatten() {
        named.extend(client_msg_id_of(&event));
    }
    match &named[..] {
        [] => tracing::trace!(?connection, size, kind, "frame sent"),
        named => {
            for client_msg_id in named {
                tracing::trace!(?connection, size, kind, %client_msg_id, "frame sent");
            }
        }
    }
}

fn client_msg_id_of(event: &wire::Event<'_>) -> Option<ClientMsgId> {
    if let Some(echo) = event.body_as_echo() {
        return Some(echo.client_msg_id().into());
    }
    let message = frame::message(event.body_as_message_new()?.message().bytes()).ok()?;
    Some(message.client_msg_id().into())
}
