//! `cargo xtask schema`: today's schemas against every landed version of them, twice: by a check of our own, which is the
//! stricter one, and by `flatc --conform`, which knows the language better.

mod compat;
mod parse;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{Outcome, flatc, process, repo};
use parse::Schema;

/// Relative to the root of the checkout.
const TODAY: &str = "protocol/schema";
const LANDED: &str = "protocol/schema/landed";

/// The verb.
pub(crate) fn run(arguments: &[String]) -> Result<Outcome> {
    if !arguments.is_empty() {
        bail!("usage: cargo xtask schema");
    }
    let today = repo::root().join(TODAY);
    let mut outcome = Outcome::Clean;
    let versions = landed_versions(&repo::root().join(LANDED))?;
    for version in &versions {
        let landed = repo::root().join(LANDED).join(version);
        for name in file_names(&landed)? {
            if !is_compatible(&today, &landed, version, &name)? {
                outcome = Outcome::Broken;
            }
        }
    }
    if versions.is_empty() {
        for name in file_names(&today)? {
            read(&today.join(name))?;
        }
        println!("schema: no version has landed yet; `cargo xtask codegen --land VERSION` lands one");
        return Ok(outcome);
    }
    println!("schema: compared with {}", versions.join(", "));
    if outcome == Outcome::Broken {
        return Ok(outcome);
    }
    conform(&today, &versions)
}

/// The names of the schemas in `folder`, sorted; at least one.
pub(crate) fn file_names(folder: &Path) -> Result<Vec<String>> {
    let mut names = entries(folder)?;
    names.retain(|name| name.ends_with(".fbs"));
    if names.is_empty() {
        bail!("no schema in {}", folder.display());
    }
    Ok(names)
}

fn landed_versions(folder: &Path) -> Result<Vec<String>> {
    if folder.exists() { entries(folder) } else { Ok(Vec::new()) }
}

fn entries(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names =
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// Says on standard error what is not.
fn is_compatible(today: &Path, landed: &Path, version: &str, name: &str) -> Result<bool> {
    if !today.join(name).exists() {
        eprintln!("{TODAY}/{name}:1: schema: is gone, and {version} has it");
        return Ok(false);
    }
    let breaches = compat::breaches(&read(&landed.join(name))?, &read(&today.join(name))?);
    for breach in &breaches {
        eprintln!("{TODAY}/{name}:{}: schema: {}, against {version}", breach.line, breach.message);
    }
    Ok(breaches.is_empty())
}

fn read(file: &Path) -> Result<Schema> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Schema::parse(&text).with_context(|| format!("cannot read {}", file.display()))
}

fn conform(today: &Path, versions: &[String]) -> Result<Outcome> {
    let flatc = match flatc::find() {
        Ok(flatc) => flatc,
        Err(why_not) => {
            eprintln!("schema: our own check passed; flatc --conform skipped: {why_not}");
            return Ok(Outcome::Skipped);
        }
    };
    let mut outcome = Outcome::Clean;
    for version in versions {
        let landed = today.join("landed").join(version);
        for name in file_names(&landed)? {
            let mut command = Command::new(&flatc);
            command.arg("--conform").arg(landed.join(&name)).arg("--conform-includes").arg(&landed);
            command.arg("-I").arg(today).arg(today.join(&name));
            if let Err(complaint) = process::output_of(&mut command) {
                eprintln!("{TODAY}/{name}:1: schema: {complaint:#}");
                outcome = Outcome::Broken;
            }
        }
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMAS: [&str; 2] = ["ringpost.fbs", "link.fbs"];

    /// Whether a landed schema, changed in this way, would still do as today's. The change must be one.
    fn passes(case: &str, name: &str, change: impl Fn(&str) -> String) -> bool {
        let landed = repo::root().join(LANDED).join("0.1");
        let text = fs::read_to_string(landed.join(name)).expect("a schema has landed");
        let changed = change(&text);
        assert_ne!(changed, text, "{case}: {name} has nothing to change");
        let today = std::env::temp_dir().join(format!("ringpost-schema-{case}-{}", std::process::id()));
        fs::create_dir_all(&today).expect("a folder");
        fs::write(today.join(name), changed).expect("a file");
        let verdict = is_compatible(&today, &landed, "0.1", name).expect("both can be read");
        fs::remove_dir_all(&today).expect("it was just made");
        verdict
    }

    /// The text with the part between the two exchanged, wherever the first one stands.
    fn change_blocks(text: &str, opening: &str, change: impl Fn(&str) -> String) -> Vec<String> {
        let starts = text.match_indices(opening).map(|(start, _)| start);
        let blocks = starts.map(|start| {
            let end = start + text[start..].find('}').expect("a block ends");
            format!("{}{}{}", &text[..start], change(&text[start..end]), &text[end..])
        });
        blocks.collect()
    }

    #[test]
    fn a_new_table_is_no_breach() {
        for name in SCHEMAS {
            let append = |text: &str| text.replacen("\ntable ", "\ntable Later { by:ulong; }\n\ntable ", 1);
            assert!(passes("table", name, append), "{name}");
        }
    }

    #[test]
    fn a_removed_last_member_is_found_in_every_union() {
        let mut unions_count = 0;
        for name in SCHEMAS {
            let landed = fs::read_to_string(repo::root().join(LANDED).join("0.1").join(name)).expect("it has landed");
            let without_last = |block: &str| {
                let (rest, _) = block.rsplit_once(',').or(block.rsplit_once('{')).expect("a union has members");
                if rest.contains('{') { rest.to_owned() } else { format!("{rest}{{") }
            };
            for text in change_blocks(&landed, "\nunion ", without_last) {
                assert!(!passes("member", name, |_| text.clone()), "{name}");
                unions_count += 1;
            }
        }
        assert_eq!(unions_count, 5);
    }

    #[test]
    fn a_grown_struct_is_found_in_every_struct() {
        let mut structs_count = 0;
        for name in SCHEMAS {
            let landed = fs::read_to_string(repo::root().join(LANDED).join("0.1").join(name)).expect("it has landed");
            for text in change_blocks(&landed, "\nstruct ", |block| format!("{block} more:ulong; ")) {
                assert!(!passes("struct", name, |_| text.clone()), "{name}");
                structs_count += 1;
            }
        }
        assert_eq!(structs_count, 3);
    }

    #[test]
    fn a_changed_file_identifier_is_found_in_every_schema() {
        for name in SCHEMAS {
            assert!(!passes("identifier", name, |text| format!("{text}file_identifier \"RP02\";\n")), "{name}");
        }
    }
}
