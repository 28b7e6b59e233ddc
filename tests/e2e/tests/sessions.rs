//! TLS sessions that clients resume: they go on over a kill, at another gateway, and until the ticket keys are gone.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use e2e::poll;
use e2e::raw_client::RawClient;
use e2e::scratch::Scratch;
use e2e::server::Plan;
use e2e::site::Site;
use gateway_transport::TlsClient;
use rustix::process::Signal;

const PATIENCE: Duration = Duration::from_secs(20);

/// Comes, is welcomed and goes. Whether it has resumed.
fn visit(server: SocketAddr, tls: &TlsClient, token: &str) -> bool {
    let mut client = RawClient::with_tls(server, tls).expect("it is let in");
    client.say_hello(token).expect("it is welcome");
    client.is_resumed()
}

#[test]
fn a_session_goes_on_wherever_its_ticket_key_is() {
    let scratch = Scratch::on_disk("sessions").expect("a folder");
    let folder = |name: &str| scratch.path().join(name);
    let plan = Plan::new(&folder("data"), scratch.path()).expect("a port");
    let server = plan.start().expect("a server");
    let site = Site::of(&plan).expect("its folder");
    let token = site.token(site.user("alice").expect("a user"), 10 * PATIENCE);
    let tls = TlsClient::from_pem(site.certificate()).expect("PEM").keeping_sessions();
    assert_eq!([(); 3].map(|()| visit(plan.native(), &tls, &token)), [false, true, true]);

    server.signal(Signal::KILL).expect("it runs");
    drop(server);
    let server = plan.start().expect("a server");
    assert!(visit(plan.native(), &tls, &token), "after kill -9");

    fs::create_dir(folder("other")).expect("a folder");
    for name in ["certificate.pem", "certificate.key", "ticket.key", "token.key"] {
        fs::copy(folder("data").join(name), folder("other").join(name)).expect("it is there");
    }
    let other = Plan::new(&folder("other"), &folder("other")).expect("a port");
    let _other = other.start().expect("a server");
    assert!(RawClient::with_tls(other.native(), &tls).expect("it is let in").is_resumed(), "at another gateway");

    assert!(!visit(plan.native(), &tls, &token), "a ticket serves once");
    fs::remove_file(folder("data").join("ticket.key")).expect("it is there");
    server.signal(Signal::HUP).expect("it runs");
    poll::until(PATIENCE, || plan.log().ok()?.contains("HUP: ").then_some(())).expect("it says so");
    // The shard takes the new keys between two turns.
    let is_forgotten = || (!visit(plan.native(), &tls, &token)).then_some(());
    poll::until(PATIENCE, is_forgotten).expect("sessions of a key that is gone are none");
}
