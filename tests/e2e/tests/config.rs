//! Configuration of the binary: its verbs, what stops a start, and what a HUP changes under a live connection.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use e2e::binary::ringpost;
use e2e::raw_client::{RawClient, plain};
use e2e::scratch::Scratch;
use e2e::server::{Plan, Server, Tier};
use e2e::site::Site;
use e2e::{poll, port};
use gateway_core::Identity;
use gateway_server::TokenSigner;
use protocol::time::WallTime;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

fn run(words: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(ringpost().expect("the binary"));
    command.args(words).envs(environment.iter().copied()).stdin(Stdio::null()).output().expect("it starts")
}

/// Exit code and lines of standard error.
fn mistakes(words: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, Vec<String>) {
    let output = run(words, environment);
    let lines = String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect();
    (output.status.code(), lines)
}

/// A server whose file is `config.toml`, and a client that has been welcomed.
struct Running {
    scratch: Scratch,
    plan: Plan,
    server: Server,
    /// The first one, as PEM.
    certificate: Vec<u8>,
    live: RawClient,
}

impl Running {
    fn start(name: &str) -> Running {
        let scratch = Scratch::on_disk(name).expect("a folder");
        let file = scratch.path().join("config.toml");
        fs::write(&file, "").expect("a file");
        let plan = Plan::new(&scratch.path().join("data"), scratch.path()).expect("a port");
        let plan = plan.flags(&["--config", file.to_str().expect("text")]);
        let server = plan.start().expect("a server");
        let site = Site::of(&plan).expect("its folder");
        let certificate = site.certificate().to_vec();
        let mut live = RawClient::connect(plan.native(), &certificate).expect("it is let in");
        live.say_hello(&site.token(site.user("alice").expect("a user"), 10 * PATIENCE)).expect("it is welcome");
        Running { scratch, plan, server, certificate, live }
    }

    fn write_config(&self, text: &str) {
        fs::write(self.scratch.path().join("config.toml"), text).expect("a file");
    }

    /// Puts another certificate into the data folder, and gives it.
    fn write_certificate(&self, key_file: &str) -> Vec<u8> {
        let key = rcgen::KeyPair::generate().expect("a key");
        let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = parameters.self_signed(&key).expect("a certificate").pem();
        let folder = self.plan.data_dir();
        fs::write(folder.join(key_file), key.serialize_pem()).expect("a file");
        fs::write(folder.join("certificate.pem"), &certificate).expect("a file");
        certificate.into_bytes()
    }

    fn hang_up(&self) {
        self.server.signal(Signal::HUP).expect("it can be signalled");
    }

    /// The one line that says what the HUP has done.
    fn wait_for_line(&self, words: &str) -> String {
        let line = poll::until(PATIENCE, || {
            let log = self.plan.log().ok()?;
            log.lines().find(|line| line.contains("HUP: ") && line.contains(words)).map(str::to_owned)
        });
        line.unwrap_or_else(|| panic!("no HUP with {words} in {}", self.plan.log().expect("a log")))
    }

    fn lets_in(&self, certificate: &[u8]) -> bool {
        RawClient::connect(self.plan.native(), certificate).is_ok()
    }
}

#[test]
fn check_names_every_mistake_and_its_line_and_is_content_with_none() {
    let scratch = Scratch::on_disk("check").expect("a folder");
    let file = scratch.path().join("ringpost.toml");
    let name = file.to_str().expect("text");
    fs::write(&file, "[gateway]\nconections_max = 5\nframe_timeout_ms = 5\n[stroe]\n").expect("a file");
    let accepted = "a number of milliseconds from 100 to 60_000";
    let expected = [
        format!("ringpost: {name}:2: there is no key gateway.conections_max; did you mean gateway.connections_max?"),
        format!("ringpost: {name}:3: gateway.frame_timeout_ms is 5, and must be {accepted}"),
        format!("ringpost: {name}:4: there is no section [stroe]; did you mean [store]?"),
    ];
    assert_eq!(mistakes(&["config", "check", name], &[]), (Some(78), expected.to_vec()));
    let data_dir = scratch.path().join("data").to_str().expect("text").to_owned();
    for verb in [&["dev"][..], &["serve", "--role", "all"]] {
        let words = [verb, &["--config", name, "--data-dir", &data_dir]].concat();
        assert_eq!(mistakes(&words, &[]), (Some(78), expected.to_vec()), "a start says the same");
        assert!(!scratch.path().join("data").exists(), "and begins nothing");
    }
    fs::write(&file, "[gateway]\nconnections_max = 5\n").expect("a file");
    assert_eq!(mistakes(&["config", "check", name], &[]), (Some(0), Vec::new()));
}

