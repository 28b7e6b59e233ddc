//! `docs/config.md`: every key, from the table. `config docs` prints it.

use std::fmt::Write;

use super::key::{Applies, Key, Tier};
use super::settings::Settings;
use super::table::keys;
use super::value::Value;

const HEAD: &str = r#"# Configuration

Made by `ringpost config docs` from the table of keys in `ringpost/src/config/table`; do not edit.

A value may stand in four places. A flag wins over the environment, that over the file, that over the default.

- **File**: TOML, named by `--config FILE` or `RINGPOST_CONFIG`. One file may serve all roles: what is for another one is
  not looked at.

  ```toml
  [gateway]
  listen = "0.0.0.0:7443"
  certificate_file = "/etc/ringpost/chain.pem"
  certificate_key_file = "/etc/ringpost/chain.key"
  connections_max = 200_000

  [store]
  disk_low_mib = 4_096
  ```

- **Environment**: `RINGPOST_SECTION_KEY`, as in `RINGPOST_GATEWAY_CONNECTIONS_MAX=100000`. An empty variable is one that
  is not set; one that sets nothing is a warning in the log.
- **Flags**: `ringpost dev --help`, `ringpost serve --help`.

`ringpost config check FILE` names every mistake of a file, and `ringpost config show` prints what holds and where it comes
from. `dev` and `serve` do not start with a mistake: they name all of them and end with 78.

A **HUP** has a server read file, certificate, token keys and ticket keys again. What is marked with HUP holds from then on, and no
connection is dropped for it; for the rest one line in the log names what waits for a restart. When anything is wrong,
nothing changes, and one line says why. A server whose terminal is closed ends.

Secrets stand in files of their own, which are named here, and are never shown.
"#;

pub(super) fn markdown() -> String {
    let defaults = Settings::default();
    let mut text = HEAD.to_owned();
    let mut section = "";
    for key in keys() {
        if key.section() != section {
            section = key.section();
            add(&mut text, &format!("\n## [{section}]\n"));
        }
        add(&mut text, &entry(key, &defaults));
    }
    text
}

fn entry(key: &Key, defaults: &Settings) -> String {
    let tier = match key.tier {
        Tier::Gateway => ", gateway",
        Tier::Router => ", router",
        Tier::Both => "",
    };
    let applies = match key.applies {
        Applies::OnHangup => "HUP",
        Applies::AtStart => "restart",
    };
    let default = match key.value(defaults) {
        Value::Nothing => format!("Not set: {}.", key.when_unset),
        value => format!("Default: `{value}`."),
    };
    let flag = key.flag.map_or(String::new(), |flag| format!(" Flag: `--{} {}`.", flag.name, flag.value_name));
    let reached =
        if key.when_reached.is_empty() { String::new() } else { format!("\nAt the limit: {}\n", key.when_reached) };
    format!(
        "\n### `{}` ({applies}{tier})\n\n{}\n{reached}\nValue: {}. {default}{flag}\n",
        key.short_name(),
        key.meaning,
        key.kind.accepted()
    )
}

fn add(text: &mut String, more: &str) {
    text.write_str(more).expect("writing to memory does not fail");
}

#[cfg(test)]
mod tests {
    use crate::config::file;

    #[test]
    fn the_example_is_a_file_that_is_well() {
        let example = super::HEAD.split("```").nth(1).and_then(|text| text.strip_prefix("toml")).expect("an example");
        let read = file::parse("example", example);
        assert_eq!((read.complaints, read.lines.len()), (Vec::new(), 5));
    }

    #[test]
    fn the_page_in_docs_is_what_the_table_gives() {
        let page = include_str!("../../../docs/config.md");
        assert!(
            page == super::markdown(),
            "docs/config.md is not fresh: `cargo run -p ringpost -- config docs > docs/config.md`"
        );
    }
}
