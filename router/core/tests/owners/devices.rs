//! Several devices of one user: what each of them is told, and that one which is revoked is served nothing any more.

use protocol::client::RequestId;
use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::ids::{ClientMsgId, DeviceGeneration, DeviceId, UserSeq};
use protocol::wire::ServerBody;
use router_core::RouterConfig;
use storage_api::Standing;

use crate::store::{ALICE, BOB};
use crate::world::{Got, Listed, World};
use crate::{ack, direct, id};

const POCKET: ClientMsgId = ClientMsgId([7; 16]);
const DESK: ClientMsgId = ClientMsgId([8; 16]);

type Device = (DeviceId, DeviceGeneration);

/// Bob on connection 2; Alice's pocket on 1, her desk on 3.
fn two_devices(one_log: bool) -> (World, [Device; 2]) {
    let mut world = World::new(one_log, RouterConfig::default());
    world.open(2, BOB, UserSeq(0));
    let devices = [(1, POCKET), (3, DESK)].map(|(connection, install_id)| {
        world.open_device(connection, ALICE, None, Some(install_id), UserSeq(0));
        world.settle();
        assert_eq!(world.got(connection), [Got::Other(ServerBody::Snapshot)]);
        world.device(ALICE)
    });
    assert_ne!(devices[0].0, devices[1].0);
    (world, devices)
}

pub(crate) fn revoke((device, generation): Device, op: u128) -> Vec<u8> {
    FrameBuilder::default().device_revoke(id(op), device, generation).to_vec()
}

pub(crate) fn list(world: &mut World, connection: u64) -> Vec<Listed> {
    world.request(connection, FrameBuilder::default().devices_get(RequestId(5)));
    world.settle();
    match world.got(connection).pop() {
        Some(Got::Devices(listed)) => listed,
        other => panic!("a list was asked for, the answer is {other:?}"),
    }
}

#[test]
fn a_revoke_is_durable_before_it_is_answered_and_cuts_the_session_with_it() {
    for one_log in [true, false] {
        let (mut world, [pocket, desk]) = two_devices(one_log);
        world.request(3, &revoke(pocket, 1));
        assert_eq!((world.got(3), world.got(1)), (vec![], vec![]), "it is not durable yet");
        world.settle();
        assert_eq!(world.got(3), [Got::Done]);
        assert_eq!(world.got(1), [Got::Closed(Code::DeviceRevoked)]);
        assert_eq!(world.store.device(ALICE, pocket.0).standing, Standing::FIRST.revoke());
        assert_eq!(world.store.device(ALICE, desk.0).standing, Standing::FIRST);
    }
}

#[test]
fn nothing_reaches_a_revoked_device_and_nothing_of_it_is_served() {
    let (mut world, [pocket, _]) = two_devices(true);
    world.request(3, &revoke(pocket, 1));
    world.message(2, direct_to_alice(), id(2), 0);
    world.settle();
    assert_eq!(world.got(1), [Got::Closed(Code::DeviceRevoked)], "the message came after the revoke");
    world.message(1, direct(), id(3), 0);
    world.request(1, &ack(1));
    world.settle();
    assert_eq!(world.got(1), [], "a request that was under way");
    assert_eq!(world.store.entries.values().map(|entries| entries.len()).sum::<usize>(), 1);
}

#[test]
fn a_revoked_device_is_refused_whatever_it_shows_also_by_the_next_router() {
    let (mut world, [pocket, _]) = two_devices(true);
    world.request(3, &revoke(pocket, 1));
    world.settle();
    for is_after_crash in [false, true] {
        if is_after_crash {
            world.crash();
            world.settle();
        }
        world.got(1);
        for (device, install_id) in [(Some(pocket), None), (None, Some(POCKET))] {
            world.open_device(1, ALICE, device, install_id, UserSeq(0));
            world.settle();
            assert_eq!(world.got(1), [Got::Closed(Code::DeviceRevoked)], "{device:?}");
        }
    }
}

