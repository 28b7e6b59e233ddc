//! How a session connects, stays connected, and ends.

use std::time::Duration;

use protocol::client::{
    BACKOFF_MAX, ClientState, CommandError, ConnectionState, Draft, HEARTBEAT_INTERVAL_MIN, Me, Reason,
};
use protocol::codes::Code;
use protocol::encode::FrameBuilder;
use protocol::frame::FrameError;
use protocol::ids::{ClientMsgId, DeviceGeneration, DeviceId, Seq, StoreIncarnation, UserEpoch, UserSeq};
use protocol::limits::HANDSHAKE_TIMEOUT;
use protocol::server::Welcome;
use protocol::time::WallTime;
use wire::{self, Capability, ClientBody, ServerBody};

use crate::device::{Device, START, view};
use crate::frames::{ALICE, DEVICE, HEARTBEAT_MS, conversation, message, usual_welcome};

fn go_away(code: Code, window_ms: (u32, u32)) -> Vec<u8> {
    FrameBuilder::default().go_away(code, window_ms.0, window_ms.1).to_vec()
}

fn closed(code: Code) -> Option<ConnectionState> {
    Some(ConnectionState::Closed(Some(Reason { code: code.number(), text: code.text().into() })))
}

#[test]
fn a_new_device_registers_by_its_install_id_and_then_names_itself() {
    let mut device = Device::new();
    let hello = device.say_hello();
    let hello = view(&hello).body_as_hello().expect("a Hello");
    assert_eq!((hello.device_id(), hello.access_token()), (0, Some("token")));
    assert_eq!(hello.install_id().map(ClientMsgId::from), Some(device.disk.install_id));
    assert_eq!((hello.version_min(), hello.version_max()), (1, 1));
    device.receive(FrameBuilder::default().welcome(&usual_welcome(START.wall)));
    assert_eq!((device.disk.device, device.disk.device_generation), (DEVICE, DeviceGeneration(1)));

    device.lose_connection();
    let hello = device.say_hello();
    let hello = view(&hello).body_as_hello().expect("a Hello");
    assert_eq!((hello.device_id(), hello.device_generation()), (DEVICE.0, 1));
    assert!(hello.install_id().is_none());
}

#[test]
fn a_revoked_device_is_linked_anew_only_when_its_user_asks_for_it() {
    let mut device = Device::online();
    device.receive(&go_away(Code::DeviceRevoked, (0, 0)));
    device.events.clear();
    let mut device = Device::with_state(device.disk);
    let hello = device.say_hello();
    assert!(view(&hello).body_as_hello().is_some_and(|hello| hello.install_id().is_none()));

    let mut device = Device::with_state(device.disk);
    device.session.link_anew();
    for _ in ["it asks", "it has not heard of it and asks again"] {
        let hello = device.say_hello();
        let hello = view(&hello).body_as_hello().expect("a Hello");
        assert_eq!((hello.device_id(), hello.device_generation()), (DEVICE.0, 1));
        assert_eq!(hello.install_id().map(ClientMsgId::from), Some(device.disk.install_id));
        device.lose_connection();
    }
    device.say_hello();
    let welcome = Welcome { device_generation: DeviceGeneration(2), ..usual_welcome(START.wall) };
    device.receive(FrameBuilder::default().welcome(&welcome));
    assert_eq!((device.disk.device, device.disk.device_generation), (DEVICE, DeviceGeneration(2)));
    device.lose_connection();
    let hello = device.say_hello();
    let hello = view(&hello).body_as_hello().expect("a Hello");
    assert_eq!((hello.device_generation(), hello.install_id().is_none()), (2, true));
}

#[test]
fn a_ticket_is_kept_and_shown_beside_the_token_until_the_next_one() {
    let mut device = Device::new();
    device.go_online(&Welcome { resume_ticket: Some(&[1, 2]), ..usual_welcome(START.wall) });
    // The process begins again with what is on disk.
    let mut device = Device::with_state(device.disk);
    let hello = device.say_hello();
    let hello = view(&hello).body_as_hello().expect("a Hello");
    assert_eq!(hello.resume_ticket().map(|ticket| ticket.bytes()), Some(&[1, 2][..]));
    assert_eq!(hello.access_token(), Some("token"));
    device
        .receive(FrameBuilder::default().welcome(&Welcome { resume_ticket: Some(&[3]), ..usual_welcome(START.wall) }));
    device.lose_connection();
    let hello = device.say_hello();
    let ticket =
        view(&hello).body_as_hello().and_then(|hello| hello.resume_ticket()).map(|ticket| ticket.bytes().to_vec());
    assert_eq!(ticket, Some(vec![3]));
    // What was given to the device as it was does not link it anew.
    let mut device = Device::with_state(device.disk);
    device.session.link_anew();
    let hello = device.say_hello();
    assert!(view(&hello).body_as_hello().is_some_and(|hello| hello.resume_ticket().is_none()));
}

