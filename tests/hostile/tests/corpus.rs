//! What the fuzzers have collected is replayed with every test run.

#![allow(clippy::print_stdout, reason = "after a panic the last line says which input it was")]

use std::fs;
use std::path::{Path, PathBuf};

use hostile::TARGETS;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

fn replay(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target has this name");
    let mut count = 0;
    for entry in fs::read_dir(corpus().join(name)).expect("every target has a corpus") {
        let path = entry.expect("a folder that can be read").path();
        println!("{}", path.display());
        (target.run)(&fs::read(path).expect("a file that can be read"));
        count += 1;
    }
    assert!(count >= 10, "{count} inputs are hardly a corpus");
}

#[test]
fn clients_that_send_anything_harm_nobody() {
    replay("client_frame");
}

#[test]
fn a_server_that_sends_anything_harms_no_session() {
    replay("server_frame");
}

#[test]
fn the_other_end_of_a_link_may_send_anything() {
    replay("link_batch");
}

#[test]
fn a_forged_log_is_refused_or_read_and_stays_readable() {
    replay("log_reader");
}

#[test]
fn a_store_whose_files_were_touched_says_the_same_or_that_it_is_damaged() {
    replay("store_reader");
}

#[test]
fn records_that_were_meddled_with_say_nothing_false() {
    replay("tls_record");
}

#[test]
fn our_server_says_to_records_what_the_library_says() {
    replay("tls_verdict");
}

#[test]
fn frames_are_the_same_however_their_stream_is_cut() {
    replay("framer");
}

#[test]
fn every_target_has_a_binary_a_corpus_and_seeds() {
    for target in TARGETS {
        let binary = corpus().join("../fuzz_targets").join(target.name).with_extension("rs");
        assert!(binary.exists() && corpus().join(target.name).is_dir(), "{}", target.name);
        assert!(!(target.seeds)().is_empty());
    }
}

#[test]
fn seeds_do_no_harm() {
    for target in TARGETS {
        for seed in (target.seeds)() {
            println!("{} {}", target.name, seed.name);
            (target.run)(&seed.bytes);
        }
    }
}