#[test]
fn a_device_that_is_linked_anew_goes_on_under_a_higher_generation() {
    for one_log in [true, false] {
        let (mut world, [pocket, _]) = two_devices(one_log);
        world.request(3, &revoke(pocket, 1));
        world.message(2, direct_to_alice(), id(2), 0);
        world.settle();
        world.got(1);
        for attempt in ["it asks", "it has not heard of it and asks again"] {
            world.open_device(1, ALICE, Some(pocket), Some(POCKET), UserSeq(0));
            world.settle();
            assert_eq!(world.device(ALICE), (pocket.0, DeviceGeneration(2)), "{attempt}");
            assert!(matches!(world.got(1).last(), Some(Got::Message(..))), "what came meanwhile: {attempt}");
        }
        world.open_device(4, ALICE, Some(pocket), None, UserSeq(0));
        world.settle();
        assert_eq!(world.got(4), [Got::Closed(Code::DeviceRevoked)], "the old generation stays revoked");
        assert_eq!(world.store.device(ALICE, pocket.0).standing, Standing::FIRST.link_anew());
    }
}

#[test]
fn a_revoke_that_comes_again_is_done_and_does_not_reach_the_next_generation() {
    let (mut world, [pocket, _]) = two_devices(true);
    world.request(3, &revoke(pocket, 1));
    world.request(3, &revoke(pocket, 1));
    world.settle();
    assert_eq!(world.got(3), [Got::Done, Got::Done]);
    world.open_device(1, ALICE, Some(pocket), Some(POCKET), UserSeq(0));
    world.settle();
    world.got(1);
    world.request(3, &revoke(pocket, 1));
    world.settle();
    assert_eq!((world.got(3), world.got(1)), (vec![Got::Done], vec![]));
}

#[test]
fn a_revoke_of_what_the_user_does_not_have_is_refused() {
    let (mut world, [pocket, _]) = two_devices(true);
    let unknown = [(DeviceId(99), pocket.1), (world.device(BOB).0, pocket.1), (pocket.0, DeviceGeneration(2))];
    for device in unknown {
        world.request(3, &revoke(device, 1));
        world.settle();
        assert_eq!(world.got(3), [Got::OpRefused(Code::NoSuchDevice.number())], "{device:?}");
    }
}

#[test]
fn a_device_that_revokes_itself_is_answered_before_it_is_cut_off() {
    let (mut world, [pocket, _]) = two_devices(true);
    world.request(1, &revoke(pocket, 1));
    world.settle();
    assert_eq!(world.got(1), [Got::Done, Got::Closed(Code::DeviceRevoked)]);
}

#[test]
fn a_list_shows_what_is_served_first_and_who_is_there() {
    let (mut world, [pocket, desk]) = two_devices(true);
    let listed = |id, revoked, online, was_seen| Listed { id, generation: 1, revoked, online, was_seen };
    assert_eq!(list(&mut world, 3), [listed(desk.0, false, true, false), listed(pocket.0, false, true, false)]);
    world.close(1);
    assert_eq!(list(&mut world, 3), [listed(desk.0, false, true, false), listed(pocket.0, false, false, true)]);
    world.request(1, &revoke(desk, 1));
    world.request(3, &revoke(desk, 1));
    world.settle();
    world.open_device(4, ALICE, Some(pocket), None, UserSeq(0));
    world.settle();
    assert_eq!(list(&mut world, 4), [listed(pocket.0, false, true, false), listed(desk.0, true, false, true)]);
}

fn direct_to_alice() -> (protocol::ids::ConversationId, Option<protocol::ids::UserId>) {
    (direct().0, Some(ALICE))
}

#[test]
fn a_user_with_all_devices_gets_no_other_one_until_one_is_revoked() {
    for one_log in [true, false] {
        let mut world = World::new(one_log, RouterConfig { devices_max: 1, ..RouterConfig::default() });
        world.open_device(1, ALICE, None, Some(POCKET), UserSeq(0));
        world.settle();
        let pocket = world.device(ALICE);
        world.open_device(3, ALICE, None, Some(DESK), UserSeq(0));
        world.settle();
        assert_eq!(world.got(3), [Got::Closed(Code::TooManyDevices)]);
        world.request(1, &revoke(pocket, 1));
        world.settle();
        world.open_device(4, ALICE, None, Some(DESK), UserSeq(0));
        world.settle();
        assert_eq!(world.got(4), [Got::Other(ServerBody::Snapshot)]);
    }
}
