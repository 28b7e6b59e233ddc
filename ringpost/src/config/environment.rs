//! The environment: `RINGPOST_SECTION_KEY` for every key.

use std::ffi::OsString;

use super::complaint::Complaint;
use super::key::Key;
use super::suggestion::nearest;
use super::table::keys;
use super::value::Value;

/// The older name of a variable, which goes on to be understood.
const LOG: &str = "RINGPOST_LOG";
/// Names the file; it is an argument of the command line.
const CONFIG: &str = "RINGPOST_CONFIG";

/// A key that a variable sets.
pub(super) struct Variable {
    pub(super) key: &'static Key,
    pub(super) value: Value,
    pub(super) name: String,
}

#[derive(Default)]
pub(super) struct Read {
    pub(super) variables: Vec<Variable>,
    pub(super) complaints: Vec<Complaint>,
    /// A line for each variable that looks like ours and is not.
    pub(super) warnings: Vec<String>,
}

/// An empty variable is one that is not set.
pub(super) fn read(environment: impl Iterator<Item = (OsString, OsString)>) -> Read {
    let mut read = Read::default();
    let mut ours: Vec<(String, OsString)> = environment
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with("RINGPOST_") && name != CONFIG)
        .collect();
    // The older name before the newer one, which wins.
    ours.sort();
    for (name, value) in ours {
        let is_meant = |key: &&Key| key.variable() == name || name == LOG && key.name == "log.filter";
        let Some(key) = keys().iter().find(is_meant) else {
            read.warnings.push(warning(&name));
            continue;
        };
        match value.to_str().and_then(|text| key.kind.of_text(text)) {
            Some(value) => read.variables.push(Variable { key, value, name }),
            None => {
                let mistake = key.mistake(&format!("{value:?}"));
                read.complaints.push(Complaint::new(name, mistake));
            }
        }
    }
    read
}

fn warning(name: &str) -> String {
    let known: Vec<String> = keys().iter().map(Key::variable).collect();
    let meant = nearest(name, known.iter().map(String::as_str).chain([CONFIG, LOG]));
    let advice = meant.map_or_else(
        || "`ringpost config docs` lists all there are".to_owned(),
        |meant| format!("did you mean {meant}?"),
    );
    format!("the variable {name} sets nothing; {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_of(variables: &[(&str, &str)]) -> Read {
        read(variables.iter().map(|(name, value)| ((*name).into(), (*value).into())))
    }

    #[test]
    fn a_variable_sets_its_key() {
        let read = read_of(&[
            ("HOME", "/root"),
            ("RINGPOST_CONFIG", "f"),
            ("RINGPOST_DATA_DIR", "here"),
            ("RINGPOST_GATEWAY_CONNECTIONS_MAX", "1000"),
            ("RINGPOST_ADMIN_LISTEN", ""),
        ]);
        assert!(read.complaints.is_empty() && read.warnings.is_empty());
        let found: Vec<_> = read.variables.iter().map(|it| (it.key.name, it.value.clone())).collect();
        let expected = [("data.dir", Value::Text("here".into())), ("gateway.connections_max", Value::Number(1000))];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_older_name_of_the_filter_gives_way_to_the_newer() {
        let read = read_of(&[("RINGPOST_LOG_FILTER", "debug"), ("RINGPOST_LOG", "trace")]);
        let names: Vec<_> = read.variables.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["RINGPOST_LOG", "RINGPOST_LOG_FILTER"]);
    }

    #[test]
    fn a_mistyped_variable_is_a_warning_and_a_bad_value_a_complaint() {
        let read = read_of(&[("RINGPOST_GATEWAY_CONECTIONS_MAX", "1"), ("RINGPOST_STORE_SEGMENT_BYTES", "5")]);
        let meant = "did you mean RINGPOST_GATEWAY_CONNECTIONS_MAX?";
        assert_eq!(read.warnings, [format!("the variable RINGPOST_GATEWAY_CONECTIONS_MAX sets nothing; {meant}")]);
        let complaints: Vec<_> = read.complaints.iter().map(ToString::to_string).collect();
        let expected = "RINGPOST_STORE_SEGMENT_BYTES: store.segment_bytes is \"5\", and must be a number of bytes from \
                        4_194_304 to 1_073_741_824, a multiple of 512";
        assert_eq!(complaints, [expected]);
    }
}
