//! The file: TOML of sections with keys in them, each mistake with its line.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::complaint::Complaint;
use super::key::Key;
use super::suggestion::nearest;
use super::table::keys;
use super::value::Value;

/// A key that the file sets.
pub(super) struct Line {
    pub(super) key: &'static Key,
    pub(super) value: Value,
    pub(super) number: usize,
}

/// What a file says, and what is wrong with it, both in the order of lines.
#[derive(Default)]
pub(super) struct Read {
    pub(super) lines: Vec<Line>,
    pub(super) complaints: Vec<Complaint>,
}

pub(super) fn read(path: &Path) -> Read {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&path.display().to_string(), &text),
        Err(error) => {
            let complaint = Complaint::new(path.display().to_string(), format!("it cannot be read: {error}"));
            Read { complaints: vec![complaint], ..Read::default() }
        }
    }
}

/// `name` is how the file is called in complaints.
pub(super) fn parse(name: &str, text: &str) -> Read {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { text, lines: Vec::new(), mistakes: Vec::new() };
    for (section, content) in document.get_ref() {
        reader.section(section, content);
    }
    let line_of = |error: &toml::de::Error| reader.line_number(error.span().map_or(text.len(), |span| span.start));
    let no_toml: BTreeMap<usize, String> =
        errors.iter().map(|error| (line_of(error), error.message().replace('\n', ", "))).collect();
    let Reader { mut lines, mut mistakes, .. } = reader;
    lines.sort_by_key(|line| line.number);
    // What the parser has made of a line that is no TOML says nothing.
    mistakes.retain(|(number, _)| !no_toml.contains_key(number));
    mistakes.extend(no_toml);
    mistakes.sort();
    let complaints = mistakes.into_iter().map(|(number, mistake)| Complaint::new(format!("{name}:{number}"), mistake));
    Read { lines, complaints: complaints.collect() }
}

struct Reader<'a> {
    text: &'a str,
    lines: Vec<Line>,
    mistakes: Vec<(usize, String)>,
}

type Name<'a> = Spanned<std::borrow::Cow<'a, str>>;