#[test]
fn a_transient_session_has_no_device_and_writes_nothing() {
    let mut device = Device::transient();
    let hello = device.say_hello();
    let hello = view(&hello).body_as_hello().expect("a Hello");
    assert!(hello.capabilities().contains(Capability::Transient));
    assert!(hello.install_id().is_none() && hello.device_id() == 0);
    let welcome = Welcome { device: DeviceId(0), ..usual_welcome(START.wall) };
    device.receive(FrameBuilder::default().welcome(&welcome));
    let before = device.disk.clone();
    device.writes_at_once = false;
    let id = device.send("a");
    assert_eq!(device.expect_send(), (id, 0));
    assert!(device.unwritten.is_empty() && device.disk == before);
    let refused = device.session.mark_read(device.now, conversation(), Seq(1));
    assert_eq!(refused, Err(CommandError::NotForTransient));
}

#[test]
fn the_states_of_a_connection_are_told() {
    let mut device = Device::new();
    device.say_hello();
    assert_eq!(device.next_state(), Some(ConnectionState::Connecting));
    device.receive(FrameBuilder::default().welcome(&usual_welcome(START.wall)));
    let me = Me { user: ALICE, handle: "alice".into(), device: DEVICE, device_generation: DeviceGeneration(1) };
    assert_eq!(device.next_state(), Some(ConnectionState::Online(me)));
    assert!(device.session.is_online());
    device.lose_connection();
    assert_eq!(device.next_state(), Some(ConnectionState::Offline(None)));
    assert!(!device.session.is_online() && !device.is_dialing);
}

#[test]
fn failed_attempts_wait_longer_and_longer_and_a_welcome_begins_anew() {
    let mut device = Device::new();
    let mut longest = Duration::ZERO;
    for _ in 0..60 {
        let before = device.now.monotonic;
        device.wait_for_timeout();
        assert!(device.is_dialing);
        longest = longest.max(device.now.monotonic.since(before));
        device.lose_connection();
        device.is_dialing = false;
    }
    assert!(longest > BACKOFF_MAX / 2 && longest <= BACKOFF_MAX, "{longest:?}");
    device.go_online(&usual_welcome(device.now.wall));
    let before = device.now.monotonic;
    device.lose_connection();
    device.wait_for_timeout();
    assert!(device.is_dialing && device.now.monotonic.since(before) <= Duration::from_millis(250));
}

#[test]
fn a_server_that_goes_gives_a_window_for_coming_back() {
    let mut device = Device::online();
    let before = device.now.monotonic;
    device.receive(&go_away(Code::GoingAway, (4_000, 9_000)));
    assert_eq!(device.disconnects, 1);
    device.wait_for_timeout();
    assert!(device.is_dialing);
    assert!((4..9).contains(&device.now.monotonic.since(before).as_secs()));
}

#[test]
fn a_code_that_says_so_ends_the_session() {
    for code in [Code::DeviceRevoked, Code::Replaced, Code::VersionUnsupported, Code::TokenInvalid] {
        let mut device = Device::online();
        device.receive(&go_away(code, (0, 0)));
        assert_eq!(device.next_state(), closed(code));
        assert_eq!((device.disconnects, device.session.poll_timeout()), (1, None));
        let draft = Draft::text(conversation(), None, "a");
        assert_eq!(device.session.send_message(device.now, &draft), Err(CommandError::Closed));
    }
}

#[test]
fn a_code_of_a_later_version_means_what_its_range_says() {
    let unknown = |number: u16| {
        FrameBuilder::default()
            .server(|fbb| {
                let args = wire::GoAwayArgs { code: number, ..Default::default() };
                let go_away = wire::GoAway::create(fbb, &args);
                (ServerBody::GoAway, go_away.as_union_value())
            })
            .to_vec()
    };
    for (number, is_final) in [(3100, false), (3499, false), (3600, true), (3999, true), (4000, false)] {
        let mut device = Device::online();
        device.receive(&unknown(number));
        assert_eq!(device.session.is_closed(), is_final, "{number}");
    }
}

#[test]
fn an_expired_token_is_renewed_once() {
    let mut device = Device::online();
    device.receive(&go_away(Code::TokenExpired, (0, 0)));
    assert!(!device.session.is_closed());
    device.go_online(&usual_welcome(device.now.wall));
    device.receive(&go_away(Code::TokenExpired, (0, 0)));
    device.say_hello();
    device.receive(&go_away(Code::TokenExpired, (0, 0)));
    assert!(device.session.is_closed());
}

