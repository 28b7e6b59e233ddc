//! What an operator has erased is gone for everybody who asks, also after a kill.

use crate::support::Site;

fn place_of(site: &Site, text: &str) -> String {
    let history = site.run(&["history", "--as", "bob", "--with", "alice", "--json"]);
    let said = history.objects().into_iter().find(|entry| entry["text"] == text).expect("it was said");
    format!("{}/{}", said["conversation"].as_str().expect("it is text"), said["seq"])
}

#[test]
fn an_erased_message_is_gone_and_a_chat_that_showed_it_is_told() {
    let mut site = Site::start("erase-message");
    let mut chat = site.chat("bob", "alice");
    chat.wait_for_state("online");
    for text in ["first", "second", "third"] {
        assert_eq!(site.run(&["send", "--as", "alice", "--to", "bob", text]).exit_code, 0);
    }
    chat.wait_for_text("message", "third");
    let place = place_of(&site, "second");
    site.run(&["erase", "message", &place]).expect_mistake(64, &["--yes"]);
    let ran = site.run(&["erase", "message", &place, "--yes", "--json"]);
    assert_eq!((ran.exit_code, ran.objects()[0]["outcome"].as_str()), (0, Some("done")), "{ran:?}");
    let erased = chat.wait_for("an erasure", |event| event["event"] == "erased");
    assert!(place.ends_with(&format!("/{}", erased["seq"])), "{erased}");
    site.kill();
    site.start_again();
    assert_eq!(site.texts(), ["first", "third"]);
    assert_eq!(site.run(&["erase", "message", &place, "--yes"]).exit_code, 0, "once more is as good as once");
    let (conversation, _) = place.split_once('/').expect("it has two parts");
    site.run(&["erase", "message", &format!("{conversation}/99"), "--yes"]).expect_mistake(67, &["not there"]);
    site.run(&["erase", "message", "hikers", "--yes"]).expect_mistake(64, &["CONVERSATION/SEQ"]);
}

#[test]
fn an_erased_user_is_gone_with_all_that_it_said() {
    let mut site = Site::start("erase-user");
    let made = site.run(&[
        "group", "create", "--as", "alice", "--title", "hikers", "--member", "bob", "--member", "carol", "--json",
    ]);
    let group = made.objects()[0]["conversation"].as_str().expect("it has an id").to_owned();
    site.run(&["send", "--as", "alice", "--to", "bob", "a secret"]);
    site.run(&["send", "--as", "bob", "--to", "alice", "kept"]);
    site.run(&["send", "--as", "alice", "--group", &group, "another secret"]);
    let mut chat = site.chat("alice", "bob");
    chat.wait_for_state("online");
    let token = site.run(&["token", "--as", "alice"]);
    let file = site.folder("elsewhere").join("token");
    std::fs::write(&file, &token.out).expect("it can be written");
    site.run(&["erase", "user", "nobody", "--yes"]).expect_mistake(67, &["nobody", "not there"]);

    let ran = site.run(&["erase", "user", "alice", "--yes", "--json"]);
    assert_eq!((ran.exit_code, ran.objects()[0]["outcome"].as_str()), (0, Some("done")), "{ran:?}");
    let id = ran.objects()[0]["user"].as_str().expect("it has an id").to_owned();
    chat.wait_for_state("closed");
    site.run(&["send", "--as", "alice", "--to", "bob", "hi"]).expect_mistake(67, &["alice"]);
    // The start makes the users of its command line, and with that another alice.
    for is_restarted in [false, true] {
        if is_restarted {
            site.kill();
            site.start_again();
        }
        let file = file.to_str().expect("it is text");
        assert_ne!(site.run(&["send", "--token-file", file, "--to", "bob", "hi"]).exit_code, 0);
        let shown = site.run(&["group", "show", "--as", "bob", "--group", &group, "--json"]);
        assert!(!shown.out.contains(&id), "{shown:?}");
        let history = site.run(&["history", "--as", "bob", "--group", &group, "--all"]);
        assert!(!history.out.contains("secret"), "{history:?}");
        assert_eq!(site.run(&["erase", "user", &id, "--yes"]).exit_code, 0, "once more is as good as once");
    }
}
