//! What a run is.

use std::path::PathBuf;
use std::time::Duration;

use bench_harness::{Resume, Rooms, Tiers};

/// See each field.
#[derive(Clone, Debug)]
pub struct Options {
    /// What people do.
    pub scenario: Scenario,
    /// The `ringpost` binary.
    pub binary: PathBuf,
    /// What is measured.
    pub server: ServerChoice,
    /// Connections of a worker that are on their way at a time. A server bounds strangers, and closes the oldest beyond.
    pub arriving_max: usize,
    /// How often an idle client is heard of; a server that is started here is told the same.
    pub heartbeat: Duration,
}

/// See each variant.
#[derive(Clone, Debug)]
pub enum Scenario {
    /// Connect, idle, then write one message each.
    Hold {
        /// How many; an even number.
        connections: usize,
        /// How long all of them idle.
        idle: Duration,
        /// Messages a second of the last part; 0 for none.
        per_second: f64,
    },
    /// Pairs who write to each other, at a rate.
    Chat {
        /// How many.
        pairs: usize,
        /// People who are connected meanwhile and say nothing.
        idle: usize,
        /// In all.
        per_second: f64,
        /// After the first second.
        measured: Duration,
    },
    /// All lose their connection at once, and come back.
    Storm {
        /// How many; an even number.
        connections: usize,
        /// How often.
        rounds: usize,
        /// What they show then.
        resume: Resume,
        /// They lose it since the server, which was started for the run, is killed; it starts again.
        kills: bool,
    },
    /// One of each group writes to all others of it.
    Fanout {
        /// They are channels, which all others follow.
        channels: bool,
        /// How many.
        groups: usize,
        /// People in each, the writer included.
        members: usize,
        /// Messages a second in all, each of which goes to all members.
        per_second: f64,
        /// After the first second.
        measured: Duration,
    },
}

/// See each variant.
#[derive(Clone, Debug)]
pub enum ServerChoice {
    /// Started for the run.
    Own {
        /// In how many processes.
        tiers: Tiers,
        /// As `gateway.driver` of the configuration.
        driver: String,
        /// Its data: made, and removed at the end. On a disk, or the sync is none.
        scratch: PathBuf,
    },
    /// One that runs.
    Running {
        /// Its data folder, with what makes access tokens.
        data_dir: PathBuf,
        /// For what it costs.
        process_id: Option<u32>,
    },
}

impl Scenario {
    /// As in the figures.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Scenario::Hold { .. } => "hold",
            Scenario::Chat { .. } => "chat",
            Scenario::Storm { .. } => "storm",
            Scenario::Fanout { .. } => "fanout",
        }
    }

    /// Who is to whom, and writes.
    pub(crate) fn rooms(&self) -> Rooms {
        match *self {
            Scenario::Hold { connections, .. } | Scenario::Storm { connections, .. } => {
                Rooms::all_writing(connections / 2, 2)
            }
            Scenario::Chat { pairs, idle, .. } => Rooms { count: pairs + idle.div_ceil(2), size: 2, writing: pairs },
            Scenario::Fanout { groups, members, .. } => Rooms::all_writing(groups, members),
        }
    }
}
