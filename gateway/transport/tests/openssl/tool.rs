//! A running `openssl`, with what it has written so far.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// What no step of a test takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Standard output and error in one, line by line; and how many of both have ended.
#[derive(Default)]
struct Output {
    state: Mutex<(String, usize)>,
    changed: Condvar,
}

/// Ends with the test.
pub(crate) struct OpenSsl {
    child: Child,
    input: Option<ChildStdin>,
    output: Arc<Output>,
}

impl OpenSsl {
    pub(crate) fn start(arguments: &[&str]) -> OpenSsl {
        let piped = || Stdio::piped();
        let started = Command::new("openssl").args(arguments).stdin(piped()).stdout(piped()).stderr(piped()).spawn();
        let mut child = started.expect("`openssl` is missing; `apt-get install openssl` brings it");
        let output = Arc::new(Output::default());
        collect(child.stdout.take().expect("piped"), output.clone());
        collect(child.stderr.take().expect("piped"), output.clone());
        let input = child.stdin.take();
        OpenSsl { child, input, output }
    }

    /// It takes a line for a command only where that comes alone: wait for what the line before has done.
    pub(crate) fn type_line(&mut self, line: &str) {
        let input = self.input.as_mut().expect("its input is open");
        input.write_all(format!("{line}\n").as_bytes()).expect("it reads");
    }

    /// The first line that has this in it.
    pub(crate) fn line_with(&self, part: &str) -> String {
        self.wait_until(&format!("no line with {part:?}"), |text, _| text.lines().any(|line| line.contains(part)));
        let text = self.text();
        text.lines().find(|line| line.contains(part)).unwrap_or_default().to_owned()
    }

    /// Waits until it has said this so many times.
    pub(crate) fn says_times(&self, part: &str, count: usize) {
        self.wait_until(&format!("not {count} times {part:?}"), |text, _| text.matches(part).count() >= count);
    }

    /// Waits for its end by itself; everything that it has said.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        self.input = None;
        self.wait_until("it does not end", |_, ended| ended == 2);
        (self.child.wait().expect("it was started"), self.text())
    }

    fn text(&self) -> String {
        self.output.state.lock().expect("nothing panics while it holds this lock").0.clone()
    }

    fn wait_until(&self, otherwise: &str, is_there: impl Fn(&str, usize) -> bool) {
        let state = self.output.state.lock().expect("nothing panics while it holds this lock");
        let waited = self.output.changed.wait_timeout_while(state, PATIENCE, |(text, ended)| !is_there(text, *ended));
        let (state, waited) = waited.expect("nothing panics while it holds this lock");
        assert!(!waited.timed_out(), "{otherwise} after {PATIENCE:?} in:\n{}", state.0);
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(from: impl Read + Send + 'static, output: Arc<Output>) {
    thread::spawn(move || {
        let mut lines = BufReader::new(from);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|size| size > 0) {
            let mut state = output.state.lock().expect("nothing panics while it holds this lock");
            state.0.push_str(&String::from_utf8_lossy(&line));
            output.changed.notify_all();
            line.clear();
        }
        output.state.lock().expect("nothing panics while it holds this lock").1 += 1;
        output.changed.notify_all();
    });
}
