//! The frames that cost the verifier most for their size: what is taken is taken in time, and what is not is refused in
//! time.

use flatbuffers::FlatBufferBuilder;
use hostile::verify;
use protocol::encode::FrameBuilder;
use protocol::limits::FRAME_SIZE_MAX;
use protocol::wire::{self, ClientBody, EventBody, ServerBody};

/// Beside what is repeated.
const OVERHEAD_BYTES: usize = 256;

type Builder = FlatBufferBuilder<'static>;

fn client(
    body: impl FnOnce(&mut Builder) -> (ClientBody, flatbuffers::WIPOffset<flatbuffers::UnionWIPOffset>),
) -> Vec<u8> {
    FrameBuilder::default().client(None, body).to_vec()
}

/// As many references to one handle as a frame holds.
fn one_handle_often(handle: &str) -> Vec<u8> {
    client(|fbb| {
        let handle = fbb.create_string(handle);
        let handles = Some(fbb.create_vector(&vec![handle; (FRAME_SIZE_MAX - OVERHEAD_BYTES) / 4]));
        let args = wire::UserLookupArgs { request_id: 1, handles, ids: None };
        (ClientBody::UserLookup, wire::UserLookup::create(fbb, &args).as_union_value())
    })
}

/// A title of four-byte characters, which are the dearest to look at.
fn one_long_title() -> Vec<u8> {
    client(|fbb| {
        let title = Some(fbb.create_string(&"\u{10ffff}".repeat((FRAME_SIZE_MAX - OVERHEAD_BYTES) / 4)));
        let args = wire::ConversationCreateArgs { title, ..Default::default() };
        (ClientBody::ConversationCreate, wire::ConversationCreate::create(fbb, &args).as_union_value())
    })
}

/// As many references to one event as this.
fn one_event_often(count: usize) -> Vec<u8> {
    let mut builder = FrameBuilder::default();
    let frame = builder.server(|fbb| {
        let message = Some(fbb.create_vector(&[7u8; 64]));
        let message = wire::MessageNew::create(fbb, &wire::MessageNewArgs { message }).as_union_value();
        let args = wire::EventArgs { body_type: EventBody::MessageNew, body: Some(message) };
        let event = wire::Event::create(fbb, &args);
        let events = Some(fbb.create_vector(&vec![event; count]));
        (ServerBody::Push, wire::Push::create(fbb, &wire::PushArgs { first_user_seq: 1, events }).as_union_value())
    });
    frame.to_vec()
}

#[test]
fn the_dearest_frames_of_a_client_are_judged_in_time() {
    for (frame, is_taken) in [
        (one_handle_often(""), true),
        (one_handle_often(&"h".repeat(64)), false),
        (one_long_title(), true),
        (vec![0xff; FRAME_SIZE_MAX], false),
    ] {
        assert!(frame.len() <= FRAME_SIZE_MAX);
        let began = std::time::Instant::now();
        assert_eq!(verify::client_frame(&frame).is_ok(), is_taken);
        println!("{} bytes in {:?}", frame.len(), began.elapsed());
    }
}

#[test]
fn the_dearest_frames_of_a_server_are_judged_in_time() {
    for (frame, is_taken) in [(one_event_often(1_000), true), (one_event_often(16_000), false)] {
        assert!(frame.len() <= FRAME_SIZE_MAX);
        let began = std::time::Instant::now();
        assert_eq!(verify::server_frame(&frame).is_ok(), is_taken);
        println!("{} bytes in {:?}", frame.len(), began.elapsed());
    }
}
