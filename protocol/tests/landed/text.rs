//! What bytes mean to today's code, as lines: every field of every table, a union with the member it is.
//!
//! Also what the decoders of this crate make of it. A number of a list stands behind the one before it.

use flatbuffers::VerifierOptions;
use protocol::event::Event;
use protocol::link::{LinkEnd, LinkError};
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
    let mut handled = 0;
    let of_gateway = LinkEnd::default().handle_batch_of_gateway(bytes, |_, message| {
        all.extend(lines(&format!("{message:#?}")));
        handled += 1;
    });
    let of_router = LinkEnd::default().handle_batch_of_router(bytes, |_, _| handled += 1);
    // Nobody owes a fresh end anything, so that is how credits are read.
    let is_credits = [of_gateway, of_router] == [Err(LinkError::CreditsOverflow); 2];
    assert!(is_credits || handled == 1, "{of_gateway:?} {of_router:?}");
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
