//! The one binary: argument parsing and wiring only.

mod access;
mod admin_client;
#[cfg(target_os = "linux")]
mod bench;
mod binary;
mod channel;
mod chat;
mod command_line;
mod config;
mod data_dir;
mod dev;
mod device;
mod entry;
mod erase;
mod group;
mod history;
mod lines;
mod link_key;
mod local_time;
mod logging;
mod metrics;
mod mistake;
mod output;
mod printer;
mod room;
mod scheduling;
mod send;
mod serve;
mod signal;
mod store;
mod token;
mod trace;
mod visit;

use std::process::ExitCode;

use clap::Parser;

use command_line::{CommandLine, Verb};

/// A batch of the link is made on one thread and freed on another, which the allocator of glibc pays dearly for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    protocol_shell::use_small_pages();
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(error) => return command_line::explain(&error),
    };
    let result = match command_line.verb {
        Verb::Dev(arguments) => dev::run(&arguments),
        Verb::Serve(arguments) => serve::run(&arguments),
        Verb::LinkKey(arguments) => link_key::run(&arguments),
        Verb::Chat(arguments) => chat::run(&arguments),
        Verb::Send(arguments) => send::run(&arguments),
        Verb::History(arguments) => history::run(&arguments),
        Verb::Group(arguments) => group::run(&arguments.verb),
        Verb::Channel(arguments) => channel::run(&arguments.verb),
        Verb::Device(arguments) => device::run(&arguments.verb),
        Verb::Token(arguments) => token::run(&arguments),
        #[cfg(target_os = "linux")]
        Verb::Bench(arguments) => bench::run(&arguments.scenario),
        Verb::Store(arguments) => store::run(&arguments),
        Verb::Metrics => metrics::run(),
        Verb::Trace(arguments) => trace::run(&arguments),
        Verb::Config(arguments) => config::verbs::run(&arguments.verb),
        Verb::Erase(arguments) => erase::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(mistake) => {
            mistake.tell();
            mistake.exit().into()
        }
    }
}
