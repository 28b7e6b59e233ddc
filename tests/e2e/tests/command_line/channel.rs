//! `channel`: its members write, and everybody follows, also over a kill of the server.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::Value;

use crate::support::{PATIENCE, Site, text};

/// `channel follow --json` that runs.
struct Follower {
    child: Child,
    messages: Receiver<Value>,
}

impl Follower {
    fn start(site: &Site, flags: &[&str]) -> Follower {
        let mut command = site.command(&[&["channel", "follow", "--as", "bob", "--json"], flags].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, messages) = channel();
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let message = serde_json::from_str(&line).expect("a line is an object");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        Follower { child, messages }
    }

    fn next_text(&self) -> String {
        text(&self.messages.recv_timeout(PATIENCE).expect("a message comes")["text"])
    }
}

#[test]
fn who_follows_gets_what_members_write_also_over_a_kill_of_the_server() {
    let mut site = Site::start("channel");
    let created = site.run(&["channel", "create", "--as", "alice", "--title", "news", "--member", "carol", "--json"]);
    let channel = text(&created.objects()[0]["conversation"]);
    let say = |site: &Site, name: &str, words: &str| site.run(&["send", "--as", name, "--group", &channel, words]);
    assert_eq!(say(&site, "alice", "one").exit_code, 0);

    let mut follower = Follower::start(&site, &["--channel", &channel, "--after", "0", "--limit", "4"]);
    assert_eq!(follower.next_text(), "one");
    assert_eq!(say(&site, "carol", "two").exit_code, 0);
    assert_eq!(follower.next_text(), "two");
    site.kill();
    site.start_again();
    assert_eq!(say(&site, "alice", "three").exit_code, 0);
    assert_eq!(follower.next_text(), "three");
    let message = site.run(&["send", "--as", "alice", "--group", &channel, "--json", "four"]);
    assert_eq!(message.exit_code, 0);
    assert_eq!(follower.next_text(), "four");
    assert_eq!(follower.child.wait().expect("it ends").code(), Some(0), "it has had as many as were wanted");

    say(&site, "bob", "me too").expect_mistake(77, &["not a member"]);
    let history = site.run(&["history", "--as", "bob", "--group", &channel, "--json"]);
    assert_eq!(history.objects().len(), 4);
    let hidden = site.run(&["group", "show", "--as", "bob", "--group", &channel]);
    hidden.expect_mistake(77, &["not a member"]);
}

#[test]
fn what_is_no_channel_is_not_followed() {
    let site = Site::start("no-channel");
    let group = site.run(&["group", "create", "--as", "alice", "--title", "hikers", "--member", "bob"]);
    let group = group.out.trim().to_owned();
    let follow =
        |id: &str, more: &[&str]| site.run(&[&["channel", "follow", "--as", "bob", "--channel", id], more].concat());
    follow(&group, &["--after", "0"]).expect_mistake(77, &["not a member of this conversation, or not allowed"]);
    follow("0123456789abcdef0123456789abcdef", &[]).expect_mistake(67, &["no such conversation"]);
    follow("news", &[]).expect_mistake(64, &["news", "not a valid id"]);
}
