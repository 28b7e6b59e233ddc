//! Sessions that are resumed: over gateways, restarts and changes of the secret, and with data behind them.

#[path = "support/certificate.rs"]
mod certificate;
#[path = "support/pair.rs"]
mod pair;

use gateway_transport::{SESSION_SECRET_SIZE, SessionTickets, TlsClient, TlsServer, TlsSettings, TlsStage};

use certificate::Certificate;
use pair::connect;

type Secret = [u8; SESSION_SECRET_SIZE];

const OLD: Secret = [1; SESSION_SECRET_SIZE];
const NEW: Secret = [2; SESSION_SECRET_SIZE];

fn server(certificate: &Certificate, current: &Secret, previous: Option<&Secret>) -> TlsServer {
    let session_tickets = Some(SessionTickets::new(current, previous));
    certificate.server(TlsSettings { session_tickets, ..TlsSettings::default() })
}

fn client(certificate: &Certificate) -> TlsClient {
    TlsClient::from_pem(certificate.certificate_pem.as_bytes()).expect("PEM")
}

/// One says something, however the bytes are torn.
fn tell(from: &mut TlsStage, to: &mut TlsStage) {
    let (mut sealed, mut heard) = (Vec::new(), Vec::new());
    from.seal(&[&[7; 300]], &mut sealed).expect("established");
    sealed.chunks(7).for_each(|torn| to.receive(torn, &mut heard).expect("opened"));
    assert_eq!(heard, [7; 300]);
}

/// Whether a connection is resumed, by both ends, on which both then say something.
fn is_resumed(client: &TlsClient, server: &TlsServer) -> bool {
    let (mut client, mut server) = connect(client, server, 64);
    for _ in 0..3 {
        tell(&mut server, &mut client);
        tell(&mut client, &mut server);
    }
    assert_eq!(client.is_resumed(), server.is_resumed());
    server.is_resumed()
}

#[test]
fn who_comes_back_resumes_as_often_as_it_likes() {
    let certificate = Certificate::for_name("localhost");
    let (server, client) = (server(&certificate, &NEW, None), client(&certificate).keeping_sessions());
    let resumed = [(); 5].map(|()| is_resumed(&client, &server));
    assert_eq!(resumed, [false, true, true, true, true]);
}

#[test]
fn a_session_goes_on_over_a_restart_another_gateway_and_a_change_of_the_secret() {
    let certificate = Certificate::for_name("localhost");
    let client = client(&certificate).keeping_sessions();
    let at =
        |current: &Secret, previous: Option<&Secret>| is_resumed(&client, &server(&certificate, current, previous));
    assert!(!at(&OLD, None));
    assert!(at(&OLD, None), "the same secret elsewhere");
    assert!(at(&NEW, Some(&OLD)), "a new secret, which knows the one before");
    assert!(!at(&OLD, None), "a secret that knows nothing of the new one");
    assert!(!at(&[3; SESSION_SECRET_SIZE], None), "a stranger");
}

#[test]
fn nobody_resumes_who_was_not_asked_to() {
    let certificate = Certificate::for_name("localhost");
    let without = certificate.server(TlsSettings::default());
    let with = server(&certificate, &NEW, None);
    for (client, server) in [(client(&certificate), &with), (client(&certificate).keeping_sessions(), &without)] {
        assert!([(); 3].iter().all(|()| !is_resumed(&client, server)));
    }
}

#[test]
fn a_ticket_costs_a_connection_one_small_record() {
    let certificate = Certificate::for_name("localhost");
    let bytes_after_handshake = |server: &TlsServer| {
        let (mut client, mut server) = (client(&certificate).connect("localhost").expect("a name"), server.accept());
        let mut last = Vec::new();
        while !server.is_established() {
            let mut hello = Vec::new();
            client.take_outgoing(&mut hello);
            server.receive(&hello, &mut Vec::new()).expect("a good client");
            last.clear();
            server.take_outgoing(&mut last);
            client.receive(&last, &mut Vec::new()).expect("a good server");
        }
        last.len()
    };
    assert_eq!(bytes_after_handshake(&certificate.server(TlsSettings::default())), 0);
    let with = bytes_after_handshake(&server(&certificate, &NEW, None));
    assert!((1..=256).contains(&with), "{with} bytes");
}
