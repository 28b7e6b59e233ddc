//! Frames in words, for whoever reads a trace.

use protocol::event::Event;
use protocol::frame;
use protocol::ids::ClientMsgId;
use protocol::wire::{self, ClientBody, ServerBody};

/// A frame on its way to a gateway.
pub(crate) fn client_frame(bytes: &[u8]) -> String {
    let Ok(frame) = frame::client_frame(bytes) else { return "garbage".into() };
    let name = frame.body_type().variant_name().unwrap_or("?");
    let operation = frame.client_op_id().map(|id| format!(" {}", ClientMsgId::from(id))).unwrap_or_default();
    let what = match frame.body_type() {
        ClientBody::Hello => frame.body_as_hello().map(|hello| {
            format!("device {} epoch {} cursor {}", hello.device_id(), hello.user_epoch(), hello.user_cursor())
        }),
        ClientBody::MessageSend => frame
            .body_as_message_send()
            .map(|send| format!("{} attempt {}", ClientMsgId::from(send.client_msg_id()), send.attempt())),
        ClientBody::Ack => frame.body_as_ack().map(|ack| format!("{}", ack.user_seq())),
        ClientBody::MessageRead => frame.body_as_message_read().map(|read| format!("up to {}", read.up_to_seq())),
        ClientBody::SyncGet => {
            frame.body_as_sync_get().map(|get| format!("{} after {}", get.request_id(), get.after_user_seq()))
        }
        ClientBody::DeviceRevoke => frame
            .body_as_device_revoke()
            .map(|revoke| format!("device {} generation {}", revoke.device_id(), revoke.device_generation())),
        ClientBody::HistoryGet => frame.body_as_history_get().map(|get| {
            format!("{} before {} after {} limit {}", get.request_id(), get.before_seq(), get.after_seq(), get.limit())
        }),
        _ => None,
    };
    format!("{name}{operation} {}", what.unwrap_or_default())
}

/// A frame on its way to a client.
pub(crate) fn server_frame(bytes: &[u8]) -> String {
    let Ok(frame) = frame::server_frame(bytes) else { return "garbage".into() };
    let name = frame.body_type().variant_name().unwrap_or("?");
    let what = match frame.body_type() {
        ServerBody::Welcome => frame.body_as_welcome().map(|welcome| {
            format!("device {} resumed {} head {}", welcome.device_id(), welcome.resumed(), welcome.user_head())
        }),
        ServerBody::MessageAck => frame
            .body_as_message_ack()
            .map(|ack| format!("{} seq {}", ClientMsgId::from(ack.client_msg_id()), ack.seq())),
        ServerBody::OpAck => frame.body_as_op_ack().map(|ack| {
            format!(
                "{} {:?} code {} seq {}",
                ClientMsgId::from(ack.client_op_id()),
                ack.status(),
                ack.code(),
                ack.seq()
            )
        }),
        ServerBody::Push => frame.body_as_push().map(|push| events(push.first_user_seq(), push.events())),
        ServerBody::SyncPage => frame.body_as_sync_page().map(|page| {
            let events = events(page.first_user_seq(), page.events());
            format!("{} {events} has_more {} head {}", page.request_id(), page.has_more(), page.user_head())
        }),
        ServerBody::HistoryPage => frame.body_as_history_page().map(|page| {
            let count = page.entries().map_or(0, |entries| entries.len());
            format!("{} with {count} entries, head {}", page.request_id(), page.head_seq())
        }),
        ServerBody::Snapshot => frame.body_as_snapshot().map(|snapshot| format!("at {}", snapshot.user_seq())),
        ServerBody::Pong => frame.body_as_pong().map(|pong| format!("head {}", pong.user_head())),
        ServerBody::GoAway => frame.body_as_go_away().map(|away| format!("{}", away.code())),
        ServerBody::Error => frame.body_as_error().map(|error| {
            let id = error.client_msg_id().map(ClientMsgId::from);
            format!("{} for {id:?} request {}", error.code(), error.request_id())
        }),
        _ => None,
    };
    format!("{name} {}", what.unwrap_or_default())
}

fn events<'a>(first: u64, events: Option<impl IntoIterator<Item = wire::Event<'a>>>) -> String {
    let events: Vec<Event> = events.into_iter().flatten().filter_map(|event| Event::decode(event).ok()).collect();
    format!("from {first}: {events:?}")
}
