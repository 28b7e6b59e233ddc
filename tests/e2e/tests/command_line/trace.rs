//! `trace`: the way of a message, in one process and through a cluster.

use e2e::cluster::Cluster;
use e2e::poll;
use e2e::scratch::Scratch;
use e2e::server::Server;
use serde_json::Value;

use crate::support::{Chat, PATIENCE, Site, text};

/// Once bob's device has stored it, as JSON.
fn wait_for_trace(site: &Site, id: &str, flags: &[&str]) -> Value {
    let words = [&["trace", id, "--json"], flags].concat();
    let mut seen = None;
    let is_whole = || {
        let ran = site.run(&words);
        let report = ran.objects().into_iter().next()?;
        let is_stored = stages(&report).contains(&"stored".to_owned());
        seen = Some(report.clone());
        is_stored.then_some(report)
    };
    poll::until(PATIENCE, is_whole).unwrap_or_else(|| panic!("it is not stored: {seen:#?}"))
}

fn stages(report: &Value) -> Vec<String> {
    report["steps"].as_array().expect("steps").iter().map(|step| text(&step["stage"])).collect()
}

fn send(site: &Site, flags: &[&str]) -> String {
    let sent = site.run(&[&["send", "--as", "alice", "--to", "bob", "hello", "--json"], flags].concat());
    assert_eq!(sent.exit_code, 0, "{sent:?}");
    text(&sent.objects()[0]["client_msg_id"])
}

/// What happens at one time in two tiers has no order, but for its beginning and its end.
fn expect_whole_way(report: &Value) {
    let mut stages = stages(report);
    assert_eq!((&stages[..2], &stages[stages.len() - 1][..]), (&["received".into(), "placed".into()][..], "stored"));
    stages.sort();
    assert_eq!(stages, ["acked", "durable", "placed", "pushed", "received", "sent", "stored"]);
}

#[test]
fn the_way_of_a_message_is_told_from_its_frame_to_the_ack_of_the_device() {
    let site = Site::start("trace");
    let mut bob = site.chat("bob", "alice");
    bob.wait_for_state("online");
    let id = send(&site, &[]);
    let report = wait_for_trace(&site, &id, &[]);
    expect_whole_way(&report);
    let steps = report["steps"].as_array().expect("steps");
    assert_ne!(steps[6]["device"], "0");
    let mut at_us = 0;
    for step in steps {
        let since = |key: &str| step[key].as_u64().expect("a number");
        let (first_us, at) = (steps[0]["at_us"].as_u64().expect("a time"), since("at_us"));
        assert!(at >= at_us && since("since_first_us") == at - first_us, "{report:#}");
        at_us = at;
    }
    let shown = site.run(&["trace", &id]);
    assert_eq!((shown.exit_code, shown.out.lines().count()), (0, 8), "{shown:?}");
    assert!(shown.out.contains("on disk"), "{shown:?}");

    // The same id again finds that its message has its place, and that is a part of its way.
    send(&site, &["--client-msg-id", &id]);
    assert!(stages(&wait_for_trace(&site, &id, &[])).contains(&"known".to_owned()));
}

#[test]
fn what_is_not_known_is_said_with_why_that_may_be() {
    let site = Site::start("untraced");
    let id = "0190d5f7-0000-7000-8000-000000000001";
    site.run(&["trace", id]).expect_mistake(67, &[id, "older than 24 h", "made room"]);
    site.run(&["trace", id, "--admin", "127.0.0.1:1"]).expect_mistake(69, &["127.0.0.1:1", "--admin ADDR"]);
    site.run(&["trace", "no-id"]).expect_mistake(64, &["CLIENT_MSG_ID"]);
}

#[test]
fn the_parts_of_two_tiers_are_merged() {
    let site = Site::start("merged");
    let (disk, memory) = (Scratch::on_disk("trace").expect("a folder"), Scratch::in_memory("trace").expect("a folder"));
    let cluster = Cluster::plan(&disk, &memory).expect("a plan");
    let (router, gateways) = cluster.start().expect("they start");
    let (server, data_dir) = (cluster.balancer.address().to_string(), cluster.router.data_dir());
    let there = ["--server", &server, "--data-dir", data_dir.to_str().expect("text")];
    let mut bob =
        Chat::start(site.command(&[&["chat", "--as", "bob", "--to", "alice", "--json"], &there[..]].concat()));
    bob.wait_for_state("online");
    let id = send(&site, &there);
    let admin = |server: &Server| ["--admin".to_owned(), server.admin_address().to_string()];
    let flags: Vec<String> = gateways.iter().chain([&router]).flat_map(admin).collect();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let report = wait_for_trace(&site, &id, &flags);
    expect_whole_way(&report);
    let alone = wait_for_trace(&site, &id, &flags[4..]);
    assert_eq!(stages(&alone), ["placed", "durable", "sent", "stored"]);
}
