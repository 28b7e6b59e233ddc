//! The tiers as processes: who is let in, who is not, and what everybody is told.

use std::process::Command;
use std::time::Duration;

use e2e::scratch::Scratch;
use e2e::server::{Plan, Server, Started, Tier};
use e2e::{binary, poll, port};

/// Each has a link of its own.
const SHARDS: &str = "RINGPOST_GATEWAY_SHARDS";
const PATIENCE: Duration = Duration::from_secs(20);

struct Site {
    scratch: Scratch,
    link: String,
}

impl Site {
    fn new(name: &str) -> Site {
        let link = port::free_address().expect("a port").to_string();
        let site = Site { scratch: Scratch::on_disk(name).expect("a folder"), link };
        site.make_key("link.key");
        site
    }

    fn path(&self, name: &str) -> String {
        self.scratch.path().join(name).to_str().expect("text").to_owned()
    }

    fn make_key(&self, name: &str) {
        let (exit_code, _) = run(&["link-key", "--out", &self.path(name)]);
        assert_eq!(exit_code, Some(0));
    }

    fn plan(&self, name: &str, tier: Tier) -> Plan {
        let work_dir = self.scratch.folder(&format!("{name}-work")).expect("a folder");
        Plan::new(&self.scratch.path().join(name), &work_dir).expect("a port").tier(tier)
    }

    fn router(&self) -> Plan {
        self.plan("router", Tier::Router).flags(&["--link", &self.link, "--link-key-file", &self.path("link.key")])
    }

    fn gateway(&self, name: &str, router: &str, key: &str) -> Plan {
        let (key, token_key) = (self.path(key), self.path("router/token.pub"));
        let flags = ["--router", router, "--link-key-file", &key, "--token-key-file", &token_key];
        self.plan(name, Tier::Gateway).flags(&flags).variable(SHARDS, "2")
    }
}

