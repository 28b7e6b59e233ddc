//! What is kept of devices: it never falls, and outlives crashes, snapshots and segments that go.

use protocol::ids::{ClientMsgId, DeviceGeneration, UserId, UserSeq};
use protocol::time::WallTime;
use storage_api::{DeviceRow, Mutation, Request, Response, Standing};

use crate::machine::{Machine, message};

const INSTALL_ID: ClientMsgId = ClientMsgId([7; 16]);
const REGISTERED_AT: WallTime = WallTime(1_764_000_000_000);

fn register(machine: &mut Machine, user: UserId) -> DeviceRow {
    let name = "pocket".to_owned();
    let (install_id, registered_at) = (INSTALL_ID, REGISTERED_AT);
    let request = Request::RegisterDevice { user, install_id, name, registered_at, devices_max: 1 };
    match machine.ask(request) {
        Ok(Response::Device(Some(row))) => row,
        other => panic!("{other:?}"),
    }
}

fn write(machine: &mut Machine, mutation: Mutation) {
    assert_eq!(machine.ask(Request::Write(vec![mutation])), Ok(Response::Written));
}

/// As a router finds it, and as who asks to be registered again finds it.
fn found(machine: &mut Machine, user: UserId) -> DeviceRow {
    let Ok(Response::User(Some(state))) = machine.ask(Request::LoadUser(user)) else { panic!("users stay") };
    assert_eq!(state.devices, [register(machine, user)]);
    state.devices[0].clone()
}

#[test]
fn a_standing_never_falls_and_outlives_crashes_and_snapshots() {
    let mut machine = Machine::new(1);
    let users = machine.make_users(2);
    let device = register(&mut machine, users[0]);
    assert_eq!((&*device.name, device.registered_at, device.standing), ("pocket", REGISTERED_AT, Standing::FIRST));
    let stands = |standing| Mutation::DeviceStanding { user: users[0], device: device.id, standing };
    let second = Standing { generation: DeviceGeneration(2), revoked: false };
    write(&mut machine, Mutation::DeviceCursor { user: users[0], device: device.id, user_seq: UserSeq(9) });
    let steps = [Standing::FIRST.revoke(), second, second.revoke()];
    for (number, standing) in (0..).zip(steps) {
        write(&mut machine, stands(standing));
        write(&mut machine, stands(Standing::FIRST));
        let wanted = DeviceRow { standing, cursor: UserSeq(9), ..device.clone() };
        assert_eq!(found(&mut machine, users[0]), wanted);
        machine.crash(number == 1);
        machine.start();
        assert_eq!(found(&mut machine, users[0]), wanted, "from the log");
        // Enough for the snapshot to be taken anew, and for the segments before it to be condensed.
        for seq in 1..=200 {
            let entry =
                message(machine.now.wall, (users[0], users[1]), number * 200 + seq, seq.into(), vec![b'x'; 300]);
            write(&mut machine, Mutation::Entry(entry));
        }
        machine.drain().expect("the disk is well");
        machine.crash(true);
        machine.start();
        assert_eq!(found(&mut machine, users[0]), wanted, "from a snapshot");
    }
}

#[test]
fn a_user_with_all_devices_gets_no_other_one_until_one_is_revoked() {
    let mut machine = Machine::new(1);
    let user = machine.make_users(1)[0];
    let device = register(&mut machine, user);
    let another = Request::RegisterDevice {
        user,
        install_id: ClientMsgId([8; 16]),
        name: "desk".to_owned(),
        registered_at: REGISTERED_AT,
        devices_max: 1,
    };
    assert_eq!(machine.ask(another.clone()), Ok(Response::Device(None)));
    assert_eq!(register(&mut machine, user), device, "who is there already is found");
    write(&mut machine, Mutation::DeviceStanding { user, device: device.id, standing: Standing::FIRST.revoke() });
    assert!(matches!(machine.ask(another), Ok(Response::Device(Some(_)))));
}
