//! A checker that cannot fail is worthless: each promise is broken by hand, and seen.

use protocol::event::Receipt;
use protocol::ids::ClientMsgId;
use protocol::wire::MembershipAction;

use super::*;
use crate::prng::Prng;
use crate::sighting::Body;
use crate::store::{SimulatedStore, Weather};

const ALICE: UserId = UserId(1);
const BOB: UserId = UserId(2);
const EVE: UserId = UserId(3);
const GROUP: ConversationId = ConversationId([9; 16]);

fn name(sender: UserId, number: u8) -> Name {
    Name { sender, device: DeviceId(sender.0 * 10), client_id: ClientMsgId([number; 16]) }
}

fn message(sender: UserId, number: u8) -> Content {
    Content::Message { name: name(sender, number), body: Some(Body::of(&[number])) }
}

fn membership(action: MembershipAction, users: &[UserId], number: u8) -> Content {
    Content::Membership { name: name(ALICE, number), action, users: users.to_vec() }
}

/// A group of three in which Alice said 2 and 4, Bob 3, and from which Eve was removed at 5; everybody has everything.
struct Scene {
    ledger: Ledger,
    stored: Stored,
    cursors: BTreeMap<DeviceIndex, UserSeq>,
    histories: BTreeMap<(UserId, ConversationId), Vec<(Seq, Content)>>,
}

impl Scene {
    fn new() -> Scene {
        let entries = [
            membership(MembershipAction::Created, &[ALICE, BOB, EVE], 1),
            message(ALICE, 2),
            message(BOB, 3),
            message(ALICE, 4),
            membership(MembershipAction::Removed, &[EVE], 5),
            message(BOB, 6),
        ];
        let mut scene = Scene {
            ledger: Ledger::default(),
            stored: Stored::default(),
            cursors: BTreeMap::new(),
            histories: BTreeMap::new(),
        };
        let ordinals = [0, 1, 2, 3, 3, 4].map(Ordinal);
        let sequence = (1..).map(Seq).zip(ordinals.into_iter().zip(entries)).collect();
        scene.stored.conversations.insert(GROUP, sequence);
        for (index, user) in [ALICE, BOB, EVE].into_iter().enumerate() {
            let seen: Vec<(Seq, Content)> =
                scene.stored.visible(GROUP, user).map(|(seq, content)| (seq, content.clone())).collect();
            let entries = seen.iter().map(|(seq, content)| StreamEvent::Entry((GROUP, *seq), content.clone()));
            let ticks = [ALICE, BOB]
                .into_iter()
                .filter(|by| user != EVE && *by != user)
                .map(|by| StreamEvent::Delivered(Receipt { conversation: GROUP, up_to: Seq(6), by }));
            let log: Vec<StreamEvent> = entries.chain(ticks).collect();
            let stream = scene.ledger.streams.entry(index).or_default();
            (stream.user, stream.device) = (user, DeviceId(user.0 * 10));
            for (event, place) in log.iter().zip(1..) {
                scene.ledger.apply(index, UserSeq(place), event.clone(), false).expect("one after the other");
            }
            seen.iter()
                .for_each(|(seq, content)| scene.ledger.see(user, (GROUP, *seq), content).expect("all the same"));
            scene.cursors.insert(index, UserSeq(log.len() as u64));
            scene.stored.logs.insert(user, log);
            scene.histories.insert((user, GROUP), seen);
        }
        for (sender, number) in [(ALICE, 2), (BOB, 3), (ALICE, 4), (BOB, 6)] {
            scene.ledger.send(name(sender, number), GROUP, Body::of(&[number]));
            scene.ledger.ack(name(sender, number), (GROUP, Seq(u64::from(number)))).expect("acknowledged once");
        }
        scene
    }

    fn check(&self) -> Option<Promise> {
        let Scene { ledger, stored, cursors, histories } = self;
        Evidence { people: &[ALICE, BOB, EVE], ledger, stored, cursors, kept_reads: &ledger.read, histories }
            .check()
            .err()
            .map(|broken| broken.promise)
    }

    fn sequence(&mut self) -> &mut stored::Sequence {
        self.stored.conversations.get_mut(&GROUP).expect("it was made with the scene")
    }

    fn put(&mut self, seq: u64, ordinal: u64, content: Content) {
        self.sequence().insert(Seq(seq), (Ordinal(ordinal), content));
    }
}

#[test]
fn a_whole_scene_breaks_nothing() {
    assert_eq!(Scene::new().check(), None);
}

