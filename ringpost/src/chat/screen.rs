//! The terminal as a canvas: taken over when it is made, given back as it was when it is dropped, also by a panic.
//!
//! A frame is drawn whole, in one write, so that nothing flickers and nothing half drawn is seen.

use std::io::{self, Write};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
};
use crossterm::{execute, queue};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::transcript::{Style, StyledLine};

/// What is on it.
pub(super) struct Frame<'a> {
    pub(super) title: &'a str,
    pub(super) state: &'a str,
    pub(super) state_style: Style,
    /// As many as fit above the status, the last ones at the bottom.
    pub(super) lines: &'a [StyledLine],
    pub(super) status: &'a str,
    pub(super) status_style: Style,
    pub(super) input: &'a str,
    pub(super) before_cursor: &'a str,
}

/// See the file's head.
pub(super) struct Screen;

/// Rows that are not for the conversation: title, status, input.
const ROWS_AROUND: u16 = 3;
const PROMPT: &str = "> ";

impl Screen {
    pub(super) fn take_over() -> io::Result<Screen> {
        terminal::enable_raw_mode()?;
        let screen = Screen;
        execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste)?;
        Ok(screen)
    }

    /// Columns, and rows for the conversation.
    pub(super) fn room(&self) -> (usize, usize) {
        let (columns, rows) = terminal::size().unwrap_or((80, 24));
        (usize::from(columns).max(20), usize::from(rows.saturating_sub(ROWS_AROUND)).max(1))
    }

    pub(super) fn draw(&self, frame: &Frame<'_>) -> io::Result<()> {
        let (columns, rows) = self.room();
        let mut out = Vec::new();
        queue!(out, BeginSynchronizedUpdate, Hide, MoveTo(0, 0))?;
        draw_title(&mut out, frame, columns)?;
        let blank_count = rows.saturating_sub(frame.lines.len());
        let mut row = 1;
        for index in 0..rows {
            queue!(out, MoveTo(0, row))?;
            if let Some(line) = index.checked_sub(blank_count).and_then(|index| frame.lines.get(index)) {
                line.iter().try_for_each(|(style, text)| put(&mut out, *style, text))?;
            }
            queue!(out, Clear(ClearType::UntilNewLine))?;
            row += 1;
        }
        queue!(out, MoveTo(0, row))?;
        put(&mut out, frame.status_style, &fitting(frame.status, columns))?;
        queue!(out, Clear(ClearType::UntilNewLine), MoveTo(0, row + 1))?;
        let (shown, cursor) = window(frame.input, frame.before_cursor, columns - PROMPT.len());
        queue!(out, Print(PROMPT), Print(shown), Clear(ClearType::UntilNewLine))?;
        queue!(out, MoveTo((PROMPT.len() + cursor) as u16, row + 1), Show, EndSynchronizedUpdate)?;
        let mut stdout = io::stdout().lock();
        stdout.write_all(&out)?;
        stdout.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // There is nobody to be told when the terminal is gone.
        let _ = execute!(io::stdout(), DisableBracketedPaste, LeaveAlternateScreen, Show);
        let _ = terminal::disable_raw_mode();
    }
}

fn draw_title(out: &mut Vec<u8>, frame: &Frame<'_>, columns: usize) -> io::Result<()> {
    let state = fitting(frame.state, columns / 2);
    let title = fitting(frame.title, columns.saturating_sub(state.width() + 3));
    let gap = columns.saturating_sub(title.width() + state.width() + 1);
    queue!(out, SetAttribute(Attribute::Bold), Print(title), SetAttribute(Attribute::Reset))?;
    queue!(out, Print(" ".repeat(gap)))?;
    put(out, frame.state_style, &state)?;
    queue!(out, Clear(ClearType::UntilNewLine))
}

fn put(out: &mut Vec<u8>, style: Style, text: &str) -> io::Result<()> {
    match style {
        Style::Plain => {}
        Style::Faint => queue!(out, SetAttribute(Attribute::Dim))?,
        Style::Name => queue!(out, SetForegroundColor(Color::Cyan))?,
        Style::OwnName => queue!(out, SetForegroundColor(Color::Green))?,
        Style::Lit => queue!(out, SetForegroundColor(Color::Blue))?,
        Style::Alarm => queue!(out, SetForegroundColor(Color::Red))?,
    }
    queue!(out, Print(text))?;
    if style == Style::Plain { Ok(()) } else { queue!(out, SetAttribute(Attribute::Reset), ResetColor) }
}

/// At most so many columns of it.
fn fitting(text: &str, columns: usize) -> String {
    let mut width = 0;
    let fits = |c: &char| {
        width += c.width().unwrap_or_default();
        width <= columns
    };
    crate::output::harmless(text).chars().take_while(fits).collect()
}

/// The part of the input around the cursor that fits, and the column of the cursor in it.
fn window(input: &str, before_cursor: &str, columns: usize) -> (String, usize) {
    let on_one_line = |text: &str| text.replace('\n', "⏎");
    let before = on_one_line(before_cursor);
    let mut start = 0;
    let mut cursor = before.width();
    for (at, c) in before.char_indices() {
        if cursor < columns {
            break;
        }
        cursor -= c.width().unwrap_or_default();
        start = at + c.len_utf8();
    }
    let input = on_one_line(input);
    (fitting(input.get(start..).unwrap_or_default(), columns), cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_is_shown_around_its_cursor() {
        assert_eq!(window("hello", "he", 10), ("hello".to_owned(), 2));
        assert_eq!(window("abcdefgh", "abcdefgh", 4), ("fgh".to_owned(), 3));
        assert_eq!(window("abcdefgh", "abcd", 4), ("bcde".to_owned(), 3));
        assert_eq!(window("a\nb", "a\n", 10), ("a⏎b".to_owned(), 2));
        assert_eq!(window("日本語", "日本語", 5), ("本語".to_owned(), 4));
    }
}
