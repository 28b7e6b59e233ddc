//! A server of one's own, and the verbs run against it.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use e2e::binary::ringpost;
use e2e::scratch::Scratch;
use e2e::server::{Plan, Server};
use serde_json::Value;

/// Longer than anything takes that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A server with alice, bob and carol, and its folder.
pub(crate) struct Site {
    pub(crate) plan: Plan,
    pub(crate) server: Option<Server>,
    pub(crate) scratch: Scratch,
}

impl Site {
    pub(crate) fn start(name: &str) -> Site {
        Site::start_logging(name, "info")
    }

    /// With this in its log.
    pub(crate) fn start_logging(name: &str, level: &str) -> Site {
        let scratch = Scratch::on_disk(name).expect("a folder");
        let plan = Plan::new(&scratch.path().join("data"), scratch.path()).expect("a port").users(&["carol"]);
        let plan = plan.variable("RINGPOST_LOG", level);
        let server = Some(plan.start().expect("a server"));
        Site { plan, server, scratch }
    }

    pub(crate) fn kill(&mut self) {
        self.server.take().expect("it runs").kill().expect("it can be killed");
    }

    pub(crate) fn start_again(&mut self) {
        self.server = Some(self.plan.start().expect("a server"));
    }

    /// `words` are the verb and its flags; the data folder is added.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(ringpost().expect("the binary"));
        command.args(words).env("RINGPOST_DATA_DIR", self.plan.data_dir());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        Ran::from(self.command(words).stdin(Stdio::null()).output().expect("it starts"))
    }

    /// With this on standard input.
    pub(crate) fn run_with(&self, words: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(words);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        let input = input.to_vec();
        // A verb that stops reading closes the pipe.
        let writer = thread::spawn(move || drop(stdin.write_all(&input)));
        let ran = Ran::from(child.wait_with_output().expect("it ends"));
        writer.join().expect("no panic");
        ran
    }

    pub(crate) fn chat(&self, from: &str, to: &str) -> Chat {
        Chat::start(self.command(&["chat", "--as", from, "--to", to, "--json"]))
    }

    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.scratch.folder(name).expect("a folder")
    }

    /// Texts of the messages between alice and bob, in order.
    pub(crate) fn texts(&self) -> Vec<String> {
        let history = self.run(&["history", "--as", "bob", "--with", "alice", "--json"]);
        assert_eq!(history.exit_code, 0, "{history:?}");
        history.objects().iter().map(|entry| text(&entry["text"])).collect()
    }
}

/// How a verb ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit_code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            exit_code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    /// Of standard output, one a line.
    pub(crate) fn objects(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect("a line is an object")).collect()
    }

    /// Asserts how it ended, and that it said why in one line.
    pub(crate) fn expect_mistake(&self, exit_code: i32, words: &[&str]) {
        assert_eq!(self.exit_code, exit_code, "{self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
        let line = self.err.lines().next().unwrap_or_default();
        words.iter().for_each(|word| assert!(self.err.contains(word), "`{word}` is not in `{line}`"));
        if exit_code != 64 {
            assert_eq!(self.err.lines().count(), 1, "{self:?}");
        }
    }
}

/// A chat with --json that runs.
pub(crate) struct Chat {
    child: Child,
    stdin: Option<ChildStdin>,
    events: Receiver<Value>,
    seen: Vec<Value>,
}

impl Chat {
    pub(crate) fn start(mut command: Command) -> Chat {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, events) = channel();
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).expect("a line is an object");
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take();
        Chat { child, stdin, events, seen: Vec::new() }
    }

    pub(crate) fn say(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("the input is open");
        writeln!(stdin, "{text}").and_then(|()| stdin.flush()).expect("it reads");
    }

    /// Waits for the first event from here on that is meant.
    pub(crate) fn wait_for(&mut self, what: &str, is_meant: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self.events.recv_timeout(PATIENCE);
            let event = event.unwrap_or_else(|_| panic!("no {what} after {:#?}", self.seen));
            self.seen.push(event.clone());
            if is_meant(&event) {
                return event;
            }
        }
    }

    pub(crate) fn wait_for_state(&mut self, state: &str) {
        self.wait_for(state, |event| event["event"] == "state" && event["state"] == state);
    }

    pub(crate) fn wait_for_text(&mut self, kind: &str, wanted: &str) -> Value {
        self.wait_for(&format!("{kind} {wanted}"), |event| event["event"] == kind && event["text"] == wanted)
    }

    /// Everything so far, with what is waiting to be read.
    pub(crate) fn seen(&mut self) -> &[Value] {
        self.seen.extend(self.events.try_iter());
        &self.seen
    }

    /// Ends the input and gives the exit code.
    pub(crate) fn end_input(&mut self) -> i32 {
        self.stdin = None;
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }

    /// kill -9
    pub(crate) fn kill(mut self) -> Vec<Value> {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
        self.seen.extend(self.events.iter());
        std::mem::take(&mut self.seen)
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("it is a text").to_owned()
}
