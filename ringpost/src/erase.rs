//! `erase`: has a running server take a message, or a user with everything, away for good.
//!
//! What is erased cannot be had back, so a person is asked first; a script says `--yes`.

use std::io::{self, BufRead, IsTerminal, Write};
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::access::reachable;
use crate::admin_client;
use crate::command_line::{EraseArguments, EraseVerb};
use crate::data_dir::DataDir;
use crate::mistake::{Exit, Mistake};
use crate::output::{harmless, print_json, print_line};
use crate::serve::orders::{HEADER, OrderObject, Outcome};

/// Longer than the server takes to say that it is still at it.
const ANSWER_MAX: Duration = Duration::from_secs(40);

pub(crate) fn run(arguments: &EraseArguments) -> Result<(), Mistake> {
    let (what, path, order) = match &arguments.verb {
        EraseVerb::Message { message, order } => {
            let path = format!("/erase/message/{}/{}", message.conversation, message.seq);
            (format!("the message {message}"), path, order)
        }
        EraseVerb::User { user, order } => {
            (format!("the user {user}"), format!("/erase/user/{}", escaped(user)), order)
        }
    };
    let what = harmless(&what);
    if !order.yes {
        confirm(&what)?;
    }
    let admin = match order.admin {
        Some(admin) => admin,
        None => DataDir::new(order.folder.data_dir.clone()).admin_address()?,
    };
    let answer = post(reachable(admin), &path)?;
    report(&what, &answer, order.json)
}

fn confirm(what: &str) -> Result<(), Mistake> {
    if !io::stdin().is_terminal() {
        return Err(Mistake::new(
            Exit::Usage,
            format!("{what} cannot be had back once it is erased: say so with --yes"),
        ));
    }
    let question = format!("{what} cannot be had back once it is erased. Type `yes` to erase it: ");
    let mut answer = String::new();
    let asked = io::stderr().write_all(question.as_bytes()).and_then(|()| io::stdin().lock().read_line(&mut answer));
    asked.map_err(|error| Mistake::new(Exit::Io, format!("cannot ask: {error}; say --yes")))?;
    if answer.trim() == "yes" { Ok(()) } else { Err(Mistake::new(Exit::Refused, "nothing was erased")) }
}

#[derive(Serialize)]
struct ErasedObject<'a> {
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
}

fn report(what: &str, answer: &OrderObject, json: bool) -> Result<(), Mistake> {
    let (exit, text) = match answer.outcome {
        Outcome::Done if json => return print_json(&ErasedObject { outcome: "done", user: answer.user.as_deref() }),
        Outcome::Done => return print_line(format!("{what} is erased").as_bytes()),
        Outcome::NotThere => (Exit::NoUser, format!("{what} is not there; nothing was erased")),
        Outcome::NotAMessage => (Exit::Data, format!("{what} says who came or went, and stays; nothing was erased")),
        Outcome::Damaged => {
            (Exit::Data, format!("{what} cannot be read: stop the server and run `ringpost store check`"))
        }
        Outcome::UnderWay => (Exit::TryAgain, format!("{what} is being erased; the same command waits for the end")),
        Outcome::Unavailable => (Exit::Unavailable, format!("the server cannot erase {what} now: see its log")),
    };
    Err(Mistake::new(exit, text))
}

fn post(admin: SocketAddr, path: &str) -> Result<OrderObject, Mistake> {
    let unreachable = |error: io::Error| {
        let text = format!("cannot reach the admin listener at {admin}: {error}; is the router's server running?");
        Mistake::new(Exit::Unavailable, text)
    };
    let headers = format!("{HEADER}: yes\r\nContent-Length: 0\r\n");
    let answer = admin_client::ask(admin, &format!("POST {path}"), &headers, ANSWER_MAX).map_err(unreachable)?;
    serde_json::from_str(answer.body.trim()).map_err(|_| {
        let status = answer.status;
        let text = format!("{admin} takes no orders ({status}): name the admin listener of a router with --admin");
        Mistake::new(Exit::Unavailable, text)
    })
}

/// As a part of a path.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_name_is_one_part_of_a_path() {
        assert_eq!(escaped("a/b c?é"), "a%2Fb%20c%3F%C3%A9");
        assert_eq!(escaped("user-7"), "user-7");
    }
}
