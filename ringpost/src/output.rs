//! Standard output, as scripts read it: whole lines, each flushed, so that who sees a line may rely on it.

use std::io::{self, Write};

use serde::Serialize;

use crate::mistake::{Exit, Mistake};

/// One line, without its end.
pub(crate) fn print_line(line: &[u8]) -> Result<(), Mistake> {
    let mut out = io::stdout().lock();
    let written = out.write_all(line).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
    written.map_err(|error| Mistake::new(Exit::Io, format!("cannot write to standard output: {error}")))
}

/// One JSON object on one line.
pub(crate) fn print_json(object: &impl Serialize) -> Result<(), Mistake> {
    print_line(&serde_json::to_vec(object).expect("numbers and texts are always JSON"))
}

/// What people wrote, on a line of a terminal: nothing in it moves the cursor or rings the bell.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn nobody_writes_to_the_terminal_of_another() {
        assert_eq!(harmless("red\u{1b}[31m\r\nhere\u{7}\u{9b}2J"), "red [31m  here  2J");
    }
}
