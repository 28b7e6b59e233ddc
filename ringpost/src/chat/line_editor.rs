//! The line that is being typed: text, a cursor in it, and the keys that change both.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use protocol::limits::BODY_SIZE_MAX;

/// What a key was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stroke {
    /// The text has changed.
    Edited,
    /// Only the cursor has moved, or nothing at all.
    Moved,
    /// The line is finished.
    Sent(String),
    /// Not for a line.
    Other,
}

/// See the file's head. The cursor is a byte position between two characters.
#[derive(Default)]
pub(super) struct LineEditor {
    text: String,
    cursor: usize,
}

impl LineEditor {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn before_cursor(&self) -> &str {
        self.text.get(..self.cursor).unwrap_or_default()
    }

    /// What does not fit a message is dropped.
    pub(super) fn insert(&mut self, text: &str) {
        for c in text.replace("\r\n", "\n").replace('\r', "\n").chars().filter(|c| *c == '\n' || !c.is_control()) {
            if self.text.len() + c.len_utf8() > BODY_SIZE_MAX {
                return;
            }
            self.text.insert(self.cursor, c);
            self.cursor += c.len_utf8();
        }
    }

    pub(super) fn press(&mut self, key: KeyEvent) -> Stroke {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        let is_alt = key.modifiers.contains(KeyModifiers::ALT);
        match key.code {
            KeyCode::Enter if is_alt => self.insert("\n"),
            KeyCode::Enter => {
                self.cursor = 0;
                return Stroke::Sent(std::mem::take(&mut self.text));
            }
            KeyCode::Char('j') if is_control => self.insert("\n"),
            KeyCode::Char('a') if is_control => return self.move_to(0),
            KeyCode::Char('e') if is_control => return self.move_to(self.text.len()),
            KeyCode::Char('u') if is_control => self.delete(0, self.cursor),
            KeyCode::Char('k') if is_control => self.delete(self.cursor, self.text.len()),
            KeyCode::Char('w') if is_control => self.delete(self.word_start(), self.cursor),
            KeyCode::Char(c) if !is_control && !is_alt => self.insert(c.encode_utf8(&mut [0; 4])),
            KeyCode::Backspace => self.delete(self.previous(), self.cursor),
            KeyCode::Delete => self.delete(self.cursor, self.next()),
            KeyCode::Left if is_control || is_alt => return self.move_to(self.word_start()),
            KeyCode::Right if is_control || is_alt => return self.move_to(self.word_end()),
            KeyCode::Left => return self.move_to(self.previous()),
            KeyCode::Right => return self.move_to(self.next()),
            KeyCode::Home => return self.move_to(0),
            KeyCode::End => return self.move_to(self.text.len()),
            _ => return Stroke::Other,
        }
        Stroke::Edited
    }

    fn move_to(&mut self, cursor: usize) -> Stroke {
        self.cursor = cursor;
        Stroke::Moved
    }

    fn delete(&mut self, from: usize, to: usize) {
        self.text.replace_range(from..to, "");
        self.cursor = from;
    }

    fn previous(&self) -> usize {
        self.before_cursor().char_indices().next_back().map_or(0, |(at, _)| at)
    }

    fn next(&self) -> usize {
        self.after_cursor().chars().next().map_or(self.cursor, |c| self.cursor + c.len_utf8())
    }

    fn word_start(&self) -> usize {
        let before = self.before_cursor().trim_end();
        before.rfind(char::is_whitespace).map_or(0, |at| at + before[at..].chars().next().map_or(0, char::len_utf8))
    }

    fn word_end(&self) -> usize {
        let after = self.after_cursor();
        let skipped = after.len() - after.trim_start().len();
        let word = after.trim_start();
        self.cursor + skipped + word.find(char::is_whitespace).unwrap_or(word.len())
    }

    fn after_cursor(&self) -> &str {
        self.text.get(self.cursor..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(editor: &mut LineEditor, code: KeyCode, modifiers: KeyModifiers) -> Stroke {
        editor.press(KeyEvent::new(code, modifiers))
    }

    fn typed(text: &str) -> LineEditor {
        let mut editor = LineEditor::default();
        for c in text.chars() {
            press(&mut editor, KeyCode::Char(c), KeyModifiers::NONE);
        }
        editor
    }

    #[test]
    fn what_is_typed_is_sent_and_the_line_is_empty_again() {
        let mut editor = typed("häl");
        press(&mut editor, KeyCode::Left, KeyModifiers::NONE);
        press(&mut editor, KeyCode::Backspace, KeyModifiers::NONE);
        press(&mut editor, KeyCode::Char('e'), KeyModifiers::NONE);
        press(&mut editor, KeyCode::End, KeyModifiers::NONE);
        press(&mut editor, KeyCode::Char('p'), KeyModifiers::NONE);
        assert_eq!(press(&mut editor, KeyCode::Enter, KeyModifiers::NONE), Stroke::Sent("help".to_owned()));
        assert_eq!((editor.text(), editor.before_cursor()), ("", ""));
    }

    #[test]
    fn words_are_jumped_over_and_deleted_whole() {
        let mut editor = typed("one  two three");
        press(&mut editor, KeyCode::Left, KeyModifiers::CONTROL);
        assert_eq!(editor.before_cursor(), "one  two ");
        press(&mut editor, KeyCode::Char('w'), KeyModifiers::CONTROL);
        assert_eq!(editor.text(), "one  three");
        press(&mut editor, KeyCode::Home, KeyModifiers::NONE);
        press(&mut editor, KeyCode::Right, KeyModifiers::CONTROL);
        assert_eq!(editor.before_cursor(), "one");
        press(&mut editor, KeyCode::Char('k'), KeyModifiers::CONTROL);
        assert_eq!(editor.text(), "one");
    }

    #[test]
    fn a_paste_keeps_its_lines_and_ends_at_the_largest_message() {
        let mut editor = LineEditor::default();
        editor.insert("one\r\ntwo\u{1b}[2J");
        assert_eq!(editor.text(), "one\ntwo[2J");
        editor.insert(&"x".repeat(2 * BODY_SIZE_MAX));
        assert_eq!(editor.text().len(), BODY_SIZE_MAX);
    }
}
