//! One question to an admin listener.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The trace of a message to a large group is the longest: some 200 bytes a step.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// What it said.
pub(crate) struct Answer {
    /// The first line, with the status.
    pub(crate) status: String,
    pub(crate) body: String,
}

/// `question` is the method and the path; `headers` are whole lines.
pub(crate) fn ask(admin: SocketAddr, question: &str, headers: &str, timeout: Duration) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&admin, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    let request = format!("{question} HTTP/1.1\r\nHost: {admin}\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    Ok(Answer { status: head.lines().next().unwrap_or_default().to_owned(), body: body.to_owned() })
}
