//! `/metrics` against its catalogue, in every role.

use std::collections::{BTreeMap, BTreeSet};

use e2e::cluster::Cluster;
use e2e::poll;
use e2e::scratch::Scratch;
use e2e::server::{Plan, Server, Tier};

use crate::support::{PATIENCE, Site};

/// What a family of the exposition holds.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    /// By name with labels.
    samples: BTreeMap<String, f64>,
}

/// Reads the text format, and refuses what its rules do not allow.
fn parse(text: &str) -> BTreeMap<String, Family> {
    assert!(text.ends_with('\n') && !text.contains("\n\n"), "every line ends, and none is empty");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let help = line.strip_prefix("# HELP ").unwrap_or_else(|| panic!("a family begins with its help: {line}"));
        let (name, about) = help.split_once(' ').expect("a help has a text");
        assert!(!about.is_empty() && !about.contains('\\'), "{line}");
        let kind = lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {name} ")));
        let mut family = Family { kind: kind.expect("the type follows the help").to_owned(), ..Family::default() };
        while let Some(sample) = lines.next_if(|line| !line.starts_with('#')) {
            let (sample, value) = sample.rsplit_once(' ').expect("a sample has a value");
            let value = value.parse().unwrap_or_else(|_| panic!("{sample} {value} is no number"));
            check_name(name, &family.kind, sample);
            assert!(family.samples.insert(sample.to_owned(), value).is_none(), "{sample} is there twice");
        }
        check_histogram(name, &family);
        assert!(!family.samples.is_empty(), "{name} has no sample");
        assert!(families.insert(name.to_owned(), family).is_none(), "{name} is there twice");
    }
    families
}

fn check_name(family: &str, kind: &str, sample: &str) {
    let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
    let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{sample} stands below {family}"));
    let allowed: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
    assert!(allowed.contains(&suffix), "{sample} in a {kind}");
    let labels = labels.strip_suffix('}').expect("braces are closed");
    let is_pair = |pair: &str| {
        let (label, value) = pair.split_once("=\"").expect("a label has a value in quotes");
        label.bytes().all(|byte| byte.is_ascii_lowercase()) && value.strip_suffix('"').is_some_and(is_plain)
    };
    assert!(labels.is_empty() || is_pair(labels), "{sample}");
}

fn is_plain(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.+".contains(&byte))
}

/// Buckets count up to the count.
fn check_histogram(name: &str, family: &Family) {
    if family.kind != "histogram" {
        return;
    }
    let bucket =
        |sample: &String| sample.strip_prefix(&format!("{name}_bucket{{le=\""))?.strip_suffix("\"}")?.parse().ok();
    let mut buckets: Vec<(f64, f64)> =
        family.samples.iter().filter_map(|(sample, count)| Some((bucket(sample)?, *count))).collect();
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    assert!(buckets.is_sorted_by(|one, other| one.1 <= other.1), "{name}: {buckets:?}");
    let last = *buckets.last().expect("it has buckets");
    assert_eq!(last, (f64::INFINITY, family.samples[&format!("{name}_count")]), "{name}");
    assert!(family.samples.contains_key(&format!("{name}_sum")), "{name}");
}

/// By part of the catalogue: name and type of each metric.
fn catalogue(site: &Site) -> BTreeMap<String, BTreeSet<(String, String)>> {
    let printed = site.run(&["metrics"]);
    assert_eq!(printed.exit_code, 0, "{printed:?}");
    let mut parts: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    let mut part = String::new();
    for line in printed.out.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            part = title.to_owned();
        } else if let Some(row) = line.strip_prefix("| `") {
            let mut cells = row.split(" | ");
            let name = cells.next().expect("a name").trim_end_matches('`').to_owned();
            parts.entry(part.clone()).or_default().insert((name, cells.next().expect("a type").to_owned()));
        }
    }
    parts
}

fn exposed(server: &Server) -> BTreeMap<String, Family> {
    let (status, text) = server.admin("/metrics").expect("it answers");
    assert_eq!(status, 200);
    parse(&text)
}

#[test]
fn every_role_exposes_exactly_what_the_catalogue_lists() {
    let site = Site::start("catalogue");
    let catalogue = catalogue(&site);
    let expect = |server: &Server, parts: &[&str]| {
        let listed: BTreeSet<_> = parts.iter().flat_map(|part| catalogue[*part].clone()).collect();
        let shown = exposed(server).into_iter().map(|(name, family)| (name, family.kind)).collect::<BTreeSet<_>>();
        assert_eq!(shown, listed, "{parts:?}");
    };
    expect(site.server.as_ref().expect("it runs"), &["Gateway", "Router"]);
    let both = Plan::new(&site.scratch.path().join("all"), &site.folder("all-log")).expect("a port").tier(Tier::Both);
    expect(&both.start().expect("it starts"), &["Gateway", "Router"]);
    let (disk, memory) = (Scratch::on_disk("roles").expect("a folder"), Scratch::in_memory("roles").expect("a folder"));
    let cluster = Cluster::plan(&disk, &memory).expect("a plan");
    let (router, gateways) = cluster.start().expect("they start");
    expect(&router, &["Links", "Router"]);
    gateways.iter().for_each(|gateway| expect(gateway, &["Gateway", "Links"]));
}

#[test]
fn a_message_moves_what_counts_and_measures_it() {
    let site = Site::start("moves");
    let mut bob = site.chat("bob", "alice");
    bob.wait_for_state("online");
    let sent = site.run(&["send", "--as", "alice", "--to", "bob", "hello"]);
    assert_eq!(sent.exit_code, 0, "{sent:?}");
    bob.wait_for_text("message", "hello");
    let server = site.server.as_ref().expect("it runs");
    let wanted = [
        ("ringpost_shard_frames_received_total", "ringpost_shard_frames_received_total{frame=\"MessageSend\"}"),
        ("ringpost_shard_frames_sent_total", "ringpost_shard_frames_sent_total{frame=\"MessageAck\"}"),
        ("ringpost_shard_ack_seconds", "ringpost_shard_ack_seconds_count"),
        ("ringpost_gateway_handshake_seconds", "ringpost_gateway_handshake_seconds_count"),
        ("ringpost_gateway_send_bytes", "ringpost_gateway_send_bytes_count"),
        ("ringpost_router_durable_seconds", "ringpost_router_durable_seconds_count"),
        ("ringpost_router_push_seconds", "ringpost_router_push_seconds_count"),
        ("ringpost_router_device_ack_seconds", "ringpost_router_device_ack_seconds_count"),
        ("ringpost_router_sessions", "ringpost_router_sessions"),
        ("ringpost_router_turn_seconds", "ringpost_router_turn_seconds_sum"),
        ("ringpost_store_requests_total", "ringpost_store_requests_total{request=\"write\"}"),
        ("ringpost_store_write_seconds", "ringpost_store_write_seconds_count"),
        ("ringpost_store_entries", "ringpost_store_entries"),
        ("ringpost_log_commits_total", "ringpost_log_commits_total"),
        ("ringpost_log_sync_seconds", "ringpost_log_sync_seconds_sum"),
    ];
    let mut still = Vec::new();
    let all_have_moved = poll::until(PATIENCE, || {
        let families = exposed(server);
        still = wanted.into_iter().filter(|(name, sample)| families[*name].samples[*sample] <= 0.0).collect();
        still.is_empty().then_some(())
    });
    assert!(all_have_moved.is_some(), "{still:?}");
}
