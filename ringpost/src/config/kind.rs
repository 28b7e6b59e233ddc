//! What kind of value a key takes: its range, how it is read from a text, and how to say what would be accepted.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use tracing_subscriber::EnvFilter;

use super::value::{Stored, Value};

/// In what a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Count,
    Bytes,
    Mebibytes,
    Milliseconds,
}

/// See each one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Number {
        unit: Unit,
        min: u64,
        max: u64,
        multiple_of: u64,
    },
    /// IP and port.
    Address,
    /// Name or IP, and port.
    HostPort,
    Folder,
    /// The name of a file. What was found is never shown: it may be the secret itself.
    File,
    Choice(Vec<&'static str>),
    /// As `tracing` filters are.
    LogFilter,
}

pub(super) fn count<T: Stored>(range: RangeInclusive<T>) -> Kind {
    number(Unit::Count, range)
}

pub(super) fn bytes<T: Stored>(range: RangeInclusive<T>) -> Kind {
    number(Unit::Bytes, range)
}

pub(super) fn mebibytes<T: Stored>(range: RangeInclusive<T>) -> Kind {
    number(Unit::Mebibytes, range)
}

pub(super) fn milliseconds<T: Stored>(range: RangeInclusive<T>) -> Kind {
    number(Unit::Milliseconds, range)
}

fn number<T: Stored>(unit: Unit, range: RangeInclusive<T>) -> Kind {
    let bound = |value: &T| match value.to_value() {
        Value::Number(number) => number,
        other => panic!("{other} is no bound of a range"),
    };
    Kind::Number { unit, min: bound(range.start()), max: bound(range.end()), multiple_of: 1 }
}

impl Kind {
    /// A number that is made of whole parts of this size.
    pub(super) fn in_steps_of(self, step: u64) -> Kind {
        match self {
            Kind::Number { unit, min, max, .. } => Kind::Number { unit, min, max, multiple_of: step },
            other => panic!("{other:?} has no steps"),
        }
    }

    /// From a variable or a flag. `None`: it is not accepted.
    pub(super) fn of_text(&self, text: &str) -> Option<Value> {
        match self {
            Kind::Number { .. } => self.of_number(text.replace('_', "").parse().ok()?),
            _ => self.of_string(text),
        }
    }

    pub(super) fn of_number(&self, number: u64) -> Option<Value> {
        let Kind::Number { min, max, multiple_of, .. } = self else { return None };
        ((*min..=*max).contains(&number) && number.is_multiple_of(*multiple_of)).then_some(Value::Number(number))
    }

    pub(super) fn of_string(&self, text: &str) -> Option<Value> {
        let is_accepted = match self {
            Kind::Number { .. } => false,
            Kind::Address => text.parse::<SocketAddr>().is_ok(),
            Kind::HostPort => is_host_port(text),
            Kind::Folder => is_path(text),
            Kind::File => is_path(text) && !["k4.", "-----"].iter().any(|secret| text.starts_with(secret)),
            Kind::Choice(choices) => choices.contains(&text),
            Kind::LogFilter => !text.is_empty() && EnvFilter::try_new(text).is_ok(),
        };
        is_accepted.then(|| Value::Text(text.to_owned()))
    }

    /// As the end of "it must be".
    pub(super) fn accepted(&self) -> String {
        match self {
            Kind::Number { unit, min, max, multiple_of } => {
                let noun = match unit {
                    Unit::Count => "a number",
                    Unit::Bytes => "a number of bytes",
                    Unit::Mebibytes => "a number of MiB",
                    Unit::Milliseconds => "a number of milliseconds",
                };
                let steps = if *multiple_of > 1 { format!(", a multiple of {multiple_of}") } else { String::new() };
                format!("{noun} from {} to {}{steps}", Value::Number(*min), Value::Number(*max))
            }
            Kind::Address => "IP:PORT, as in 127.0.0.1:7443".to_owned(),
            Kind::HostPort => "HOST:PORT, as in router.example:7500".to_owned(),
            Kind::Folder => "the name of a folder".to_owned(),
            Kind::File => "the name of a file, never what is in it".to_owned(),
            Kind::Choice(choices) => format!("one of {}", choices.join(", ")),
            Kind::LogFilter => "a level or filter, as in debug or gateway_server=trace".to_owned(),
        }
    }

    /// Where a value may be a secret by mistake, it is not repeated.
    pub(super) fn may_show(&self) -> bool {
        *self != Kind::File
    }
}

fn is_path(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_control)
}

/// Whether this can be dialed: a name or an address, and a port.
pub(crate) fn is_host_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_its_range_and_its_steps() {
        let kind = bytes(512..=4096_u32).in_steps_of(512);
        assert_eq!(kind.of_text("1_024"), Some(Value::Number(1024)));
        for text in ["0", "1000", "4608", "-512", "1k", ""] {
            assert_eq!(kind.of_text(text), None, "{text}");
        }
        assert_eq!(kind.accepted(), "a number of bytes from 512 to 4_096, a multiple of 512");
    }

    #[test]
    fn a_host_and_a_port_can_be_dialed() {
        assert!(is_host_port("localhost:7443") && is_host_port("[::1]:7443"));
        for text in ["localhost", ":7443", "localhost:https", ""] {
            assert!(!is_host_port(text), "{text}");
        }
    }

    #[test]
    fn a_secret_is_no_name_of_a_file() {
        for text in ["k4.secret.abc", "-----BEGIN PRIVATE KEY-----", "a\nb", ""] {
            assert_eq!(Kind::File.of_text(text), None, "{text}");
        }
        assert!(Kind::File.of_text("token.pub").is_some());
    }
}
