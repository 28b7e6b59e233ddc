//! The table of keys: the one place where a key, its range, its meaning and its place in the settings stand. Files,
//! variables, flags, `config show`, `config docs` and a HUP all follow from it.

mod gateway;
mod router;
mod trace;

use std::sync::LazyLock;

use super::flags::{DEV, SERVE};
use super::key::{Applies, Flag, Key, Place, Tier};
use super::kind::Kind;
use super::settings::LogFormat;

/// A place in the settings, by the names of its fields.
macro_rules! place {
    ($($field:ident).+) => {
        $crate::config::key::Place {
            read: |settings| $crate::config::value::Stored::to_value(&settings.$($field).+),
            write: |settings, value| settings.$($field).+ = $crate::config::value::Stored::of_value(value),
        }
    };
}

use place;

/// Every key there is, in the order in which people read them.
pub(crate) fn keys() -> &'static [Key] {
    static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
        let mut keys = vec![
            key("data.dir", place!(data_dir), Kind::Folder)
                .means("The data folder of the server. Client verbs take the flag and the variable, and read no file.")
                .flag("data-dir", "DIR", DEV | SERVE),
            key("admin.listen", place!(admin), Kind::Address)
                .means("Where /healthz, /readyz, /metrics and /trace are served.")
                .flag("admin", "ADDR", DEV | SERVE),
            key("http.listen", place!(http), Kind::Address).means("`dev`: where HTTP is served.").flag("http", "ADDR", DEV),
            key("log.filter", place!(log_filter), Kind::LogFilter)
                .means("What is logged: a level, or levels by module as `tracing` filters are. `RINGPOST_LOG` is another name.")
                .on_hangup(),
            key("log.format", place!(log_format), Kind::Choice(LogFormat::ALL.map(LogFormat::name).to_vec()))
                .means("How log lines look: text, JSON, or text on a terminal and JSON elsewhere."),
        ];
        keys.extend(link());
        keys.extend(gateway::keys());
        keys.extend(router::keys());
        keys.extend(router::store_keys());
        keys.extend(trace::keys());
        keys
    });
    &KEYS
}

fn link() -> [Key; 3] {
    [
        key("link.listen", place!(link.listen), Kind::Address)
            .means("Router: where gateways connect. With `--role all`, gateways beside the one of this process.")
            .unset("a router does not start; `--role all` has no further gateways")
            .of(Tier::Router)
            .flag("link", "ADDR", SERVE),
        key("link.router", place!(link.router), Kind::HostPort)
            .means("Gateway: the router, at what that was given as `--link`.")
            .unset("a gateway does not start")
            .of(Tier::Gateway)
            .flag("router", "HOST:PORT", SERVE),
        key("link.key_file", place!(link.key_file), Kind::File)
            .means("What both ends of a link prove to each other, the same file for all; see `ringpost link-key`.")
            .unset("nothing that needs a link starts")
            .flag("link-key-file", "FILE", SERVE),
    ]
}

fn key(name: &'static str, place: Place, kind: Kind) -> Key {
    Key {
        name,
        kind,
        tier: Tier::Both,
        applies: Applies::AtStart,
        meaning: "",
        when_reached: "",
        when_unset: "",
        flag: None,
        place,
    }
}

impl Key {
    fn means(self, meaning: &'static str) -> Key {
        Key { meaning, ..self }
    }

    fn reached(self, when_reached: &'static str) -> Key {
        Key { when_reached, ..self }
    }

    fn unset(self, when_unset: &'static str) -> Key {
        Key { when_unset, ..self }
    }

    fn of(self, tier: Tier) -> Key {
        Key { tier, ..self }
    }

    fn on_hangup(self) -> Key {
        Key { applies: Applies::OnHangup, ..self }
    }

    fn flag(self, name: &'static str, value_name: &'static str, verbs: u8) -> Key {
        Key { flag: Some(Flag { name, value_name, verbs }), ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use gateway_server::GatewayConfig;
    use router_server::RouterConfig;

    use super::*;
    use crate::config::kind::Kind;
    use crate::config::settings::Settings;
    use crate::config::value::Value;

    /// One that is accepted and is not this one.
    fn another(kind: &Kind, value: &Value) -> Value {
        let texts: &[&str] = match kind {
            Kind::Number { min, max, .. } => {
                return Value::Number(if *value == Value::Number(*max) { *min } else { *max });
            }
            Kind::Address => &["127.0.0.1:9"],
            Kind::HostPort => &["router:9"],
            Kind::Folder | Kind::File => &["elsewhere"],
            Kind::LogFilter => &["trace"],
            Kind::Choice(choices) => choices,
        };
        let mut texts = texts.iter().map(|text| Value::Text((*text).to_owned()));
        texts.find(|text| text != value).expect("there is a choice")
    }

    fn all_different() -> Settings {
        let mut settings = Settings::default();
        for key in keys() {
            let other = another(&key.kind, &key.value(&settings));
            key.set(&mut settings, other);
        }
        settings
    }

    /// The fields of a struct and of those in it, as `name: value`.
    fn fields(debug: &str) -> impl Iterator<Item = &str> {
        debug.split(", ").filter_map(|part| part.rsplit("{ ").next())
    }

    #[test]
    fn a_key_has_a_name_of_its_own_and_accepts_its_default() {
        let defaults = Settings::default();
        let mut names = HashSet::new();
        for key in keys() {
            assert!(key.name.split('.').count() == 2 && !key.meaning.is_empty(), "{}", key.name);
            assert!(names.insert(key.variable()), "{}", key.name);
            let accepted = match key.value(&defaults) {
                Value::Nothing => !key.when_unset.is_empty(),
                Value::Number(number) => key.kind.of_number(number).is_some(),
                Value::Text(text) => key.kind.of_string(&text).is_some(),
            };
            assert!(accepted, "{}", key.name);
        }
    }

    #[test]
    fn every_field_of_the_product_has_a_key_but_those_that_are_no_operators_business() {
        let (before, after) = (Settings::default(), all_different());
        let told = |settings: &Settings| format!("{:?}, {:?}, {:?}", settings.gateway, settings.router, settings.store);
        let (before, after) = (told(&before), told(&after));
        let same = fields(&before).zip(fields(&after)).filter(|(before, after)| before == after);
        let same: Vec<&str> = same.filter_map(|(field, _)| field.split(':').next()).collect();
        let of_nobody = [
            "gateway_id",
            "gateway_incarnation",
            "shard_index",
            "shards_count",
            "router_incarnation",
            "epoch",
            "folder",
        ];
        assert_eq!(same, of_nobody);
    }

    #[test]
    fn the_defaults_are_those_of_the_product() {
        let Settings { gateway, router, .. } = Settings::default();
        assert_eq!(gateway, GatewayConfig { listen: gateway.listen, ..GatewayConfig::default() });
        assert_eq!(format!("{router:?}"), format!("{:?}", RouterConfig::default()));
    }

    #[test]
    fn what_the_table_accepts_the_gateway_accepts() {
        for is_least in [true, false] {
            let mut settings = Settings::default();
            for key in keys() {
                if let Kind::Number { min, max, .. } = key.kind {
                    key.set(&mut settings, Value::Number(if is_least { min } else { max }));
                }
            }
            assert_eq!(settings.gateway.check(), Ok(()));
        }
    }
}
