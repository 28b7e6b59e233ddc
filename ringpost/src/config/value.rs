//! A value as it is written down, and the product's types as such values.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use gateway_server::{DriverChoice, PinShards};
use gateway_transport::KeyExchange;

use super::settings::LogFormat;

/// As in a file, without its type in the product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// It is not set.
    Nothing,
    Number(u64),
    Text(String),
}

/// As in a TOML file; for what is not set, what would not be valid there.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nothing => f.write_str("not set"),
            Value::Number(number) => f.write_str(&grouped(*number)),
            // The escapes of JSON are escapes of TOML.
            Value::Text(text) => f.write_str(&serde_json::Value::from(text.as_str()).to_string()),
        }
    }
}

/// Every third digit apart, as TOML reads it too.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let is_border = |index: usize| index > 0 && (digits.len() - index).is_multiple_of(3);
    digits.char_indices().fold(String::new(), |mut text, (index, digit)| {
        text.extend(is_border(index).then_some('_').into_iter().chain([digit]));
        text
    })
}

/// A type of the product that a value can become. Only of values that their [`super::kind::Kind`] has accepted.
pub(super) trait Stored {
    fn to_value(&self) -> Value;
    fn of_value(value: Value) -> Self;
}

impl Value {
    fn number(self) -> u64 {
        match self {
            Value::Number(number) => number,
            other => panic!("{other} was accepted as a number"),
        }
    }

    fn text(self) -> String {
        match self {
            Value::Text(text) => text,
            other => panic!("{other} was accepted as a text"),
        }
    }
}

macro_rules! stored_as_numbers {
    ($($type:ty),+) => {
        $(impl Stored for $type {
            fn to_value(&self) -> Value {
                Value::Number((*self).try_into().expect("every count and size fits 64 bits"))
            }

            fn of_value(value: Value) -> $type {
                value.number().try_into().expect("the range of a key fits its type")
            }
        })+
    };
}

stored_as_numbers!(u16, u32, usize);

impl Stored for u64 {
    fn to_value(&self) -> Value {
        Value::Number(*self)
    }

    fn of_value(value: Value) -> u64 {
        value.number()
    }
}

impl Stored for Duration {
    fn to_value(&self) -> Value {
        Value::Number(self.as_millis().try_into().expect("an interval of this age of the world"))
    }

    fn of_value(value: Value) -> Duration {
        Duration::from_millis(value.number())
    }
}

impl Stored for String {
    fn to_value(&self) -> Value {
        Value::Text(self.clone())
    }

    fn of_value(value: Value) -> String {
        value.text()
    }
}

impl Stored for PathBuf {
    fn to_value(&self) -> Value {
        Value::Text(self.display().to_string())
    }

    fn of_value(value: Value) -> PathBuf {
        PathBuf::from(value.text())
    }
}

impl Stored for SocketAddr {
    fn to_value(&self) -> Value {
        Value::Text(self.to_string())
    }

    fn of_value(value: Value) -> SocketAddr {
        value.text().parse().expect("it was accepted as an address")
    }
}

impl Stored for DriverChoice {
    fn to_value(&self) -> Value {
        Value::Text(self.name().to_owned())
    }

    fn of_value(value: Value) -> DriverChoice {
        value.text().parse().expect("it is one of the choices")
    }
}

impl Stored for PinShards {
    fn to_value(&self) -> Value {
        Value::Text(self.name().to_owned())
    }

    fn of_value(value: Value) -> PinShards {
        let name = value.text();
        PinShards::ALL.into_iter().find(|choice| choice.name() == name).expect("it is one of the choices")
    }
}

impl Stored for KeyExchange {
    fn to_value(&self) -> Value {
        Value::Text(self.name().to_owned())
    }

    fn of_value(value: Value) -> KeyExchange {
        let name = value.text();
        KeyExchange::ALL.into_iter().find(|choice| choice.name() == name).expect("it is one of the choices")
    }
}

impl Stored for LogFormat {
    fn to_value(&self) -> Value {
        Value::Text(self.name().to_owned())
    }

    fn of_value(value: Value) -> LogFormat {
        let name = value.text();
        LogFormat::ALL.into_iter().find(|format| format.name() == name).expect("it is one of the choices")
    }
}

impl<T: Stored> Stored for Option<T> {
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Nothing, T::to_value)
    }

    fn of_value(value: Value) -> Option<T> {
        (value != Value::Nothing).then(|| T::of_value(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_by_people_too() {
        let told = [0, 999, 1000, 65_540, 1_048_576].map(|number| Value::Number(number).to_string());
        assert_eq!(told, ["0", "999", "1_000", "65_540", "1_048_576"]);
    }

    #[test]
    fn a_text_is_told_as_toml_reads_it() {
        assert_eq!(Value::Text("a \"b\"\n".to_owned()).to_string(), r#""a \"b\"\n""#);
    }
}
