//! OpenSSL's client against our server and our client against its server, over sockets: both ciphers, key updates that
//! either side begins, alerts and the end.

#[path = "../support/certificate.rs"]
mod certificate;
mod tool;
mod wire;

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread::JoinHandle;

use gateway_transport::{SESSION_SECRET_SIZE, SessionTickets, TlsClient, TlsError, TlsSettings};

use certificate::Certificate;
use tool::OpenSsl;
use wire::{End, Wire, echo_server};

const SUITES: [&str; 2] = ["TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"];

/// What it shows of a key update that it has sent, and of one that has come.
const SENT_KEY_UPDATE: &str = ">>> TLS 1.3, Handshake [length 0005], KeyUpdate";
const CAME_KEY_UPDATE: &str = "<<< TLS 1.3, Handshake [length 0005], KeyUpdate";

/// Certificate and key in files of this test.
struct Files {
    certificate: Certificate,
    folder: PathBuf,
}

impl Files {
    fn of(test: &str) -> Files {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
        std::fs::create_dir_all(&folder).expect("a folder for tests");
        let files = Files { certificate: Certificate::for_name("localhost"), folder };
        std::fs::write(files.path("certificate.pem"), &files.certificate.certificate_pem).expect("a file");
        std::fs::write(files.path("key.pem"), &files.certificate.key_pem).expect("a file");
        files
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn client(&self, server: SocketAddr, more: &[&str]) -> OpenSsl {
        let (server, trusted) = (server.to_string(), self.path("certificate.pem"));
        let arguments = ["s_client", "-connect", &server, "-servername", "localhost", "-alpn", "ringpost/1", "-msg"];
        OpenSsl::start(&[&arguments[..], &["-CAfile", &trusted, "-verify_return_error"], more].concat())
    }

    /// Our server, which gives tickets.
    fn our_server(&self, connections: usize) -> (SocketAddr, JoinHandle<Vec<End>>) {
        let session_tickets = Some(SessionTickets::new(&[7; SESSION_SECRET_SIZE], None));
        echo_server(self.certificate.server(TlsSettings { session_tickets, ..TlsSettings::default() }), connections)
    }

    fn server(&self, more: &[&str]) -> (OpenSsl, SocketAddr) {
        let (certificate, key) = (self.path("certificate.pem"), self.path("key.pem"));
        let arguments = ["s_server", "-accept", "127.0.0.1:0", "-cert", &certificate, "-key", &key, "-msg"];
        let server = OpenSsl::start(&[&arguments[..], &["-alpn", "ringpost/1", "-tls1_3"], more].concat());
        let line = server.line_with("ACCEPT ");
        let address = line.trim_start_matches("ACCEPT ").parse().expect("it says where");
        (server, address)
    }
}

#[test]
fn its_client_talks_to_our_server_and_changes_keys_as_it_likes() {
    let files = Files::of("its_client");
    for suite in SUITES {
        let (address, server) = files.our_server(1);
        let mut client = files.client(address, &["-tls1_3", "-ciphersuites", suite]);
        client.line_with(&format!("Cipher is {suite}"));
        for round in 1..=3 {
            client.type_line(&format!("hello {round}"));
            client.line_with(&format!("HELLO {round}"));
            // Its own key, and with the next line ours as well.
            client.type_line("k");
            client.says_times(SENT_KEY_UPDATE, 2 * round - 1);
            client.type_line(&format!("again {round}"));
            client.line_with(&format!("AGAIN {round}"));
            client.type_line("K");
            client.says_times(SENT_KEY_UPDATE, 2 * round);
            client.says_times(CAME_KEY_UPDATE, round);
        }
        client.type_line("Q");
        let (_, said) = client.ended();
        assert_eq!(said.matches(CAME_KEY_UPDATE).count(), 3, "what was not asked for was not answered");
        assert_eq!(server.join().expect("no panic"), [End::Closed]);
    }
}

#[test]
fn our_client_talks_to_its_server_which_changes_keys_as_it_likes() {
    let files = Files::of("its_server");
    for suite in SUITES {
        let (mut server, address) = files.server(&["-ciphersuites", suite]);
        let trusting = TlsClient::from_pem(files.certificate.certificate_pem.as_bytes()).expect("PEM");
        let stream = TcpStream::connect(address).expect("it listens");
        let mut client = Wire::new(stream, trusting.connect("localhost").expect("a DNS name"));
        server.type_line("welcome");
        assert_eq!(client.read(), Ok(b"welcome\n".to_vec()));
        for round in 1..=3 {
            client.write(format!("hello {round}\n").as_bytes());
            server.line_with(&format!("hello {round}"));
            server.type_line("K");
            server.says_times(SENT_KEY_UPDATE, round);
            server.type_line("more");
            assert_eq!(client.read(), Ok(b"more\n".to_vec()));
            server.says_times(CAME_KEY_UPDATE, round);
        }
        client.close();
        server.line_with("shutting down SSL");
    }
}

#[test]
fn its_client_resumes_what_our_server_gave_it_also_after_a_restart() {
    let files = Files::of("its_sessions");
    let session = files.path("session.pem");
    for suite in SUITES {
        let with_suite = ["-tls1_3", "-ciphersuites", suite, "-sess_out", &session];
        let talk = |more: &[&str], kind: &str| {
            let (address, server) = files.our_server(1);
            let mut client = files.client(address, &[&with_suite[..], more].concat());
            client.line_with(kind);
            client.type_line("hello");
            client.line_with("HELLO");
            client.type_line("Q");
            client.ended();
            assert_eq!(server.join().expect("no panic"), [End::Closed]);
        };
        talk(&[], "New, TLSv1.3");
        talk(&["-sess_in", &session], "Reused, TLSv1.3");
    }
}

#[test]
fn our_client_resumes_what_its_server_gave_it() {
    let files = Files::of("its_tickets");
    let (mut server, address) = files.server(&[]);
    let trusting = TlsClient::from_pem(files.certificate.certificate_pem.as_bytes()).expect("PEM").keeping_sessions();
    for round in 1..=3 {
        let stream = TcpStream::connect(address).expect("it listens");
        let mut client = Wire::new(stream, trusting.connect("localhost").expect("a DNS name"));
        server.says_times("ALPN protocols selected: ringpost/1", round);
        server.type_line("welcome");
        assert_eq!(client.read(), Ok(b"welcome\n".to_vec()));
        assert_eq!(client.stage.is_resumed(), round > 1);
        client.close();
        server.says_times("shutting down SSL", round);
    }
}

#[test]
fn its_client_is_told_why_it_is_refused() {
    let files = Files::of("refused");
    let cases: [(&[&str], &str, TlsError); 3] = [
        (&["-tls1_2"], "alert protocol version", TlsError::Incompatible),
        (&["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"], "alert handshake failure", TlsError::Incompatible),
        (&["-tls1_3", "-alpn", "h2"], "alert no application protocol", TlsError::WrongProtocol),
    ];
    for (how, why, error) in cases {
        let (address, server) = files.our_server(1);
        let (status, said) = files.client(address, how).ended();
        assert!(!status.success() && said.contains(why), "{said}");
        assert_eq!(server.join().expect("no panic"), [End::Failed(error)]);
    }
}