#[test]
fn show_tells_what_holds_and_where_it_comes_from() {
    let scratch = Scratch::on_disk("show").expect("a folder");
    let file = scratch.path().join("ringpost.toml");
    let name = file.to_str().expect("text");
    fs::write(&file, "[gateway]\nconnections_max = 5\nhandshakes_max = 5\n").expect("a file");
    let environment = [
        ("RINGPOST_CONFIG", name),
        ("RINGPOST_GATEWAY_HANDSHAKES_MAX", "6"),
        ("RINGPOST_GATEWAY_HANDSHAKE_MAX", "6"),
        ("RINGPOST_LOG", "debug"),
    ];
    let output = run(&["config", "show", "--json", "--disk-low-mib", "1"], &environment);
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let objects: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let of = |key: &str| objects.iter().find(|object| object["key"] == key).expect("every key is there");
    let expected = [
        ("gateway.connections_max", Value::from(5), "file"),
        ("gateway.handshakes_max", Value::from(6), "environment"),
        ("log.filter", Value::from("debug"), "environment"),
        ("store.disk_low_mib", Value::from(1), "flag"),
        ("admin.listen", Value::from("127.0.0.1:7490"), "default"),
        ("link.key_file", Value::Null, "default"),
    ];
    for (key, value, source) in expected {
        assert_eq!((&of(key)["value"], &of(key)["source"]), (&value, &Value::from(source)), "{key}");
    }
    let warning = "the variable RINGPOST_GATEWAY_HANDSHAKE_MAX sets nothing; did you mean \
                   RINGPOST_GATEWAY_HANDSHAKES_MAX?";
    assert!(String::from_utf8_lossy(&output.stderr).contains(warning));
    let shown = run(&["config", "show"], &[("RINGPOST_CONFIG", "")]);
    assert!(shown.status.success(), "an empty variable is not set");
    fs::write(&file, shown.stdout).expect("a file");
    assert_eq!(mistakes(&["config", "check", name], &[]), (Some(0), Vec::new()), "what is shown is a file");
    let (exit_code, lines) = mistakes(&["serve", "--role", "gateway", "--router", "router"], &[]);
    assert_eq!(exit_code, Some(64));
    assert!(
        lines.iter().any(|line| line.contains("--router: link.router is \"router\", and must be HOST:PORT")),
        "{lines:?}"
    );
    let (exit_code, lines) = mistakes(&["config", "show", "--token-key-file", "k4.secret.hunter2"], &[]);
    assert!(exit_code == Some(64) && !lines.concat().contains("hunter2"), "a secret is not repeated: {lines:?}");
}

#[test]
fn a_live_connection_survives_a_hup_and_new_ones_see_the_new_certificate() {
    let mut running = Running::start("hup");
    let certificate = running.write_certificate("certificate.key");
    running.write_config("[gateway]\nhandshakes_max = 9\nheartbeat_interval_ms = 9000\n[log]\nfilter = \"debug\"\n");
    running.hang_up();
    let line = running.wait_for_line("certificate, token keys and ticket keys are read anew");
    assert!(
        line.contains("applied: log.filter \\\"info\\\" -> \\\"debug\\\", gateway.handshakes_max 16_384 -> 9"),
        "{line}"
    );
    assert!(line.contains("waiting for a restart: gateway.heartbeat_interval_ms 30_000 -> 9_000"), "{line}");
    assert!(running.lets_in(&certificate) && !running.lets_in(&running.certificate));
    running.live.expect_pong().expect("it is served as before");
    plain(running.plan.native()).and_then(|mut stream| Ok(stream.write_all(b"no TLS at all")?)).expect("a socket");
    let has_detail = || running.plan.log().is_ok_and(|log| log.contains("\"DEBUG\"")).then_some(());
    assert!(poll::until(PATIENCE, has_detail).is_some(), "the filter holds");

    let is_pressed = || running.server.metric("ringpost_store_pressed").expect("a metric") == 1;
    assert!(!is_pressed());
    running
        .write_config("[log]\nfilter = \"error\"\n[gateway]\nconnections_max = 1\n[store]\ndisk_low_mib = 16777216\n");
    running.hang_up();
    running.wait_for_line("gateway.connections_max 1_048_576 -> 1");
    assert!(poll::until(PATIENCE, || is_pressed().then_some(())).is_some(), "no disk has 16 TiB to spare here");
    assert!(!running.lets_in(&certificate), "the limit holds");
    running.live.expect_pong().expect("who is there stays");
}

