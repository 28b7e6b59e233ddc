//! What goes wrong ends with one line that says what to do, and a code that scripts can tell apart.

use crate::support::Site;

#[test]
fn every_mistake_has_its_code_and_its_advice() {
    let mut site = Site::start("mistakes");
    let unknown_group = "0123456789abcdef0123456789abcdef";
    let long_name = &"n".repeat(65);
    let old_id = "0160eb4b-8800-7000-8000-000000000001";
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["send", "--as", "alice", "--to", "bob", "hi", "there"], 64, &["quote it", "'hi there'"]),
        (&["send", "--as", "alice", "hi"], 64, &["--to <NAME>", "--group <ID>"]),
        (&["send", "--to", "bob", "hi"], 64, &["--as <NAME>"]),
        (&["send", "--as", "alice", "--to", "alice", "hi"], 64, &["another user"]),
        (&["send", "--as", "alice", "--to", "bob", "--timeout", "0", "hi"], 64, &["--timeout"]),
        (&["send", "--as", "alice", "--group", "hikers", "hi"], 64, &["hikers", "not a valid id"]),
        (&["send", "--as", "alice", "--to", "bob", "--client-msg-id", "7", "hi"], 64, &["--client-msg-id"]),
        (&["send", "--as", "alice", "--to", "bob", "--client-msg-id", old_id, "-"], 64, &["TEXT"]),
        (&["send", "--as", "alice", "--to", "bob", "--client-msg-id", old_id, "hi"], 65, &["older than 6 days"]),
        (&["send", "--as", "alice", "--to", "bob", "--server", "localhost", "hi"], 64, &["HOST:PORT"]),
        (&["send", "--as", "alice", "--to", "bob", "--server", "localhost:1", "hi"], 69, &["cannot reach", "dev"]),
        (&["send", "--as", "alice", "--to", "bob", "--data-dir", "/nowhere", "hi"], 69, &["/nowhere", "dev"]),
        (&["send", "--as", "zed", "--to", "bob", "hi"], 67, &["alice, bob, carol", "--user zed"]),
        (&["send", "--as", "alice", "--to", "zed", "hi"], 67, &["zed"]),
        (&["send", "--as", "alice", "--group", unknown_group, "hi"], 67, &["no such conversation"]),
        (&["history", "--as", "alice", "--with", "zed"], 67, &["zed"]),
        (&["history", "--as", "alice", "--group", unknown_group], 67, &["no such conversation"]),
        (&["group", "create", "--as", "alice", "--title", "t", "--member", "zed"], 67, &["zed"]),
        (&["send", "--token-file", "/nowhere", "--to", "bob", "hi"], 66, &["--token-file"]),
        (&["token", "--as", "zed"], 67, &["--user zed"]),
        (&["chat", "--as", "alice", "--to", "bob"], 64, &["--json"]),
        (&["chat", "--as", "alice", "--to", "zed", "--json"], 67, &["zed"]),
        (&["device", "list"], 64, &["--as <NAME>"]),
        (&["device", "list", "--as", "zed"], 67, &["--user zed"]),
        (&["device", "link", "--as", "alice"], 64, &["--state-dir <DIR>"]),
        (&["device", "link", "--as", "alice", "--state-dir", "/dev/null/here"], 74, &["/dev/null/here"]),
        (&["device", "link", "--as", "alice", "--state-dir", "unused", "--name", long_name], 65, &["64 bytes"]),
        (&["device", "revoke", "--as", "alice"], 64, &["<ID>"]),
        (&["device", "revoke", "pocket", "--as", "alice"], 64, &["pocket", "not a valid id"]),
        (&["device", "revoke", "99", "--as", "alice"], 67, &["no device 99", "device list"]),
        (&["dance"], 64, &["dance"]),
    ];
    for (words, exit_code, said) in cases {
        let ran = site.run(words);
        println!("{} -> {}", words.join(" "), ran.exit_code);
        ran.expect_mistake(*exit_code, said);
    }
    assert_eq!(site.run(&["history", "--as", "alice", "--with", "bob", "--json"]).out, "");

    // Standard output ends before the verb does.
    site.run(&["send", "--as", "alice", "--to", "bob", "hello"]);
    site.kill();
    site.run(&["send", "--as", "alice", "--to", "bob", "hi"]).expect_mistake(69, &["cannot reach", "dev"]);
}

#[test]
fn a_token_that_is_not_of_this_server_is_refused() {
    let (site, other) = (Site::start("token-here"), Site::start("token-there"));
    let token = other.run(&["token", "--as", "alice"]);
    let file = site.folder("elsewhere").join("token");
    std::fs::write(&file, &token.out).expect("it can be written");
    let file = file.to_str().expect("it is text");
    site.run(&["send", "--token-file", file, "--to", "bob", "hi"]).expect_mistake(77, &["sign in again"]);
}

#[test]
fn a_second_server_on_a_folder_and_a_second_chat_on_a_device_say_who_has_it() {
    let site = Site::start("in-use");
    let data_dir = site.plan.data_dir().to_str().expect("it is text");
    let second = site.run(&["dev", "--data-dir", data_dir, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let pid = site.server.as_ref().expect("it runs").process_id().to_string();
    second.expect_mistake(73, &[&pid, "--data-dir"]);

    let mut chat = site.chat("alice", "bob");
    chat.wait_for_state("online");
    site.run(&["chat", "--as", "alice", "--to", "bob", "--json"]).expect_mistake(75, &["in use", "--state-dir"]);

    let taken = site.plan.native().to_string();
    let elsewhere = site.folder("elsewhere").display().to_string();
    let flags = ["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let third = site.run(&[&["dev", "--data-dir", &elsewhere, "--listen", &taken], &flags[..]].concat());
    assert_eq!(third.exit_code, 69, "{third:?}");
    assert!(third.err.contains("--listen"), "{third:?}");
}