#[test]
fn an_acked_message_that_is_not_stored_breaks_p1() {
    let mut scene = Scene::new();
    scene.put(4, 3, Content::Void);
    assert_eq!(scene.check(), Some(Promise::P1));
}

#[test]
fn an_acked_message_with_another_body_breaks_p1() {
    let mut scene = Scene::new();
    scene.put(4, 3, Content::Message { name: name(ALICE, 4), body: Some(Body::of(&[99])) });
    assert_eq!(scene.check(), Some(Promise::P1));
}

#[test]
fn an_erased_message_that_comes_back_breaks_p1() {
    let mut scene = Scene::new();
    scene.ledger.erasures.insert((GROUP, Seq(4)), true);
    assert_eq!(scene.check(), Some(Promise::P1), "it is still there");
    scene.put(4, 3, Content::Void);
    assert_eq!(scene.check(), Some(Promise::P1), "a history shows it");
    let histories = scene.histories.values_mut().flatten();
    histories.filter(|(seq, _)| *seq == Seq(4)).for_each(|(_, content)| *content = Content::Void);
    assert_eq!(scene.check(), None);
}

#[test]
fn two_entries_of_one_name_break_p2() {
    let mut scene = Scene::new();
    scene.put(7, 5, message(ALICE, 4));
    assert_eq!(scene.check(), Some(Promise::P2));
}

#[test]
fn a_second_ack_at_another_place_breaks_p2() {
    let broken = Scene::new().ledger.ack(name(ALICE, 4), (GROUP, Seq(9)));
    assert_eq!(broken.map_err(|broken| broken.promise), Err(Promise::P2));
}

#[test]
fn a_device_that_sees_one_name_twice_breaks_p2() {
    let mut scene = Scene::new();
    let again = StreamEvent::Entry((GROUP, Seq(7)), message(BOB, 3));
    scene.ledger.apply(0, UserSeq(8), again, false).expect("the next place");
    assert_eq!(scene.check(), Some(Promise::P2));
}

#[test]
fn a_gap_in_a_sequence_breaks_p3() {
    let mut scene = Scene::new();
    scene.put(8, 5, message(BOB, 8));
    assert_eq!(scene.check(), Some(Promise::P3));
}

#[test]
fn a_place_that_was_used_twice_breaks_p3() {
    let broken = Scene::new().ledger.see(BOB, (GROUP, Seq(4)), &message(ALICE, 44));
    assert_eq!(broken.map_err(|broken| broken.promise), Err(Promise::P3));
}

#[test]
fn an_ordinal_that_stands_still_breaks_p3() {
    let mut scene = Scene::new();
    scene.put(6, 3, message(BOB, 6));
    assert_eq!(scene.check(), Some(Promise::P3));
}

#[test]
fn a_stream_that_goes_back_in_a_conversation_breaks_p3() {
    let mut scene = Scene::new();
    let events = &mut scene.ledger.streams.get_mut(&0).expect("Alice has a device").events;
    events.swap(1, 2);
    scene.stored.logs.insert(ALICE, events.clone());
    assert_eq!(scene.check(), Some(Promise::P3));
}

#[test]
fn an_entry_that_comes_again_has_to_be_called_a_repeat() {
    for is_repeat in [true, false] {
        let mut scene = Scene::new();
        let again = StreamEvent::Entry((GROUP, Seq(3)), message(BOB, 3));
        scene.ledger.apply(0, UserSeq(8), again.clone(), is_repeat).expect("the next place");
        scene.stored.logs.get_mut(&ALICE).expect("Alice has a log").push(again);
        assert_eq!(scene.check(), (!is_repeat).then_some(Promise::P3));
    }
}

#[test]
fn an_entry_that_is_in_no_log_breaks_p4() {
    let mut scene = Scene::new();
    scene.put(7, 5, message(BOB, 7));
    assert_eq!(scene.check(), Some(Promise::P4));
}

#[test]
fn a_device_that_stays_behind_breaks_p4() {
    let mut scene = Scene::new();
    scene.ledger.streams.get_mut(&1).expect("Bob has a device").events.pop();
    scene.cursors.insert(1, UserSeq(6));
    assert_eq!(scene.check(), Some(Promise::P4));
}

#[test]
fn a_tick_that_never_comes_breaks_p4() {
    for place in [ALICE, BOB] {
        let mut scene = Scene::new();
        let index = if place == ALICE { 0 } else { 1 };
        scene.ledger.streams.get_mut(&index).expect("both have a device").events.pop();
        scene.cursors.insert(index, UserSeq(6));
        scene.stored.logs.get_mut(&place).expect("both have a log").pop();
        assert_eq!(scene.check(), Some(Promise::P4));
    }
    let mut scene = Scene::new();
    scene.ledger.mark_read(BOB, (GROUP, Seq(4)));
    assert_eq!(scene.check(), Some(Promise::P4), "nobody told Alice that Bob has read");
}

