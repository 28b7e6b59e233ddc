//! What people write and what lets them in is in no log, no metric and no trace, whatever is logged and whatever goes
//! wrong.

use e2e::raw_client::{RawClient, view};
use protocol::encode::FrameBuilder;
use protocol::ids::{ClientMsgId, DeviceGeneration, DeviceId};
use protocol::server::Hello;
use protocol::time::WallTime;

use crate::support::{Ran, Site, text};

/// In everything that somebody has written: a message, a title, the name of a device.
const CANARY: &str = "canary-7f3a";
/// So much of a secret is a part of it, and nothing else.
const SECRET_PART: usize = 16;

/// What must be found nowhere, and everything that was written meanwhile.
#[derive(Default)]
struct Watch {
    secrets: Vec<String>,
    written: Vec<(String, String)>,
}

impl Watch {
    fn keep(&mut self, place: impl Into<String>, text: String) {
        self.written.push((place.into(), text));
    }

    /// Its text is secret; a log might show any part of it.
    fn secret(&mut self, text: &str) {
        let middle = text.len() / 2;
        for at in [0, middle, text.len() - SECRET_PART] {
            // What all tokens begin with is none.
            let part = text.get(at..at + SECRET_PART).expect("it is ASCII");
            self.secrets.extend((!part.starts_with("v4.public.")).then(|| part.to_owned()));
        }
    }

    /// As bytes are shown: as hex digits, and as a list of numbers.
    fn secret_bytes(&mut self, bytes: &[u8]) {
        let part = bytes.get(..SECRET_PART).expect("it is long");
        self.secrets.push(part.iter().map(|byte| format!("{byte:02x}")).collect());
        let list = format!("{part:?}");
        self.secrets.push(list.trim_matches(['[', ']']).to_owned());
    }

    fn check(&self) {
        assert_eq!(self.secrets.len(), 6, "of a token and of two tickets");
        for (place, text) in &self.written {
            for secret in self.secrets.iter().map(String::as_str).chain([CANARY]) {
                let line = text.lines().find(|line| line.contains(secret));
                assert!(line.is_none(), "`{secret}` is in {place}: {}", line.unwrap_or_default());
            }
        }
    }
}

/// Runs a verb, and keeps what it logged.
fn run(site: &Site, watch: &mut Watch, words: &[&str]) -> Ran {
    let output = site.command(words).env("RINGPOST_LOG", "trace").output().expect("it starts");
    let ran = Ran::from(output);
    watch.keep(format!("the log of {:?}", words.first()), ran.err.clone());
    ran
}

/// A device that comes with a token, and again with the ticket that it was given.
fn come_twice(site: &Site, watch: &mut Watch, token: &str) {
    let hello = Hello {
        is_transient: false,
        device: DeviceId(0),
        device_generation: DeviceGeneration(0),
        install_id: Some(ClientMsgId::new(WallTime(1_764_000_000_000), 7)),
        device_name: format!("{CANARY} phone").into(),
        store_incarnation: Default::default(),
        user_epoch: Default::default(),
        user_cursor: Default::default(),
    };
    let certificate = std::fs::read(site.plan.data_dir().join("certificate.pem")).expect("a certificate");
    let mut welcome = |hello: &Hello, token: &str, ticket: Option<&[u8]>| {
        let mut client = RawClient::connect(site.plan.native(), &certificate).expect("it listens");
        client.send(FrameBuilder::default().hello(hello, token, ticket)).expect("it is sent");
        let frame = client.receive().expect("it answers").expect("it does not close");
        let frame = view(&frame).expect("a frame");
        let welcome = frame.body_as_welcome().expect("a Welcome");
        let ticket = welcome.resume_ticket().expect("a ticket").bytes().to_vec();
        watch.secret_bytes(&ticket);
        (DeviceId(welcome.device_id()), DeviceGeneration(welcome.device_generation()), ticket)
    };
    let (device, device_generation, ticket) = welcome(&hello, token, None);
    welcome(&Hello { device, device_generation, install_id: None, ..hello }, "", Some(&ticket));
}

#[test]
fn what_people_write_and_what_lets_them_in_is_in_no_log_metric_or_trace() {
    let site = Site::start_logging("canary", "trace");
    let mut watch = Watch::default();
    let token = run(&site, &mut watch, &["token", "--as", "alice"]).out.trim().to_owned();
    watch.secret(&token);
    let token_file = site.scratch.path().join("token");
    std::fs::write(&token_file, &token).expect("a file");
    let token_file = token_file.to_str().expect("text").to_owned();
    come_twice(&site, &mut watch, &token);

    let mut bob = site.chat("bob", "alice");
    bob.wait_for_state("online");
    let said = format!("hello {CANARY}");
    let mut ids = Vec::new();
    let created = ["group", "create", "--as", "alice", "--title", CANARY, "--member", "bob", "--json"];
    let group = text(&run(&site, &mut watch, &created).objects()[0]["conversation"]);
    for words in [
        &["send", "--as", "alice", "--to", "bob", &said, "--json"][..],
        &["send", "--token-file", &token_file, "--to", "bob", &said, "--json"],
        &["send", "--as", "alice", "--group", &group, &said, "--json"],
    ] {
        let sent = run(&site, &mut watch, words);
        assert_eq!(sent.exit_code, 0, "{sent:?}");
        ids.push(text(&sent.objects()[0]["client_msg_id"]));
    }
    bob.wait_for_text("message", &said);
    bob.say(&said);
    for words in [
        &["group", "add", "--as", "alice", "--group", &group, "--member", "carol"][..],
        &["group", "show", "--as", "alice", "--group", &group],
        &["group", "leave", "--as", "carol", "--group", &group],
        &["history", "--as", "bob", "--with", "alice"],
        &["device", "list", "--as", "alice"],
        &["store", "stat"],
        &["trace", &ids[0]],
    ] {
        assert_eq!(run(&site, &mut watch, words).exit_code, 0, "{words:?}");
    }
    // What goes wrong is logged too.
    let forged = token.replacen("v4.public.", "v4.public.AAAA", 1);
    std::fs::write(&token_file, &forged).expect("a file");
    let long = said.repeat(5_000);
    for words in [
        &["send", "--token-file", &token_file, "--to", "bob", &said][..],
        &["send", "--as", "carol", "--group", &group, &said],
        &["send", "--as", "alice", "--to", "bob", &long],
    ] {
        assert_ne!(run(&site, &mut watch, words).exit_code, 0, "{words:?}");
    }
    let server = site.server.as_ref().expect("it runs");
    for page in ids.iter().map(|id| format!("/trace/{id}")).chain(["/metrics".to_owned()]) {
        let (status, shown) = server.admin(&page).expect("it answers");
        assert_eq!(status, 200, "{page}");
        watch.keep(page, shown);
    }
    let log = site.plan.log().expect("a log");
    assert!(ids.iter().all(|id| log.contains(id.as_str())), "the log follows every message");
    watch.keep("the log of the server", log);
    watch.check();
}
