//! `device`: several devices of one user, and one of them that is not to be served any more.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Chat, Site, text};

/// How long a revoked device may still be there.
const CUT_MAX: Duration = Duration::from_secs(5);

fn link(site: &Site, state_dir: &Path, flags: &[&str]) -> Value {
    let state_dir = state_dir.to_str().expect("it is text");
    let ran = site.run(&[&["device", "link", "--as", "alice", "--state-dir", state_dir, "--json"][..], flags].concat());
    assert_eq!(ran.exit_code, 0, "{ran:?}");
    ran.objects().pop().expect("a line")
}

fn devices(site: &Site) -> Vec<Value> {
    let ran = site.run(&["device", "list", "--as", "alice", "--json"]);
    assert_eq!(ran.exit_code, 0, "{ran:?}");
    ran.objects()
}

/// A chat of this device with bob.
fn chat_words(state_dir: &Path) -> [&str; 8] {
    ["chat", "--as", "alice", "--to", "bob", "--json", "--state-dir", state_dir.to_str().expect("it is text")]
}

#[test]
fn a_revoke_cuts_a_live_chat_and_bars_the_device_also_after_a_kill_of_the_server() {
    let mut site = Site::start("revoke");
    let (pocket, desk) = (site.folder("pocket"), site.folder("desk"));
    let linked = [link(&site, &pocket, &["--name", "pocket"]), link(&site, &desk, &[])];
    assert_eq!(linked.each_ref().map(|line| line["generation"].as_u64()), [Some(1), Some(1)]);
    let mut chat = Chat::start(site.command(&chat_words(&pocket)));
    chat.wait_for_state("online");
    let listed = devices(&site);
    let names: Vec<String> = listed.iter().map(|line| text(&line["name"])).collect();
    assert_eq!(names, ["chat of alice", "pocket"]);
    let online: Vec<&Value> = listed.iter().filter(|line| line["online"] == true).collect();
    assert!(matches!(online[..], [line] if line["device_id"] == linked[0]["device_id"]), "{listed:?}");

    let id = linked[0]["device_id"].to_string();
    let begun_at = Instant::now();
    for _ in ["it is revoked", "a second time changes nothing"] {
        assert_eq!(site.run(&["device", "revoke", &id, "--as", "alice"]).exit_code, 0);
    }
    chat.wait_for_state("closed");
    assert!(begun_at.elapsed() < CUT_MAX, "{:?}", begun_at.elapsed());
    assert_eq!(chat.end_input(), 77);
    assert!(devices(&site).iter().any(|line| line["device_id"] == linked[0]["device_id"] && line["revoked"] == true));
    for _ in ["on this server", "on the one after a kill -9"] {
        site.run_with(&chat_words(&pocket), b"am I in?\n").expect_mistake(77, &["link it again", "3506"]);
        site.kill();
        site.start_again();
    }
    // The other one is as it was, and the one that was revoked goes on when its user links it anew.
    assert_eq!(site.run_with(&chat_words(&desk), b"desk\n").exit_code, 0);
    assert_eq!(link(&site, &pocket, &[])["generation"], 2);
    assert_eq!(site.run_with(&chat_words(&pocket), b"pocket\n").exit_code, 0);
    // What it took into its outbox before it was refused comes before what is new.
    let texts: Vec<String> = site.texts().into_iter().filter(|text| text != "am I in?").collect();
    assert_eq!((texts, site.texts().pop()), (vec!["desk".to_owned(), "pocket".to_owned()], Some("pocket".to_owned())));
}

#[test]
fn a_token_of_one_device_is_good_for_it_alone_and_ends_with_it() {
    let site = Site::start("bound-token");
    let (pocket, desk) = (site.folder("pocket"), site.folder("desk"));
    let linked = link(&site, &pocket, &["--token-lifetime-s", "600"]);
    let file = site.folder("tokens").join("pocket");
    std::fs::write(&file, text(&linked["access_token"])).expect("it can be written");
    let file = file.to_str().expect("it is text");
    let [pocket, desk] = [&pocket, &desk].map(|path| path.to_str().expect("it is text"));
    let chat = |state_dir| ["chat", "--token-file", file, "--to", "bob", "--json", "--state-dir", state_dir];
    assert_eq!(site.run_with(&chat(pocket), b"hello\n").exit_code, 0);
    site.run_with(&chat(desk), b"hello\n").expect_mistake(77, &["3504"]);
    let id = linked["device_id"].to_string();
    assert_eq!(site.run(&["device", "revoke", &id, "--as", "alice"]).exit_code, 0);
    site.run_with(&chat(pocket), b"hello\n").expect_mistake(77, &["3506"]);
    let link_again = ["device", "link", "--token-file", file, "--state-dir", pocket];
    site.run(&link_again).expect_mistake(77, &["3504"]);
}
