//! Each broken promise is found, by its name.

use protocol::ids::ClientMsgId;
use protocol::time::WallTime;

use super::*;
use crate::history::Entry;
use crate::verdict::Failure;

const ROOM: ConversationId = ConversationId([1; 16]);
const ALICE: UserId = UserId(1);
const BOB: UserId = UserId(2);

fn content(number: u64) -> Content {
    Content { client_msg_id: ClientMsgId::new(WallTime(number), 0), checksum: number as u32 }
}

/// Alice has device 0 with id 10, bob device 1 with id 11.
fn cast() -> Cast {
    Cast {
        owners: vec![ALICE, BOB],
        rooms: vec![Room { conversation: ROOM, members: vec![ALICE, BOB], is_direct: true }],
    }
}

/// By seq from 1: the device that said message n, or nothing.
fn history(devices: &[Option<u64>]) -> Vec<History> {
    let entry = |(device, seq): (&Option<u64>, u64)| Entry {
        seq: Seq(seq),
        message: device.map(|device| Said { device: DeviceId(device), content: content(seq) }),
    };
    vec![History { conversation: ROOM, entries: devices.iter().zip(1..).map(entry).collect() }]
}

fn fact(device: usize, news: News) -> Fact {
    Fact { device: DeviceIndex(device), news }
}

fn told_to_bob(seq: u64) -> Fact {
    fact(1, News::Told(ROOM, Seq(seq), content(seq)))
}

fn promise<T>(verdict: Verdict<T>) -> Option<&'static str> {
    match verdict {
        Err(Failure::Broken { promise, .. }) => Some(promise),
        _ => None,
    }
}

fn online() -> Vec<Fact> {
    vec![fact(0, News::Online(DeviceId(10))), fact(1, News::Online(DeviceId(11)))]
}

#[test]
fn what_was_acked_or_delivered_and_is_gone_breaks_p1() {
    let history = history(&[Some(10), None]);
    let acked = |seq, number| [fact(0, News::Acked(ROOM, Seq(seq), content(number).client_msg_id))];
    assert_eq!(promise(stored(&history, &acked(1, 1))), None);
    assert_eq!(promise(stored(&history, &acked(1, 2))), Some("P1"));
    assert_eq!(promise(stored(&history, &acked(2, 2))), Some("P1"));
    assert_eq!(promise(stored(&history, &acked(3, 3))), Some("P1"));
    assert_eq!(promise(stored(&history, &[told_to_bob(1)])), None);
    assert_eq!(promise(stored(&history, &[told_to_bob(3)])), Some("P1"));
}

#[test]
fn a_message_at_two_places_breaks_p2_and_a_hole_p3() {
    let mut twice = history(&[Some(10), Some(10)]);
    twice[0].entries[1].message = twice[0].entries[0].message;
    assert_eq!(promise(stored(&twice, &[])), Some("P2"));
    let mut hole = history(&[Some(10), Some(10), Some(10)]);
    hole[0].entries.remove(1);
    assert_eq!(promise(stored(&hole, &[])), Some("P3"));
}

#[test]
fn another_body_than_was_sent_breaks_p10() {
    let queued = |checksum| [fact(0, News::Queued(ROOM, Content { checksum, ..content(1) }))];
    assert_eq!(promise(stored(&history(&[Some(10)]), &queued(1))), None);
    assert_eq!(promise(stored(&history(&[Some(10)]), &queued(2))), Some("P10"));
}

#[test]
fn a_mishap_breaks_the_promise_that_it_names() {
    assert_eq!(promise(stored(&[], &[fact(0, News::Mishap("P8", String::new()))])), Some("P8"));
}

#[test]
fn a_device_is_told_all_in_order_and_after_a_restart_some_of_it_again() {
    let history = history(&[Some(10), Some(11), Some(10), Some(10)]);
    let judge = |seqs: &[u64]| {
        let of_bob = seqs.iter().map(|seq| if *seq == 0 { fact(1, News::Opened) } else { told_to_bob(*seq) });
        let receipts = [fact(0, News::Delivered(ROOM, Seq(4), BOB)), fact(0, News::Read(ROOM, Seq(4), BOB))];
        let of_alice = [fact(0, News::Told(ROOM, Seq(2), content(2)))];
        let receipts_of_bob = [fact(1, News::Delivered(ROOM, Seq(2), ALICE)), fact(1, News::Read(ROOM, Seq(3), ALICE))];
        let facts: Vec<Fact> =
            online().into_iter().chain(of_bob).chain(receipts).chain(of_alice).chain(receipts_of_bob).collect();
        told(&cast(), &history, &facts)
    };
    assert!(matches!(judge(&[1, 3, 4]), Ok(None)));
    assert!(matches!(judge(&[1, 3, 0, 3, 4, 0]), Ok(None)));
    assert!(matches!(judge(&[1, 3]), Ok(Some(_))));
    assert_eq!(promise(judge(&[3, 1, 4])), Some("P3"));
    assert_eq!(promise(judge(&[1, 4])), Some("P3"));
    assert_eq!(promise(judge(&[1, 0, 4])), Some("P3"));
    assert_eq!(promise(judge(&[1, 3, 3, 4])), Some("P3"));
    assert_eq!(promise(judge(&[1, 2, 3, 4])), Some("P4"));
}

#[test]
fn a_receipt_that_stops_short_of_the_end_is_missed() {
    let history = history(&[Some(10), Some(10)]);
    let judge = |delivered, read| {
        let mut facts = online();
        facts.extend([told_to_bob(1), told_to_bob(2)]);
        facts.push(fact(0, News::Delivered(ROOM, Seq(delivered), BOB)));
        facts.push(fact(0, News::Read(ROOM, Seq(read), BOB)));
        told(&cast(), &history, &facts)
    };
    assert!(matches!(judge(2, 2), Ok(None)));
    assert!(matches!(judge(1, 2), Ok(Some(_))));
    assert!(matches!(judge(2, 1), Ok(Some(_))));
}
