//! What a landed version has written is read by every later one, field by field.
//!
//! Under `protocol/schema/landed/VERSION/golden/UNION/` lie one frame of each member of each union (`.bin`) and what it
//! meant when it landed (`.txt`). Both are written once, by `cargo xtask codegen --land VERSION`, and never edited.

mod peek;
mod samples;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

use protocol::frame_number::{CLIENT, EPHEMERAL, EVENT, SERVER, Status};

/// `cargo xtask codegen --land` sets it.
const LANDING: &str = "RINGPOST_LANDING_VERSION";

fn schema() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schema")
}

fn landed() -> PathBuf {
    schema().join("landed")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The unions of a schema with their members, by name.
fn members(schema: &str) -> Vec<(String, String)> {
    let mut members = Vec::new();
    for union in schema.split("\nunion ").skip(1) {
        let (name, rest) = union.split_once('{').expect("a union has members");
        let (body, _) = rest.split_once('}').expect("a union ends");
        let names = body.split(',').map(|member| member.split('=').next().unwrap_or_default().trim());
        members.extend(
            names.filter(|member| !member.is_empty()).map(|member| (name.trim().to_owned(), member.to_owned())),
        );
    }
    members
}

/// Every line that it had it still has, in order. What was appended since stands between them.
fn first_line_lost<'a>(then: &'a str, now: &[String]) -> Option<&'a str> {
    let mut now = now.iter();
    then.lines().find(|line| !now.any(|candidate| candidate == line))
}

#[test]
fn golden_frames_mean_what_they_meant() {
    let mut read_count = 0;
    for version in entries(&landed()) {
        for union in entries(&version.join("golden")) {
            for file in entries(&union).into_iter().filter(|file| file.extension().is_some_and(|it| it == "bin")) {
                let union = union.file_name().expect("a name").to_string_lossy().into_owned();
                let meant = String::from_utf8(read(&file.with_extension("txt"))).expect("it is text");
                let lost = first_line_lost(&meant, &text::of(&union, &read(&file)));
                assert_eq!(lost, None, "{} no longer means this", file.display());
                read_count += 1;
            }
        }
    }
    assert!(read_count > 0, "a schema has landed");
}

#[test]
fn every_member_of_a_landed_union_has_its_golden_frame() {
    for version in entries(&landed()) {
        for schema in entries(&version).into_iter().filter(|file| file.extension().is_some_and(|it| it == "fbs")) {
            for (union, member) in members(&String::from_utf8(read(&schema)).expect("it is text")) {
                for extension in ["bin", "txt"] {
                    let file = version.join("golden").join(&union).join(&member).with_extension(extension);
                    assert!(file.exists(), "{} is missing", file.display());
                }
            }
        }
    }
}

#[test]
fn every_member_of_todays_unions_has_a_sample_that_verifies() {
    let samples = samples::all();
    let schemas = ["ringpost.fbs", "link.fbs"].map(|name| read(&schema().join(name)));
    for (union, member) in schemas.into_iter().flat_map(|text| members(&String::from_utf8(text).expect("it is text"))) {
        let sample = samples.iter().find(|sample| (sample.union, sample.member) == (&union, &member));
        let sample = sample.unwrap_or_else(|| panic!("{union}.{member} has no sample"));
        let lines = text::of(&union, &sample.bytes);
        assert!(lines.iter().any(|line| line.contains(&member)), "{union}.{member} is something else: {lines:#?}");
    }
}

#[test]
fn every_frame_number_that_has_landed_is_in_the_schema_that_lands() {
    let text = String::from_utf8(read(&schema().join("ringpost.fbs"))).expect("it is text");
    let members = members(&text);
    for (union, table) in
        [("ClientBody", CLIENT), ("ServerBody", SERVER), ("EventBody", EVENT), ("EphemeralBody", EPHEMERAL)]
    {
        for (_, name, _) in table.iter().filter(|row| row.2 == Status::Landed) {
            assert!(members.contains(&(union.to_owned(), (*name).to_owned())), "{union}.{name}");
        }
    }
}

#[test]
fn what_was_appended_is_no_loss_and_what_has_changed_is() {
    let now = ["Ack {", "    user_seq: 7,", "    device: 0,", "}"].map(str::to_owned);
    assert_eq!(first_line_lost("Ack {\n    user_seq: 7,\n}\n", &now), None);
    assert_eq!(first_line_lost("Ack {\n    user_seq: 8,\n}\n", &now), Some("    user_seq: 8,"));
    assert_eq!(first_line_lost("Ack {\n    device: 0,\n    user_seq: 7,\n}\n", &now), Some("    user_seq: 7,"));
}

/// Not a test: what `cargo xtask codegen --land` runs.
#[test]
#[ignore = "writes the golden frames of a version that is landing"]
fn write_golden_frames() {
    let version = std::env::var(LANDING).expect("`cargo xtask codegen --land VERSION` says which version lands");
    for sample in samples::all() {
        let file = landed().join(&version).join("golden").join(sample.union).join(sample.member);
        fs::create_dir_all(file.parent().expect("it lies in a folder")).expect("a folder");
        assert!(!file.with_extension("bin").exists(), "a landed version never changes");
        fs::write(file.with_extension("txt"), text::of(sample.union, &sample.bytes).join("\n") + "\n").expect("text");
        fs::write(file.with_extension("bin"), sample.bytes).expect("bytes");
    }
}
