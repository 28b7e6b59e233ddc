//! `send`, `history`, `group`, `token`: one question, one answer, one exit code.

use crate::support::{Site, text};

#[test]
fn a_message_that_is_repeated_under_its_id_gets_the_same_answer_and_is_there_once() {
    let site = Site::start("repeat");
    let first = site.run(&["send", "--as", "alice", "--to", "bob", "hello", "--json"]);
    assert_eq!(first.exit_code, 0, "{first:?}");
    let acked = first.objects().remove(0);
    assert_eq!((acked["seq"].as_u64(), acked["durability"].as_str()), (Some(1), Some("fsync")));
    let conversation = text(&acked["conversation"]);
    assert_eq!(acked["message_id"], format!("{conversation}/1"));
    assert!(acked["server_time_ms"].as_u64() > Some(1_700_000_000_000));

    let id = text(&acked["client_msg_id"]);
    let again = ["send", "--as", "alice", "--to", "bob", "hello", "--json", "--client-msg-id", &id];
    assert_eq!(site.run(&again).objects(), [acked]);
    assert_eq!(site.texts(), ["hello"]);
}

#[test]
fn lines_of_standard_input_are_messages_in_order_and_any_number_is_read_back() {
    let site = Site::start("lines");
    let lines: Vec<String> = (1..=450).map(|number| format!("line {number}")).collect();
    let sent = site.run_with(&["send", "--as", "bob", "--to", "alice", "-", "--json"], lines.join("\n").as_bytes());
    assert_eq!((sent.exit_code, sent.objects().len()), (0, 450), "{}", sent.err);
    assert_eq!(site.texts(), lines);

    let part = |flags: &[&str]| -> Vec<String> {
        let words = [&["history", "--as", "alice", "--with", "bob", "--json"], flags].concat();
        site.run(&words).objects().iter().map(|entry| text(&entry["text"])).collect()
    };
    assert_eq!(part(&["--limit", "3"]), lines[447..]);
    assert_eq!(part(&["--limit", "300"]), lines[150..]);
    assert_eq!(part(&["--limit", "0"]), [""; 0]);
    assert_eq!(part(&["--after", "440"]), lines[440..]);
    assert_eq!(part(&["--after", "100", "--limit", "250"]), lines[100..350]);
    assert_eq!(part(&["--after", "450"]), [""; 0]);
    let first = site.run(&["history", "--as", "alice", "--with", "bob", "--json", "--after", "0", "--limit", "1"]);
    let first = first.objects().remove(0);
    assert_eq!((first["sender"].as_str(), first["kind"].as_str()), (Some("bob"), Some("message")));
    assert_eq!((first["seq"].as_u64(), first["ordinal"].as_u64()), (Some(1), Some(1)));
}

#[test]
fn a_line_that_cannot_be_sent_is_named_and_those_before_it_are_there() {
    let site = Site::start("bad-line");
    let input = [b"one\ntwo\n".to_vec(), vec![b'x'; 49_153], b"\nfour\n".to_vec()].concat();
    let sent = site.run_with(&["send", "--as", "alice", "--to", "bob", "-", "--json"], &input);
    sent.expect_mistake(65, &["line 3", "49152"]);
    assert_eq!(sent.objects().len(), 2);
    assert_eq!(site.texts(), ["one", "two"]);
}

#[test]
fn a_group_changes_and_shows_its_past_to_those_who_were_there() {
    let site = Site::start("group");
    let created = site.run(&["group", "create", "--as", "alice", "--title", "hikers", "--member", "bob"]);
    assert_eq!(created.exit_code, 0, "{created:?}");
    let group = created.out.trim().to_owned();
    let say = |name: &str, words: &str| site.run(&["send", "--as", name, "--group", &group, words]);
    assert_eq!(say("bob", "before carol").exit_code, 0);
    let added = site.run(&["group", "add", "--as", "alice", "--group", &group, "--member", "carol", "--json"]);
    assert_eq!(added.objects()[0]["seq"], 3);
    assert_eq!(say("carol", "with carol").exit_code, 0);
    assert_eq!(site.run(&["group", "remove", "--as", "alice", "--group", &group, "--member", "carol"]).exit_code, 0);
    assert_eq!(say("bob", "after carol").exit_code, 0);
    say("carol", "nobody hears this").expect_mistake(77, &["not a member"]);

    let shown = site.run(&["group", "show", "--as", "bob", "--group", &group, "--json"]).objects().remove(0);
    assert_eq!(shown["title"], "hikers");
    let members: Vec<_> = shown["members"].as_array().expect("a list").iter().map(|it| text(&it["name"])).collect();
    assert_eq!(members, ["alice", "bob"]);

    let seen = |name: &str, flags: &[&str]| -> Vec<String> {
        let words = [&["history", "--as", name, "--group", &group, "--json"], flags].concat();
        let shown = site.run(&words).objects();
        shown.iter().map(|it| it["text"].as_str().or(it["kind"].as_str()).expect("one of them").to_owned()).collect()
    };
    assert_eq!(seen("alice", &[]), ["before carol", "with carol", "after carol"]);
    assert_eq!(seen("carol", &[]), ["with carol"]);
    let all = ["created", "before carol", "added", "with carol", "removed", "after carol"];
    assert_eq!(seen("bob", &["--all"]), all);
    assert_eq!(site.run(&["group", "leave", "--as", "bob", "--group", &group]).exit_code, 0);
    say("bob", "gone").expect_mistake(77, &["not a member"]);
}

#[test]
fn a_token_lets_a_client_in_that_has_nothing_else() {
    let site = Site::start("token");
    let token = site.run(&["token", "--as", "alice"]);
    let file = site.folder("elsewhere").join("token");
    std::fs::write(&file, &token.out).expect("it can be written");
    let file = file.to_str().expect("it is text");
    let sent = site.run(&["send", "--token-file", file, "--to", "bob", "by token"]);
    assert_eq!(sent.exit_code, 0, "{sent:?}");
    assert_eq!(site.texts(), ["by token"]);
}
