//! What can be typed after `bench`.

use std::path::PathBuf;
use std::str::FromStr;

use bench_load::Slo;
use clap::{Args, Subcommand, ValueEnum};
use gateway_server::{Driver, DriverChoice, DriverUnknown};

#[derive(Args, Debug)]
pub(crate) struct BenchArguments {
    #[command(subcommand)]
    pub(crate) scenario: BenchScenario,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchScenario {
    /// Connect, idle, write one message each: what a connection takes of the memory of kernel and server.
    Hold {
        /// How many. From 20,000 descriptors a process on, the load is several.
        #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(2..=4_000_000))]
        connections: u32,
        /// How long all of them idle, and again when they have written.
        #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
        seconds: u64,
        /// Messages a second in the last part; 0: nobody writes.
        #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
        rate: u32,
        /// How often an idle client is heard of: 240 as the most a server takes for idle phones, or for --server 30.
        #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=3_600))]
        heartbeat: Option<u64>,
        #[command(flatten)]
        load: LoadArguments,
    },
    /// Pairs write to each other at a rate: how late acks and messages are, and what one costs beside a bare server.
    Chat {
        /// Pairs of users.
        #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        pairs: u32,
        /// People who are connected meanwhile and say nothing but that they are there.
        #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=4_000_000))]
        idle: u32,
        /// Messages a second in all, each sent when it is due, whatever has become of those before.
        #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = rate())]
        rate: u32,
        /// How long it is measured, after a second to warm up.
        #[arg(long, value_name = "S", default_value_t = 10, value_parser = seconds())]
        seconds: u64,
        #[command(flatten)]
        load: LoadArguments,
    },
    /// All lose their connection at once and come back: how long that takes.
    Storm {
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(2..=4_000_000))]
        connections: u32,
        /// What they show: the TLS session and the resume ticket of before, that ticket after a full handshake, or an
        /// access token.
        #[arg(long, value_enum, default_value_t = ResumeArgument::Tls)]
        resume: ResumeArgument,
        /// How often.
        #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        rounds: u16,
        /// They lose it by a kill -9 of the server, which starts again; the time until all are back counts from there.
        #[arg(long, conflicts_with = "server")]
        kill: bool,
        #[command(flatten)]
        load: LoadArguments,
    },
    /// One of each group writes to all others of it.
    Fanout {
        /// Channels instead of groups: the others follow them, and a channel may be larger.
        #[arg(long)]
        channels: bool,
        /// How many groups.
        #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        groups: u32,
        /// People in each, the one who writes included; of a group at most 1,024.
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(3..=15_000))]
        members: u16,
        /// Messages a second in all; each goes to all members.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = rate())]
        rate: u32,
        /// How long it is measured, after a second to warm up.
        #[arg(long, value_name = "S", default_value_t = 10, value_parser = seconds())]
        seconds: u64,
        #[command(flatten)]
        load: LoadArguments,
    },
    /// Pairs of people who write to each other, durable and with all ticks; and the same on a bare server.
    Slice {
        /// Pairs of users.
        #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=2000))]
        pairs: u16,
        /// Messages of each user on their way while the rate is measured.
        #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=32))]
        window: u16,
        /// Messages a second while latency and CPU are measured, instead of half of the rate that was reached.
        #[arg(long, value_name = "N", value_parser = rate())]
        rate: Option<u32>,
        /// How long each of the three phases is measured.
        #[arg(long, value_name = "S", default_value_t = 10, value_parser = seconds())]
        seconds: u64,
        #[command(flatten)]
        scratch: ScratchArguments,
        /// Write the figures there too.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// The bare server of the comparison.
    #[command(hide = true)]
    Baseline,
    /// A process of the load.
    #[command(hide = true)]
    Worker,
}

/// What all scenarios of the load have in common.
#[derive(Args, Clone, Debug)]
pub(crate) struct LoadArguments {
    /// Of the server that is started, as gateway.driver: one run with each. `both` is uring and monoio.
    #[arg(long, value_name = "DRIVER", value_delimiter = ',', default_value = "auto", conflicts_with = "server")]
    pub(crate) driver: Vec<DriverArgument>,
    /// In how many processes the server is started.
    #[arg(long, value_enum, default_value_t = TiersArgument::Whole, conflicts_with = "server")]
    pub(crate) role: TiersArgument,
    #[command(flatten)]
    pub(crate) scratch: ScratchArguments,
    /// Measure the server that runs on this data folder, instead of starting one. Users are made in its store.
    #[arg(long, value_name = "DIR")]
    pub(crate) server: Option<PathBuf>,
    /// Its process, for what it costs.
    #[arg(long, value_name = "PID", requires = "server")]
    pub(crate) server_pid: Option<u32>,
    /// Connections of each process of the load that are on their way at a time.
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=16_384))]
    pub(crate) arriving: u32,
    /// Write the figures there: an object, or with several drivers an array.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write a page with plots there.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// What each run must reach, as FIELD<=NUMBER or FIELD>=NUMBER of the JSON, several with commas between. Exit code 99 when one is
    /// missed; a void run misses all but counts.
    #[arg(long, value_name = "BOUND", value_delimiter = ',')]
    pub(crate) slo: Vec<Slo>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ScratchArguments {
    /// Where a folder for the server's data is made; it is removed at the end.
    #[arg(long = "scratch", value_name = "DIR", default_value = ".")]
    pub(crate) parent: PathBuf,
}

/// How the server is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TiersArgument {
    /// Gateway and router in one process.
    Whole,
    /// One process each.
    Split,
}

/// What makes coming back cheaper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResumeArgument {
    /// The TLS session, and the resume ticket.
    Tls,
    /// The resume ticket alone.
    Ticket,
    /// Nothing.
    None,
}

/// One of the drivers, or that of our own and the portable one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DriverArgument {
    One(DriverChoice),
    Both,
}

impl FromStr for DriverArgument {
    type Err = DriverUnknown;

    fn from_str(text: &str) -> Result<Self, DriverUnknown> {
        if text == "both" { Ok(DriverArgument::Both) } else { text.parse().map(DriverArgument::One) }
    }
}

impl LoadArguments {
    /// Each driver that is to be measured, once.
    pub(crate) fn drivers(&self) -> Vec<DriverChoice> {
        let of_argument = |argument: &DriverArgument| match argument {
            DriverArgument::One(choice) => vec![*choice],
            DriverArgument::Both => vec![DriverChoice::Only(Driver::Uring), DriverChoice::Monoio],
        };
        let mut drivers: Vec<DriverChoice> = self.driver.iter().flat_map(of_argument).collect();
        drivers.dedup();
        drivers
    }
}

fn rate() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=1_000_000)
}

fn seconds() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=600)
}
