//! Lines of standard input, each a message: read in bounded memory, whatever comes.

use std::io;

use protocol::limits::BODY_SIZE_MAX;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Stdin};

use crate::mistake::{Exit, Mistake};

/// See the file's head. Nothing is lost when a future of [`Lines::next`] is dropped.
pub(crate) struct Lines<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    /// Of the line that is being read, from 1.
    number: u64,
}

impl Lines<Stdin> {
    pub(crate) fn of_standard_input() -> Lines<Stdin> {
        Lines::new(tokio::io::stdin())
    }
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(input: R) -> Lines<R> {
        Lines { input: BufReader::new(input), line: Vec::new(), number: 1 }
    }

    /// The next line without its end; `None` at the end of the input. After an error nothing more is read.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, Mistake> {
        loop {
            let available = self.input.fill_buf().await.map_err(|error| unreadable(&error))?;
            let end = available.iter().position(|byte| *byte == b'\n');
            let is_at_end = available.is_empty();
            let taken = end.unwrap_or(available.len());
            // One more for the carriage return of other systems.
            if self.line.len() + taken > BODY_SIZE_MAX + 1 {
                return Err(self.too_long());
            }
            self.line.extend_from_slice(available.get(..taken).unwrap_or_default());
            let consumed = taken + usize::from(end.is_some());
            self.input.consume(consumed);
            if is_at_end && self.line.is_empty() {
                return Ok(None);
            }
            if end.is_some() || is_at_end {
                return self.take().map(Some);
            }
        }
    }

    fn take(&mut self) -> Result<String, Mistake> {
        let mut line = std::mem::take(&mut self.line);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if line.len() > BODY_SIZE_MAX {
            return Err(self.too_long());
        }
        let line = String::from_utf8(line).map_err(|_| self.refused("is not UTF-8"))?;
        self.number += 1;
        Ok(line)
    }

    fn too_long(&self) -> Mistake {
        self.refused(&format!("has more than {BODY_SIZE_MAX} bytes"))
    }

    fn refused(&self, why: &str) -> Mistake {
        let number = self.number;
        Mistake::new(Exit::Data, format!("line {number} {why}: it was not sent, and none after it"))
    }
}

fn unreadable(error: &io::Error) -> Mistake {
    Mistake::new(Exit::Io, format!("cannot read standard input: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(input: &[u8]) -> (Vec<String>, Option<Mistake>) {
        let (mut lines, mut read) = (Lines::new(input), Vec::new());
        loop {
            match lines.next().await {
                Ok(Some(line)) => read.push(line),
                Ok(None) => return (read, None),
                Err(mistake) => return (read, Some(mistake)),
            }
        }
    }

    #[tokio::test]
    async fn lines_come_as_they_were_written_with_or_without_a_last_end() {
        assert_eq!(
            lines(b"one\n\ntwo\r\nthree").await,
            (vec!["one".into(), "".into(), "two".into(), "three".into()], None)
        );
        assert_eq!(lines(b"").await, (vec![], None));
    }

    #[tokio::test]
    async fn a_line_of_the_largest_size_goes_and_one_byte_more_is_named() {
        let largest = [vec![b'x'; BODY_SIZE_MAX], b"\r\n".to_vec()].concat();
        assert_eq!(lines(&largest).await.0[0].len(), BODY_SIZE_MAX);
        let input = [b"one\n".to_vec(), vec![b'x'; BODY_SIZE_MAX + 1], b"\nthree\n".to_vec()].concat();
        let (read, mistake) = lines(&input).await;
        let text = mistake.expect("it is too long").to_string();
        assert_eq!(read, ["one"]);
        assert!(text.starts_with("line 2 has more than 49152 bytes"), "{text}");
        let endless = lines(&vec![b'x'; 4 * BODY_SIZE_MAX]).await;
        assert!(endless.1.is_some() && endless.0.is_empty());
    }

    #[tokio::test]
    async fn what_is_no_text_is_named() {
        let (read, mistake) = lines(b"one\n\xff\n").await;
        assert_eq!(read, ["one"]);
        assert_eq!(mistake.map(|mistake| mistake.exit()), Some(Exit::Data));
    }
}