impl Reader<'_> {
    fn section(&mut self, section: &Name<'_>, content: &Spanned<DeValue<'_>>) {
        let number = self.line_number(section.span().start);
        let DeValue::Table(table) = content.get_ref() else {
            let text = format!("{} stands outside of every section; {}", section.get_ref(), advice(section.get_ref()));
            return self.mistakes.push((number, text));
        };
        if !keys().iter().any(|key| key.section() == section.get_ref().as_ref()) {
            let sections = keys().iter().map(Key::section);
            let meant = nearest(section.get_ref(), sections).map(|section| format!("; did you mean [{section}]?"));
            let text = format!("there is no section [{}]{}", section.get_ref(), meant.unwrap_or_default());
            return self.mistakes.push((number, text));
        }
        for (key, value) in table {
            self.key(section.get_ref(), key, value);
        }
    }

    fn key(&mut self, section: &str, short_name: &Name<'_>, value: &Spanned<DeValue<'_>>) {
        let number = self.line_number(short_name.span().start);
        let name = format!("{section}.{}", short_name.get_ref());
        let Some(key) = keys().iter().find(|key| key.name == name) else {
            let text = format!("there is no key {name}; {}", advice(&name));
            return self.mistakes.push((number, text));
        };
        let accepted = match value.get_ref() {
            DeValue::Integer(integer) => {
                let number = u64::from_str_radix(integer.as_str(), integer.radix());
                number.ok().and_then(|number| key.kind.of_number(number))
            }
            DeValue::String(text) => key.kind.of_string(text),
            _ => None,
        };
        match accepted {
            Some(value) => self.lines.push(Line { key, value, number }),
            None => {
                let found = self.text.get(value.span()).unwrap_or_default();
                self.mistakes.push((number, key.mistake(found)));
            }
        }
    }

    fn line_number(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

/// For a name that is none: the one that was meant, perhaps of another section.
pub(super) fn advice(name: &str) -> String {
    let short_name = name.rsplit_once('.').map_or(name, |(_, short_name)| short_name);
    let in_other_section = || keys().iter().find(|key| key.short_name() == short_name).map(|key| key.name);
    let meant = nearest(name, keys().iter().map(|key| key.name)).or_else(in_other_section).or_else(|| {
        let meant = nearest(short_name, keys().iter().map(Key::short_name))?;
        keys().iter().find(|key| key.short_name() == meant).map(|key| key.name)
    });
    match meant {
        Some(meant) => format!("did you mean {meant}?"),
        None => "`ringpost config docs` lists all there are".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(text: &str) -> Vec<String> {
        parse("f", text).complaints.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_sets_what_it_names() {
        let text = "# ours\n[gateway]\nlisten = \"0.0.0.0:443\"\nconnections_max = 1_000\n[log]\nfilter = \"debug\"\n";
        let read = parse("f", text);
        assert_eq!(read.complaints, []);
        let lines: Vec<_> = read.lines.iter().map(|line| (line.key.name, line.number)).collect();
        assert_eq!(lines, [("gateway.listen", 3), ("gateway.connections_max", 4), ("log.filter", 6)]);
        assert_eq!(read.lines.get(1).map(|line| &line.value), Some(&Value::Number(1000)));
    }

    #[test]
    fn every_mistake_is_named_with_its_line_what_was_found_and_what_is_accepted() {
        let text = "listen = \"127.0.0.1:1\"\n[gatway]\n[gateway]\nconections_max = 1\nframe_timeout_ms = \"10s\"\n\
                    send_queue_bytes_max = 1\nsegment_bytes = 1\ncolour = \"red\"\nlisten = 7443\n";
        let expected = [
            "f:1: listen stands outside of every section; did you mean admin.listen?",
            "f:2: there is no section [gatway]; did you mean [gateway]?",
            "f:4: there is no key gateway.conections_max; did you mean gateway.connections_max?",
            "f:5: gateway.frame_timeout_ms is \"10s\", and must be a number of milliseconds from 100 to 60_000",
            "f:6: gateway.send_queue_bytes_max is 1, and must be a number of bytes from 65_540 to 1_073_741_824",
            "f:7: there is no key gateway.segment_bytes; did you mean store.segment_bytes?",
            "f:8: there is no key gateway.colour; `ringpost config docs` lists all there are",
            "f:9: gateway.listen is 7443, and must be IP:PORT, as in 127.0.0.1:7443",
        ];
        assert_eq!(complaints(text), expected);
    }

    #[test]
    fn text_that_is_no_toml_is_named_with_its_lines_and_the_rest_is_read_all_the_same() {
        let found = complaints("[gateway]\nconnections_max = \nlisten = 7\n[log]\nfilter\n");
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.iter().any(|line| line.starts_with("f:2: ")), "{found:?}");
        assert!(found.iter().any(|line| line.starts_with("f:3: gateway.listen is 7")), "{found:?}");
        assert!(found.iter().any(|line| line.starts_with("f:5: ")), "{found:?}");
    }

    #[test]
    fn no_half_of_a_file_ends_the_process() {
        let text = "# é\n[gateway]\nlisten = \"[::1]:1\" # é\n'frame_timeout_ms' = 0x1F\nlog.a = [1, {b = 2}]\n[a.b]\nc = '''d''' ";
        for (end, _) in text.char_indices() {
            let (head, tail) = text.split_at(end);
            for half in [head, tail] {
                let lines_count = half.lines().count() + 1;
                let lines = complaints(half).into_iter().map(|line| line.split(':').nth(1).map(str::parse::<usize>));
                lines.for_each(|line| assert!(matches!(line, Some(Ok(line)) if line <= lines_count), "{half}"));
            }
        }
    }

    #[test]
    fn a_secret_in_the_place_of_its_file_is_not_repeated() {
        let found =
            complaints("[gateway]\ntoken_key_file = \"k4.secret.hunter2\"\n[link]\nkey_file = \"\"\"a\nb\"\"\"\n");
        let expected = [
            "f:2: gateway.token_key_file must be the name of a file, never what is in it",
            "f:4: link.key_file must be the name of a file, never what is in it",
        ];
        assert_eq!(found, expected);
    }
}
