//! `chat --json`: a line in is a message, a line out an event; nothing is missed, whoever is killed.

use serde_json::Value;

use crate::support::{Site, text};

#[test]
fn two_people_talk_and_each_sees_what_becomes_of_what_they_say() {
    let site = Site::start("talk");
    let (mut alice, mut bob) = (site.chat("alice", "bob"), site.chat("bob", "alice"));
    alice.wait_for_state("online");
    bob.wait_for_state("online");
    alice.say("hello");
    let queued = alice.wait_for_text("queued", "hello");
    let acked = alice.wait_for("ack", |event| event["event"] == "acked");
    assert_eq!((&acked["client_msg_id"], &acked["durability"]), (&queued["client_msg_id"], &Value::from("fsync")));
    let heard = bob.wait_for_text("message", "hello");
    assert_eq!((&heard["client_msg_id"], &heard["sender"]), (&queued["client_msg_id"], &Value::from("alice")));
    assert_eq!((&heard["seq"], &heard["server_time_ms"]), (&acked["seq"], &acked["server_time_ms"]));
    for kind in ["delivered", "read"] {
        let receipt = alice.wait_for(kind, |event| event["event"] == kind);
        assert_eq!((&receipt["up_to_seq"], &receipt["by"]), (&acked["seq"], &Value::from("bob")));
        assert_eq!(receipt["conversation"], acked["conversation"]);
    }
    bob.say("hello yourself");
    alice.wait_for_text("message", "hello yourself");
    assert_eq!((alice.end_input(), bob.end_input()), (0, 0));
    assert!(alice.seen().iter().all(|event| event["event"] != "message" || event["sender"] == "bob"), "one's own");
}

#[test]
fn the_end_of_the_input_comes_after_the_last_ack() {
    let site = Site::start("input-end");
    let input: String = (1..=300).map(|number| format!("{number}\n")).collect();
    let ran = site.run_with(&["chat", "--as", "alice", "--to", "bob", "--json"], input.as_bytes());
    assert_eq!(ran.exit_code, 0, "{}", ran.err);
    let acks = ran.objects().iter().filter(|event| event["event"] == "acked").count();
    assert_eq!(acks, 300);
    assert_eq!(site.texts().len(), 300);
}

#[test]
fn who_was_never_there_is_told_what_was_not_read() {
    let site = Site::start("offline");
    for words in ["one", "two"] {
        assert_eq!(site.run(&["send", "--as", "alice", "--to", "bob", words]).exit_code, 0);
    }
    let mut bob = site.chat("bob", "alice");
    bob.wait_for_text("message", "one");
    bob.wait_for_text("message", "two");
    assert_eq!(bob.end_input(), 0);
    // What was read is not told again to the next device.
    let state_dir = site.folder("second-device");
    let mut second = site.command(&["chat", "--as", "bob", "--to", "alice", "--json", "--state-dir"]);
    second.arg(state_dir);
    let mut second = crate::support::Chat::start(second);
    second.wait_for_state("online");
    assert_eq!(site.run(&["send", "--as", "alice", "--to", "bob", "three"]).exit_code, 0);
    second.wait_for_text("message", "three");
    assert!(second.seen().iter().all(|event| event["event"] != "message" || event["text"] == "three"));
}

#[test]
fn a_server_that_is_killed_loses_nothing_that_was_said_meanwhile() {
    let mut site = Site::start("server-killed");
    let (mut alice, mut bob) = (site.chat("alice", "bob"), site.chat("bob", "alice"));
    alice.wait_for_state("online");
    bob.wait_for_state("online");
    alice.say("before");
    bob.wait_for_text("message", "before");
    site.kill();
    alice.wait_for_state("offline");
    for words in ["while it is dead", "and again"] {
        alice.say(words);
        alice.wait_for_text("queued", words);
    }
    site.start_again();
    bob.wait_for_text("message", "while it is dead");
    bob.wait_for_text("message", "and again");
    bob.say("after");
    alice.wait_for_text("message", "after");
    assert_eq!((alice.end_input(), bob.end_input()), (0, 0));
    assert_eq!(site.texts(), ["before", "while it is dead", "and again", "after"]);
}

#[test]
fn a_chat_that_is_killed_may_be_told_twice_and_misses_nothing() {
    let site = Site::start("chat-killed");
    let mut alice = site.chat("alice", "bob");
    alice.wait_for_state("online");
    let mut told = Vec::new();
    for round in 0..5 {
        let mut bob = site.chat("bob", "alice");
        for number in 0..20 {
            alice.say(&format!("{round}/{number}"));
        }
        // Somewhere in the middle.
        bob.wait_for_text("message", &format!("{round}/{}", 3 * round));
        told.extend(bob.kill());
    }
    let mut bob = site.chat("bob", "alice");
    bob.wait_for_state("online");
    alice.say("last");
    bob.wait_for_text("message", "last");
    told.extend(bob.kill());
    let told: Vec<String> =
        told.iter().filter(|event| event["event"] == "message").map(|event| text(&event["text"])).collect();
    for words in site.texts() {
        assert!(told.contains(&words), "{words} was missed");
    }
}

#[test]
fn what_waits_in_the_outbox_of_a_killed_chat_is_sent_by_the_next_one() {
    let mut site = Site::start("outbox");
    let mut alice = site.chat("alice", "bob");
    alice.wait_for_state("online");
    site.kill();
    alice.wait_for_state("offline");
    alice.say("kept");
    let id = alice.wait_for_text("queued", "kept")["client_msg_id"].clone();
    alice.kill();
    site.start_again();
    let mut alice = site.chat("alice", "bob");
    alice.wait_for("ack", |event| event["event"] == "acked" && event["client_msg_id"] == id);
    assert_eq!(site.texts(), ["kept"]);
}
