//! The one binary: argument parsing and wiring only.

mod binary;
mod command_line;
mod data_dir;
mod dev;
mod link_key;
mod logging;
mod mistake;
mod serve;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use command_line::{CommandLine, Verb};

fn main() -> ExitCode {
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(error) => return command_line::explain(&error),
    };
    let result = match command_line.verb {
        Verb::Dev(arguments) => dev::run(&arguments),
        Verb::Serve(arguments) => serve::run(&arguments),
        Verb::LinkKey(arguments) => link_key::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(mistake) => {
            // Nobody is left to be told when standard error is closed.
            let _ = writeln!(std::io::stderr(), "ringpost: {mistake}");
            mistake.exit().into()
        }
    }
}