#[test]
fn a_gateway_checks_tokens_with_the_keys_that_it_has_read_anew() {
    let scratch = Scratch::on_disk("token-keys").expect("a folder");
    let path = |name: &str| scratch.path().join(name).to_str().expect("text").to_owned();
    assert!(run(&["link-key", "--out", &path("link.key")], &[]).status.success());
    let key_of = |signer: &TokenSigner| format!("{}\n", signer.public_key().to_paserk());
    let (old, new) = (TokenSigner::generate().expect("a key"), TokenSigner::generate().expect("a key"));
    fs::write(path("tokens.pub"), key_of(&old)).expect("a file");

    let link = port::free_address().expect("a port").to_string();
    let linked = ["--link-key-file", &path("link.key")];
    let plan = |name: &str, tier| {
        let work_dir = scratch.folder(&format!("{name}-work")).expect("a folder");
        Plan::new(&scratch.path().join(name), &work_dir).expect("a port").tier(tier).flags(&linked)
    };
    let router = plan("router", Tier::Router).flags(&["--link", &link]).users(&["alice"]);
    let _router_server = router.start().expect("a router");
    let gateway = plan("gateway", Tier::Gateway).flags(&["--router", &link, "--token-key-file", &path("tokens.pub")]);
    let server = gateway.start().expect("a gateway");

    let certificate = fs::read(path("gateway/certificate.pem")).expect("a file");
    let users: Value =
        serde_json::from_slice(&fs::read(path("router/demo-users.json")).expect("a file")).expect("JSON");
    let user = users["alice"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    let expires_at = WallTime(UNIX_EPOCH.elapsed().expect("a clock").as_millis() as u64).plus(10 * PATIENCE);
    let enters = |signer: &TokenSigner| {
        let token = signer.sign(&Identity { user, device: None, expires_at });
        RawClient::connect(gateway.native(), &certificate).and_then(|mut client| client.say_hello(&token)).is_ok()
    };
    assert!(enters(&old) && !enters(&new));
    fs::write(path("tokens.pub"), key_of(&new)).expect("a file");
    server.signal(Signal::HUP).expect("it can be signalled");
    assert!(poll::until(PATIENCE, || enters(&new).then_some(())).is_some(), "{}", gateway.log().expect("a log"));
    assert!(!enters(&old));
}

#[test]
fn a_hup_with_anything_wrong_changes_nothing() {
    let mut running = Running::start("bad-hup");
    running.write_config("[gateway]\nconnections_max = 1\nframe_timeout_ms = 1\n");
    let certificate = running.write_certificate("certificate.key");
    running.hang_up();
    let line = running.wait_for_line("nothing is changed");
    assert!(line.contains("config.toml:3: gateway.frame_timeout_ms is 1"), "{line}");
    assert!(running.lets_in(&running.certificate) && !running.lets_in(&certificate));

    // A good file beside a certificate whose key is another one's.
    running.write_config("[gateway]\nconnections_max = 1\n");
    running.write_certificate("elsewhere.key");
    running.hang_up();
    running.wait_for_line("the private key does not belong to the certificate");
    assert!(running.lets_in(&running.certificate));
    running.live.expect_pong().expect("it is served as before");
}

#[test]
fn a_hup_by_a_terminal_that_is_closed_ends_the_server() {
    let scratch = Scratch::on_disk("closed").expect("a folder");
    let data_dir = scratch.path().join("data");
    // Nobody inherits it, so that it ends when we let it go.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).expect("a pseudo terminal");
    grantpt(&master).and_then(|()| unlockpt(&master)).expect("it is ours");
    let name = ptsname(&master, Vec::new()).expect("it has a name");
    let slave = fs::File::open(name.to_str().expect("text")).expect("it opens");
    let nowhere = "127.0.0.1:0";
    let mut command = Command::new(ringpost().expect("the binary"));
    command.args(["dev", "--listen", nowhere, "--http", nowhere, "--admin", nowhere]).arg("--data-dir").arg(&data_dir);
    let mut child = command.stdin(slave).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    poll::until(PATIENCE, || data_dir.join("admin").exists().then_some(())).expect("it serves");
    drop(master);
    kill_process(Pid::from_child(&child), Signal::HUP).expect("it can be signalled");
    let ended = poll::until(PATIENCE, || child.try_wait().ok().flatten());
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
}
