//! INT and TERM end a server in order; the second one does not wait for anything.

use std::time::Duration;

use e2e::raw_client::{RawClient, view};
use e2e::site;
use rustix::process::Signal;

use crate::support::Site;

#[test]
fn the_first_signal_drains_and_the_end_is_a_success() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut site = Site::start("signal");
        let mut chat = site.chat("alice", "bob");
        chat.wait_for_state("online");
        let mut server = site.server.take().expect("it runs");
        server.signal(signal).expect("it can be signalled");
        assert_eq!(server.wait().expect("it ends").code(), Some(0), "{signal:?}");
        let goodbye = chat.wait_for("a goodbye", |event| event["state"] == "offline");
        assert!(goodbye["reason"].as_str().is_some_and(|reason| reason.contains("3000")), "{goodbye}");
    }
}

#[test]
fn the_second_signal_ends_at_once() {
    let mut site = Site::start("two-signals");
    let access = site::Site::of(&site.plan).expect("its folder");
    let token = access.token(access.user("alice").expect("a user"), Duration::from_secs(60));
    // It never closes its side, so a drain waits for it.
    let mut client = RawClient::connect(site.plan.native(), access.certificate()).expect("it is let in");
    client.say_hello(&token).expect("it is welcome");
    let mut server = site.server.take().expect("it runs");
    server.signal(Signal::TERM).expect("it can be signalled");
    let frames = std::iter::from_fn(|| client.receive().ok().flatten());
    let code = frames.filter_map(|frame| view(&frame).ok()?.body_as_go_away().map(|go_away| go_away.code())).next();
    assert_eq!(code, Some(3000));
    assert!(server.is_alive());
    server.signal(Signal::TERM).expect("it can be signalled");
    assert_eq!(server.wait().expect("it ends").code(), Some(128 + 15));
}
