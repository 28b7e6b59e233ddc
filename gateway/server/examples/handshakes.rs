//! What a handshake costs the server: processor time of its side alone, in memory, with the check of the access token that
//! follows it. `cargo run --release --package gateway-server --example handshakes`
//!
//! Not in it: sockets, which the benches of the whole server have.

#![allow(clippy::print_stdout, reason = "a table for a person is all that it is for")]

use std::time::Duration;

use gateway_server::{Identity, TokenSigner, TokenVerifier};
use gateway_transport::{
    KeyExchange, SESSION_SECRET_SIZE, ServerIdentity, SessionTickets, TlsClient, TlsServer, TlsSettings,
};
use protocol::ids::UserId;
use protocol::time::WallTime;
use rustix::time::{ClockId, clock_gettime};

/// Of each kind; the first tenth warms up.
const HANDSHAKES: u32 = 5_000;

struct Certificate {
    certificate_pem: String,
    key_pem: String,
}

fn main() {
    let key = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a valid name");
    let certificate_pem = parameters.self_signed(&key).expect("a certificate").pem();
    let certificate = Certificate { certificate_pem, key_pem: key.serialize_pem() };

    let signer = TokenSigner::generate().expect("randomness");
    let identity = Identity { user: UserId(7), device: None, expires_at: WallTime(u64::MAX) };
    let (token, verifier) = (signer.sign(&identity), TokenVerifier::new(vec![signer.public_key()]));
    let token_check = average(|| {
        let began = cpu_time();
        verifier.verify(&token, WallTime(0)).expect("its own token");
        cpu_time() - began
    });

    println!("{:<22} {:>8} {:>12} {:>22}", "server's side of", "µs", "a second", "with a token checked");
    for key_exchange in KeyExchange::ALL {
        for resumes in [false, true] {
            let kind = if resumes { "resumed" } else { "full" };
            let took = handshake(&certificate, key_exchange, resumes);
            println!(
                "{:<22} {:>8.1} {:>12.0} {:>22.0}",
                format!("{kind}, {}", key_exchange.name()),
                took.as_secs_f64() * 1e6,
                1.0 / took.as_secs_f64(),
                1.0 / (took + token_check).as_secs_f64()
            );
        }
    }
    println!("{:<22} {:>8.1}", "the token check alone", token_check.as_secs_f64() * 1e6);
}

/// What one costs the server on average, its ticket included.
fn handshake(certificate: &Certificate, key_exchange: KeyExchange, resumes: bool) -> Duration {
    let identity = ServerIdentity::from_pem(certificate.certificate_pem.as_bytes(), certificate.key_pem.as_bytes());
    let session_tickets = Some(SessionTickets::new(&[7; SESSION_SECRET_SIZE], None));
    let server = TlsServer::with_settings(identity.expect("PEM"), TlsSettings { key_exchange, session_tickets });
    let server = server.expect("they belong together");
    let client = TlsClient::from_pem(certificate.certificate_pem.as_bytes()).expect("PEM");
    let client = if resumes { client.keeping_sessions() } else { client };
    let mut is_first = true;
    average(|| {
        let mut client = client.connect("localhost").expect("a DNS name");
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        client.take_outgoing(&mut to_server);
        let began = cpu_time();
        let mut stage = server.accept();
        stage.receive(&to_server, &mut Vec::new()).expect("a good client");
        stage.take_outgoing(&mut to_client);
        let mut took = cpu_time() - began;
        client.receive(&to_client, &mut Vec::new()).expect("a good server");
        (to_server, to_client) = (Vec::new(), Vec::new());
        client.take_outgoing(&mut to_server);
        let began = cpu_time();
        stage.receive(&to_server, &mut Vec::new()).expect("a good client");
        stage.take_outgoing(&mut to_client);
        took += cpu_time() - began;
        assert!(stage.is_established() && stage.is_resumed() == (resumes && !is_first));
        client.receive(&to_client, &mut Vec::new()).expect("a ticket");
        is_first = false;
        took
    })
}

fn average(mut once: impl FnMut() -> Duration) -> Duration {
    let warm_up = HANDSHAKES / 10;
    for _ in 0..warm_up {
        once();
    }
    (0..HANDSHAKES).map(|_| once()).sum::<Duration>() / HANDSHAKES
}

/// Of this thread.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("below a second"))
}
