//! `chat` on a terminal: what a person sees of a conversation, its ticks and its trouble.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use e2e::poll;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::{PATIENCE, Site};

const ROWS: u16 = 20;
const COLUMNS: u16 = 80;

/// A chat with a terminal of its own, and what is on its screen.
struct Terminal {
    child: Child,
    keys: File,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    fn chat(site: &Site, from: &str, to: &str) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("it is ours");
        let size = Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).expect("it takes a size");
        let name = ptsname(&master, Vec::new()).expect("it has a name");
        let open =
            || File::from(rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("it opens"));
        let mut command = site.command(&["chat", "--as", from, "--to", to]);
        let child = command.env("TERM", "xterm-256color").stdin(open()).stdout(open()).stderr(Stdio::null()).spawn();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)));
        let keys = File::from(master);
        let (mut output, parser) = (keys.try_clone().expect("a descriptor"), screen.clone());
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(size @ 1..) = output.read(&mut buffer) {
                parser.lock().expect("no panic").process(&buffer[..size]);
            }
        });
        Terminal { child: child.expect("it starts"), keys, screen }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("it reads");
    }

    fn contents(&self) -> String {
        self.screen.lock().expect("no panic").screen().contents()
    }

    /// Waits until a line of the screen has all of these.
    fn wait_for(&self, parts: &[&str]) {
        let is_there = || self.contents().lines().any(|line| parts.iter().all(|part| line.contains(part)));
        let seen = poll::until(PATIENCE, || is_there().then_some(()));
        assert!(seen.is_some(), "no line with {parts:?} in\n{}", self.contents());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_person_sees_lines_ticks_typing_and_a_server_that_dies_and_comes_back() {
    let mut site = Site::start("terminal");
    assert_eq!(site.run(&["send", "--as", "bob", "--to", "alice", "from before"]).exit_code, 0);
    let mut alice = Terminal::chat(&site, "alice", "bob");
    alice.wait_for(&["bob", "online"]);
    alice.wait_for(&["bob", "from before"]);
    alice.press("hi bob\r");
    alice.wait_for(&["✓ ", "alice", "hi bob"]);

    let mut bob = Terminal::chat(&site, "bob", "alice");
    bob.wait_for(&["alice", "hi bob"]);
    alice.wait_for(&["✓✓✓", "hi bob"]);
    bob.press("wri");
    alice.wait_for(&["bob is typing"]);

    site.kill();
    alice.wait_for(&["offline"]);
    alice.wait_for(&["trying again", "dev"]);
    alice.press("still here?\r");
    alice.wait_for(&["·", "still here?"]);
    site.start_again();
    alice.wait_for(&["✓✓✓", "still here?"]);
    bob.press("ting\r");
    alice.wait_for(&["bob", "writing"]);
    // Nothing that a peer writes reaches the terminal as it is.
    assert_eq!(site.run(&["send", "--as", "bob", "--to", "alice", "\u{1b}[2Jred\u{7}"]).exit_code, 0);
    alice.wait_for(&["[2Jred"]);
    alice.wait_for(&["still here?"]);

    alice.press("\u{4}");
    let ended = poll::until(PATIENCE, || alice.child.try_wait().ok().flatten());
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
}