/// Runs to the end: the exit code, and the lines of standard error.
fn run(words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(binary::ringpost().expect("it builds")).args(words).output().expect("it starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn wait_for_status(server: &Server, wanted: u16) {
    let has_status = || server.admin("/readyz").is_ok_and(|(status, _)| status == wanted).then_some(());
    assert!(poll::until(PATIENCE, has_status).is_some(), "no {wanted} after {PATIENCE:?}");
}

fn lines_with<'a>(log: &'a str, words: &'a str) -> impl Iterator<Item = &'a str> {
    log.lines().filter(move |line| line.contains(words))
}

#[test]
fn every_mistake_has_its_exit_code_and_a_line_that_says_what_to_do() {
    let site = Site::new("mistakes");
    let (key, data_dir, nothing) = (site.path("link.key"), site.path("data"), site.path("nothing"));
    std::fs::write(&nothing, "no key").expect("a file");
    let linked = ["--link-key-file", &key, "--data-dir", &data_dir, "--admin", "127.0.0.1:0"];
    let router = ["serve", "--role", "router"];
    let gateway = ["serve", "--role", "gateway"];
    let mistakes: &[(&[&str], &[&str], i32, &str)] = &[
        (&router, &[], 64, "--link ADDR"),
        (&gateway, &[], 64, "--router HOST:PORT"),
        (&gateway, &["--link", "127.0.0.1:0"], 64, "--router HOST:PORT"),
        (&gateway, &["--router", "127.0.0.1:1", "--user", "alice"], 64, "for a router"),
        (&router, &["--router", "127.0.0.1:1"], 64, "--link ADDR"),
        (&router, &["--link", "127.0.0.1:0", "--listen", "127.0.0.1:0"], 64, "for a gateway"),
        (&router, &["--link", "127.0.0.1:0"], 78, "ringpost link-key --out FILE"),
        (&gateway, &["--router", "127.0.0.1:1"], 78, "ringpost link-key --out FILE"),
        (&router, &["--link", "127.0.0.1:0", "--link-key-file", &nothing], 78, "ringpost link-key --out FILE"),
        (&["link-key", "--out", &key], &[], 73, "--out FILE"),
    ];
    for (verb, flags, exit_code, words) in mistakes {
        let (ended_with, standard_error) = run(&[*verb, *flags].concat());
        assert_eq!(ended_with, Some(*exit_code), "{verb:?} {flags:?}: {standard_error}");
        assert_eq!(lines_with(&standard_error, "ringpost: ").count(), 1, "{standard_error}");
        assert!(standard_error.contains(words), "{verb:?} {flags:?}: {standard_error}");
    }
    let no_token_key = [&gateway[..], &linked, &["--router", "127.0.0.1:1"]].concat();
    let bad_token_key = [&no_token_key[..], &["--token-key-file", &nothing]].concat();
    for words in [no_token_key, bad_token_key] {
        let (ended_with, standard_error) = run(&words);
        assert_eq!(ended_with, Some(78), "{standard_error}");
        assert!(standard_error.contains("copy token.pub from the data folder of the router"), "{standard_error}");
    }
}

#[test]
fn a_gateway_waits_for_its_router_and_says_that_it_does() {
    let site = Site::new("wait");
    // The first start leaves the key that gateways check tokens with.
    site.router().start().expect("it starts").kill().expect("it is killed");
    let gateway = site.gateway("gateway", &site.link, "link.key");
    let server = gateway.start_unready().expect("it starts");
    let (status, text) = server.admin("/readyz").expect("it answers");
    assert_eq!((status, text.trim()), (503, "the gateway has no link to the router"));
    assert_eq!(server.metric("ringpost_gateway_linked").expect("a metric"), 0);
    let router = site.router().start().expect("it starts");
    wait_for_status(&server, 200);
    assert_eq!(router.metric("ringpost_router_links").expect("a metric"), 2);
    let said = "cannot be reached";
    assert_eq!(lines_with(&gateway.log().expect("a log"), said).count(), 1, "said once, not at every attempt");
    router.kill().expect("it is killed");
    wait_for_status(&server, 503);
    assert_eq!(server.terminate().expect("it ends").code(), Some(0));
}

#[test]
fn a_gateway_with_another_key_is_refused_and_both_ends_say_so_once_and_count_it() {
    let site = Site::new("key");
    site.make_key("other.key");
    let (router_plan, gateway_plan) = (site.router(), site.gateway("gateway", &site.link, "other.key"));
    let router = router_plan.start().expect("it starts");
    let gateway = gateway_plan.start_unready().expect("it starts");
    let refused = |server: &Server| server.metric("ringpost_link_refused_key_total").unwrap_or_default();
    let both = || (refused(&router) >= 2 && refused(&gateway) >= 2).then_some(());
    assert!(poll::until(PATIENCE, both).is_some(), "both ends count refusals");
    for (server, plan) in [(&router, &router_plan), (&gateway, &gateway_plan)] {
        let log = plan.log().expect("a log");
        assert_eq!(lines_with(&log, "another link key").count(), 1, "{log}");
        assert_eq!(server.metric("ringpost_link_made_total").expect("a metric"), 0);
    }
    assert_eq!(router.metric("ringpost_router_links").expect("a metric"), 0);
    wait_for_status(&gateway, 503);
    wait_for_status(&router, 200);
}

#[test]
fn a_gateway_that_is_sent_to_a_gateway_says_what_is_wrong() {
    let site = Site::new("wrong-role");
    let router = site.router().start().expect("it starts");
    let first = site.gateway("first", &site.link, "link.key");
    let _first_server = first.start().expect("it starts");
    let second = site.gateway("second", &first.native().to_string(), "link.key");
    let server = second.start_unready().expect("it starts");
    let has_said = || lines_with(&second.log().ok()?, "is no router").next().map(|_| ());
    assert!(poll::until(PATIENCE, has_said).is_some(), "{}", second.log().expect("a log"));
    wait_for_status(&server, 503);
    assert_eq!(router.metric("ringpost_router_links").expect("a metric"), 2);
}

#[test]
fn a_port_that_is_taken_ends_the_second_router() {
    let site = Site::new("port");
    let _router = site.router().start().expect("it starts");
    let key = site.path("link.key");
    let second = site.plan("second", Tier::Router).flags(&["--link", &site.link, "--link-key-file", &key]);
    match second.start_if_it_can().expect("it is tried") {
        Started::Serves(_) => panic!("two routers on one port"),
        Started::Ended { exit_code, standard_error } => {
            assert_eq!(exit_code, Some(69), "{standard_error}");
            assert!(standard_error.contains("--link ADDR"), "{standard_error}");
        }
    }
}

#[test]
fn both_tiers_in_one_process_take_a_gateway_beside_it() {
    let site = Site::new("all");
    let key = site.path("link.key");
    let flags = ["--link", &site.link, "--link-key-file", &key];
    let all = site.plan("router", Tier::Both).flags(&flags).variable(SHARDS, "1").start().expect("it starts");
    let gateway = site.gateway("gateway", &site.link, "link.key").start().expect("it starts");
    assert_eq!(all.metric("ringpost_router_links").expect("a metric"), 3);
    assert_eq!(gateway.terminate().expect("it ends").code(), Some(0));
    assert_eq!(all.terminate().expect("it ends").code(), Some(0));
}