#[test]
fn a_history_with_something_missing_breaks_p4() {
    let mut scene = Scene::new();
    scene.histories.get_mut(&(BOB, GROUP)).expect("Bob asked").remove(2);
    assert_eq!(scene.check(), Some(Promise::P4));
}

#[test]
fn a_cursor_past_what_was_given_breaks_p5() {
    let mut scene = Scene::new();
    scene.cursors.insert(0, UserSeq(8));
    assert_eq!(scene.check(), Some(Promise::P5));
}

#[test]
fn an_event_that_is_jumped_over_breaks_p5() {
    let broken = Scene::new().ledger.apply(0, UserSeq(9), StreamEvent::Nothing, false);
    assert_eq!(broken.map_err(|broken| broken.promise), Err(Promise::P5));
}

#[test]
fn another_event_than_the_stored_one_breaks_p5() {
    let mut scene = Scene::new();
    scene.stored.logs.get_mut(&ALICE).expect("Alice has a log")[6] = StreamEvent::Nothing;
    assert_eq!(scene.check(), Some(Promise::P5));
}

#[test]
fn whoever_was_removed_and_sees_more_breaks_p6() {
    let mut scene = Scene::new();
    scene.ledger.see(EVE, (GROUP, Seq(6)), &message(BOB, 6)).expect("it is what it is");
    assert_eq!(scene.check(), Some(Promise::P6));
}

#[test]
fn a_stranger_to_a_direct_conversation_breaks_p6() {
    let mut scene = Scene::new();
    let direct = ConversationId::direct(ALICE, BOB);
    scene.stored.direct.insert(direct, [ALICE, BOB]);
    scene.stored.conversations.insert(direct, [(Seq(1), (Ordinal(1), message(ALICE, 8)))].into());
    scene.ledger.see(EVE, (direct, Seq(1)), &message(ALICE, 8)).expect("it is what it is");
    assert_eq!(scene.check(), Some(Promise::P6));
}

#[test]
fn a_device_that_is_served_after_its_revoke_breaks_p7() {
    let mut ledger = Ledger::default();
    let (revoked, revoked_at) = ((DeviceId(10), DeviceGeneration(1)), Instant(0) + Duration::from_secs(60));
    ledger.revoked.insert(revoked, revoked_at);
    assert_eq!(check_delivery(&ledger, revoked, revoked_at + CUT_MAX), Ok(()));
    let late = revoked_at + CUT_MAX + Duration::from_millis(1);
    let broken = check_delivery(&ledger, revoked, late);
    assert_eq!(broken.map_err(|broken| broken.promise), Err(Promise::P7));
    assert_eq!(check_delivery(&ledger, (DeviceId(10), DeviceGeneration(2)), late), Ok(()), "it was linked anew");
}

#[test]
fn a_device_that_comes_back_after_its_revoke_breaks_p7() {
    let mut ledger = Ledger::default();
    let (revoked, revoked_at) = ((DeviceId(10), DeviceGeneration(1)), Instant(0) + Duration::from_secs(60));
    ledger.revoked.insert(revoked, revoked_at);
    assert_eq!(check_welcome(&ledger, revoked, revoked_at), Ok(()), "its Hello may have been under way");
    let broken = check_welcome(&ledger, revoked, revoked_at + Duration::from_millis(1));
    assert_eq!(broken.map_err(|broken| broken.promise), Err(Promise::P7));
}

#[test]
fn an_ack_of_what_is_not_durable_is_seen_at_once() {
    let mut store = SimulatedStore::new(true, Weather::FAIR, Prng::new(1));
    let broken = check_ack(&mut store, name(ALICE, 2), (GROUP, Seq(2)));
    assert_eq!(broken.map_err(|broken| broken.promise), Err(Promise::P1));
    let broken = check_event(&mut store, ALICE, UserSeq(1), &StreamEvent::Nothing);
    assert_eq!(broken.map_err(|broken| broken.promise), Err(Promise::P3));
}

#[test]
fn a_message_that_is_shown_with_another_body_breaks_p10() {
    let mut scene = Scene::new();
    let damaged = Content::Message { name: name(ALICE, 4), body: Some(Body::of(&[99])) };
    let broken = scene.ledger.see(BOB, (GROUP, Seq(4)), &damaged).expect_err("that is not what was sent");
    assert_eq!(broken.promise, Promise::P10);
}
