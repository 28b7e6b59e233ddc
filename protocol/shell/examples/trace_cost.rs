//! What tracing costs for each message between two people: `trace_cost [MESSAGES]`.
//!
//! Does for each message what both tiers do for a trace, and nothing else: four peeks at its frames, seven steps noted, and
//! two rings that keep them. Prints nanoseconds of a core a message and bytes kept, for every message, one in ten, and none.

use std::io::Write;
use std::time::Duration;

use protocol::encode::FrameBuilder;
use protocol::event::Event;
use protocol::ids::{ClientMsgId, ConversationId, DeviceId, Seq, UserId, UserSeq};
use protocol::peek;
use protocol::time::WallTime;
use protocol::trace::{Stage, TraceConfig, TraceNotes, TraceStep};
use protocol::wire::{self, ServerBody};
use protocol_shell::{TraceRing, clock};
use rustix::time::{ClockId, clock_gettime};

/// Messages of a turn under load.
const TURN_MESSAGES: usize = 32;

fn main() {
    let messages: usize = std::env::args().nth(1).map_or(2_000_000, |text| text.parse().expect("MESSAGES is a number"));
    let (ack, push) = (ack(), push());
    for one_in in [1, 10, 0] {
        let config = TraceConfig { one_in, ..TraceConfig::default() };
        let rings = [(); 2].map(|()| TraceRing::new(config));
        let mut notes = [(); 2].map(|()| TraceNotes::new(&config));
        let began = cpu_time();
        for number in 0..messages {
            let id = ClientMsgId::new(WallTime(1_764_000_000_000 + number as u64 / 20), number as u128);
            let seen = peek::answered(&ack).is_some() as usize + peek::told(&push).count();
            assert_eq!(seen, 2, "both frames name their message");
            one_message(&mut notes, id);
            if number % TURN_MESSAGES == 0 {
                let now = clock::now().monotonic;
                rings.iter().zip(&mut notes).for_each(|(ring, notes)| ring.absorb(now, notes));
            }
        }
        let nanos = (cpu_time() - began).as_nanos() as f64 / messages as f64;
        let (noted, _) = notes.iter().fold((0, 0), |sum, notes| (sum.0 + notes.counts().0, sum.1 + notes.counts().1));
        let bytes = noted as f64 * size_of::<TraceStep>() as f64 / messages as f64;
        writeln!(std::io::stdout(), "one in {one_in:>2}: {nanos:>6.1} ns and {bytes:>6.1} bytes a message, both tiers")
            .expect("somebody reads it");
    }
}

/// Of this thread: what others do on the machine does not count.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().expect("it starts at zero")
}

fn one_message([gateway, router]: &mut [TraceNotes; 2], id: ClientMsgId) {
    let (user, device, at) = (UserId(1 << 48 | 1), DeviceId(1), protocol::time::Instant(1));
    let step = |stage| TraceStep { id, at, user, device, code: 0, stage };
    [Stage::Received, Stage::Acked, Stage::Pushed].into_iter().for_each(|stage| gateway.note(step(stage)));
    let of_router = [Stage::Placed, Stage::Durable, Stage::Sent, Stage::Stored];
    of_router.into_iter().for_each(|stage| router.note(step(stage)));
}

fn ack() -> Vec<u8> {
    let mut builder = FrameBuilder::default();
    let frame = builder.server(|fbb| {
        let (id, conversation) = (ClientMsgId([7; 16]).into(), ConversationId([9; 16]).into());
        let args = wire::MessageAckArgs {
            client_msg_id: Some(&id),
            conversation: Some(&conversation),
            seq: 1,
            server_time_ms: 1,
            ..wire::MessageAckArgs::default()
        };
        (ServerBody::MessageAck, wire::MessageAck::create(fbb, &args).as_union_value())
    });
    frame.to_vec()
}

fn push() -> Vec<u8> {
    let echo = Event::Echo {
        client_msg_id: ClientMsgId([7; 16]),
        conversation: ConversationId([9; 16]),
        seq: Seq(1),
        server_time: WallTime(1),
    };
    FrameBuilder::default().push(UserSeq(1), &[echo]).to_vec()
}
