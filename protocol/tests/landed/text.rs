//! What bytes mean to today's code, as lines: every field of every table, a union with the member it is.
//!
//! Also what the decoders of this crate make of it. A number of a list stands behind the one before it.

use flatbuffers::VerifierOptions;
use protocol::event::Event;
use protocol::link::LinkEnd;
use protocol::wire::link::LinkBatch;
use protocol::{frame, wire};

/// The lines of a golden frame of this union. Panics where it no longer decodes.
pub(crate) fn of(union: &str, bytes: &[u8]) -> Vec<String> {
    match union {
        "ClientBody" => lines(&format!("{:#?}", frame::client_frame(bytes).expect("it decodes"))),
        "LinkBody" => of_link(bytes),
        _ => of_server(&frame::server_frame(bytes).expect("it decodes")),
    }
}

fn of_server(frame: &wire::ServerFrame<'_>) -> Vec<String> {
    let mut all = lines(&format!("{frame:#?}"));
    let events = [
        frame.body_as_push().and_then(|push| push.events()),
        frame.body_as_sync_page().and_then(|page| page.events()),
        frame.body_as_history_page().and_then(|page| page.entries()),
    ];
    for event in events.iter().flatten().flat_map(|events| events.iter()) {
        let decoded = Event::decode(event).expect("it decodes");
        all.extend(lines(&format!("{decoded:#?}")));
        if let Event::MessageNew(message) = decoded {
            all.extend(lines(&format!("{:#?}", message.view())));
        }
    }
    all
}

fn of_link(bytes: &[u8]) -> Vec<String> {
    let batch = flatbuffers::root_with_opts::<LinkBatch<'_>>(&VerifierOptions::default(), bytes);
    let mut all = lines(&format!("{:#?}", batch.expect("it decodes")));
    let mut end = LinkEnd::default();
    // Half of the window is used up, so that credits can come back.
    while end.credits_bytes() > protocol::link::LINK_WINDOW_BYTES / 2 {
        let frame = [0; 60_000];
        let message = protocol::link::RouterMessage::Deliver {
            connection: protocol::link::ConnectionKey(1),
            user_seq_last: protocol::ids::UserSeq(0),
            frame: &frame,
        };
        end.send_to_gateway(&message).expect("there is credit");
    }
    let mut handled = 0;
    let is_of_gateway = end.handle_batch_of_gateway(bytes, |_, message| {
        all.extend(lines(&format!("{message:#?}")));
        handled += 1;
    });
    if is_of_gateway.is_err() {
        let read = end.handle_batch_of_router(bytes, |_, _| handled += 1);
        assert_eq!((read, handled), (Ok(()), 1), "a message of one of both ends");
    }
    all
}

fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let is_number = line.trim_end_matches(',').trim().parse::<u64>().is_ok();
        match lines.last_mut().filter(|last| is_number && (last.ends_with(',') || last.ends_with('['))) {
            Some(last) => *last += line.trim(),
            None => lines.push(line.trim_end().to_owned()),
        }
    }
    lines
}