#[test]
fn an_attempt_has_a_time_limit() {
    let mut device = Device::new();
    device.wait_for_timeout();
    let before = device.now.monotonic;
    assert_eq!(device.session.poll_timeout(), Some(before + HANDSHAKE_TIMEOUT));
    device.wait_for_timeout();
    assert_eq!((device.disconnects, device.is_dialing), (1, false));
    device.say_hello();
    device.pass(HANDSHAKE_TIMEOUT);
    assert_eq!(device.disconnects, 2);
}

#[test]
fn pings_go_out_at_the_interval_of_the_server_and_silence_is_noticed_after_two() {
    let mut device = Device::online();
    let interval = Duration::from_millis(u64::from(HEARTBEAT_MS));
    for _ in 0..3 {
        device.pass(interval);
        device.expect_frame(ClientBody::Ping);
        device.expect_nothing_sent();
        device.receive(FrameBuilder::default().pong(UserSeq(0), device.now.wall));
    }
    device.pass(interval * 2 - Duration::from_millis(1));
    assert_eq!(device.disconnects, 0);
    device.pass(Duration::from_millis(1));
    assert_eq!(device.disconnects, 1);
    let Some(ConnectionState::Offline(Some(reason))) = device.next_state() else { panic!("it is offline") };
    assert_eq!(reason.code, Code::HeartbeatMissed.number());
}

#[test]
fn a_heartbeat_interval_of_nothing_is_not_believed() {
    let mut device = Device::new();
    device.go_online(&Welcome { heartbeat_interval_ms: 0, ..usual_welcome(START.wall) });
    device.pass(HEARTBEAT_INTERVAL_MIN);
    device.expect_frame(ClientBody::Ping);
    device.expect_nothing_sent();
}

#[test]
fn a_frame_that_cannot_be_read_ends_the_connection_and_not_the_session() {
    let mut device = Device::online();
    assert_eq!(device.session.handle_frame(device.now, &[0xff; 50]), Err(FrameError::Invalid));
    device.settle();
    assert_eq!((device.disconnects, device.session.is_closed()), (1, false));
    device.go_online(&usual_welcome(device.now.wall));
}

#[test]
fn frames_of_a_later_version_are_skipped() {
    let mut device = Device::online();
    let unknown = FrameBuilder::default()
        .server(|fbb| {
            let resend = wire::Resend::create(fbb, &wire::ResendArgs {});
            (ServerBody(200), resend.as_union_value())
        })
        .to_vec();
    device.receive(&unknown);
    assert!(device.session.is_online() && device.events.is_empty());
}

#[test]
fn nothing_but_a_welcome_counts_before_it() {
    let mut device = Device::new();
    device.say_hello();
    device.events.clear();
    device.receive(FrameBuilder::default().push(UserSeq(1), &[message(Seq(1))]));
    device.receive(FrameBuilder::default().resend());
    assert!(device.events.is_empty() && !device.session.is_online());
    device.expect_nothing_sent();
}

#[test]
fn a_closed_session_has_written_and_acked_what_was_applied() {
    let mut device = Device::online();
    device.writes_at_once = false;
    device.receive(FrameBuilder::default().push(UserSeq(1), &[message(Seq(1))]));
    device.session.close(device.now);
    device.settle();
    assert!(!device.session.is_closed(), "the cursor is not on disk");
    device.write_all();
    device.expect_ack(1);
    assert_eq!((device.disconnects, device.session.is_closed()), (1, true));
    assert_eq!(device.disk.position.user_seq, UserSeq(1));
    assert_eq!(device.session.poll_timeout(), None);
}

#[test]
fn a_session_can_be_closed_while_it_is_offline() {
    let mut device = Device::new();
    device.session.close(device.now);
    device.settle();
    assert_eq!(device.next_state(), Some(ConnectionState::Closed(None)));
    assert_eq!(device.disconnects, 0);
}

#[test]
fn hello_claims_what_is_on_disk_and_no_more() {
    let mut device = Device::online();
    device.applies_at_once = false;
    let events = [message(Seq(1)), message(Seq(2))];
    device.receive(FrameBuilder::default().push(UserSeq(1), &events));
    device.apply_next();
    device.pass(Duration::from_secs(1));
    device.lose_connection();
    let hello = device.say_hello();
    let hello = view(&hello).body_as_hello().expect("a Hello");
    assert_eq!((hello.user_cursor(), hello.store_incarnation(), hello.user_epoch()), (1, 11, 3));
}

#[test]
fn a_state_from_disk_begins_where_it_was() {
    let mut state = ClientState::new(ClientMsgId::new(WallTime(1), 1));
    state.device = DEVICE;
    state.position.user_seq = UserSeq(9);
    (state.position.store_incarnation, state.position.user_epoch) = (StoreIncarnation(11), UserEpoch(3));
    let mut device = Device::with_state(state);
    let hello = device.say_hello();
    let hello = view(&hello).body_as_hello().expect("a Hello");
    assert_eq!((hello.device_id(), hello.user_cursor()), (DEVICE.0, 9));
}
