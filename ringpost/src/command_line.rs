//! What can be typed.

mod groups;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use protocol::ids::{ClientMsgId, ConversationId, DeviceId, MessageId};

#[cfg(target_os = "linux")]
use crate::bench::BenchArguments;
use crate::binary;
use crate::config::{DEV, Flags, SERVE, SHOW};
use crate::mistake::Exit;
pub(crate) use groups::{
    ChannelArguments, ChannelVerb, CreateArguments, FollowArguments, GroupArguments, GroupVerb, MemberArguments,
    OneGroupArguments,
};

/// In the working folder.
pub(crate) const DEFAULT_DATA_DIR: &str = "ringpost-data";

/// A chat backend: the server for development, and clients for people and scripts.
#[derive(Debug, Parser)]
#[command(name = "ringpost", version)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run everything in one process on this machine.
    Dev(DevArguments),
    /// Run one tier, or both, as a part of a cluster.
    Serve(ServeArguments),
    /// Make the key that the tiers of one cluster have in common.
    LinkKey(LinkKeyArguments),
    /// Talk to somebody: in a terminal, or line by line for scripts with --json.
    Chat(ChatArguments),
    /// Send one message, or one for each line of standard input, and wait until all are durable.
    Send(SendArguments),
    /// Print what was said in a conversation.
    History(HistoryArguments),
    /// Make a group, change who is in it, or show it.
    Group(GroupArguments),
    /// Make a channel, or follow one: its members write, and everybody of the realm may read.
    Channel(ChannelArguments),
    /// Show one's devices, link one, or revoke one.
    Device(DeviceArguments),
    /// Print an access token for a user of the server on the data folder.
    Token(TokenArguments),
    /// Measure a server: how many connections it holds, what a message costs, how late it comes. Linux only.
    #[cfg(target_os = "linux")]
    Bench(BenchArguments),
    /// Look after the store in a data folder.
    Store(StoreArguments),
    /// Print what each metric of a server says and when to look at it, as Markdown.
    Metrics,
    /// Print when a message was received, durable, acked, and pushed to and stored by each device.
    Trace(TraceArguments),
    /// What can be set of a server, what is set, and what is wrong with that.
    Config(ConfigArguments),
    /// Have the running server take something away for good.
    Erase(EraseArguments),
}

#[derive(Args, Debug)]
pub(crate) struct DevArguments {
    #[command(flatten)]
    pub(crate) flags: Flags<DEV>,
    /// A demo user beside alice and bob; may be repeated.
    #[arg(long = "user", value_name = "NAME")]
    pub(crate) users: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct ServeArguments {
    /// What runs in this process.
    #[arg(long, value_enum)]
    pub(crate) role: Role,
    #[command(flatten)]
    pub(crate) flags: Flags<SERVE>,
    /// Router: a demo user; may be repeated.
    #[arg(long = "user", value_name = "NAME")]
    pub(crate) users: Vec<String>,
}

/// The tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Holds the sockets of clients, and asks a router.
    Gateway,
    /// Decides, stores, and answers gateways.
    Router,
    /// Both in one process.
    All,
}

#[derive(Args, Debug)]
pub(crate) struct LinkKeyArguments {
    /// Where to write it, for its owner alone. Without it, standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct FolderArguments {
    /// The data folder of the server.
    #[arg(long, value_name = "DIR", env = "RINGPOST_DATA_DIR", default_value = DEFAULT_DATA_DIR)]
    pub(crate) data_dir: PathBuf,
}

/// As whom, and where.
#[derive(Args, Clone, Debug)]
pub(crate) struct AccessArguments {
    /// A user of the server on the data folder.
    #[arg(id = "as", long, value_name = "NAME", required_unless_present = "token_file")]
    pub(crate) name: Option<String>,
    /// An access token, instead of --as: its text is in this file.
    #[arg(long, value_name = "FILE", conflicts_with = "as")]
    pub(crate) token_file: Option<PathBuf>,
    /// HOST:PORT of the server; without it the one that runs, or last ran, on the data folder.
    #[arg(long, value_name = "ADDR")]
    pub(crate) server: Option<String>,
    /// What the server must present, or its issuer, as PEM; without it the certificate in the data folder.
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) folder: FolderArguments,
}

impl AccessArguments {
    /// As they were typed, for a command that is to be typed again; each with a space in front.
    pub(crate) fn words(&self) -> String {
        let mut words = String::new();
        let mut add = |flag: &str, value: &str| words.push_str(&format!(" {flag} {}", binary::quoted(value)));
        let path = |path: &PathBuf| path.display().to_string();
        self.name.iter().for_each(|name| add("--as", name));
        self.token_file.iter().for_each(|file| add("--token-file", &path(file)));
        self.server.iter().for_each(|server| add("--server", server));
        self.certificate.iter().for_each(|file| add("--certificate", &path(file)));
        if self.folder.data_dir.as_os_str() != DEFAULT_DATA_DIR {
            add("--data-dir", &path(&self.folder.data_dir));
        }
        words
    }
}

/// With whom.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct RoomArguments {
    /// Another user, by name.
    #[arg(long, value_name = "NAME")]
    pub(crate) to: Option<String>,
    /// A group, by the id that `group create` printed.
    #[arg(long, value_name = "ID")]
    pub(crate) group: Option<ConversationId>,
}

#[derive(Args, Debug)]
pub(crate) struct ChatArguments {
    #[command(flatten)]
    pub(crate) access: AccessArguments,
    #[command(flatten)]
    pub(crate) room: RoomArguments,
    /// A line of standard input is a message, a line of standard output an event.
    #[arg(long)]
    pub(crate) json: bool,
    /// What this device keeps: its id, its cursor, its outbox. Without it clients/NAME in the data folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct SendArguments {
    #[command(flatten)]
    pub(crate) access: AccessArguments,
    #[command(flatten)]
    pub(crate) room: RoomArguments,
    /// The message; `-` takes each line of standard input as one.
    #[arg(value_name = "TEXT", required = true)]
    pub(crate) text: Vec<String>,
    /// Repeat a message that was not acked, under the id that was printed then: it is there once in the end.
    #[arg(long, value_name = "UUID")]
    pub(crate) client_msg_id: Option<ClientMsgId>,
    /// One JSON object for each message.
    #[arg(long)]
    pub(crate) json: bool,
    /// Give up after so many seconds without an ack.
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
    /// Send as the device that is kept here, whose outbox survives this process. Without it nothing is kept.
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

/// With whom, of what has been.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct PastRoomArguments {
    /// Another user, by name.
    #[arg(long, value_name = "NAME")]
    pub(crate) with: Option<String>,
    /// A group, by the id that `group create` printed.
    #[arg(long, value_name = "ID")]
    pub(crate) group: Option<ConversationId>,
}

#[derive(Args, Debug)]
pub(crate) struct HistoryArguments {
    #[command(flatten)]
    pub(crate) access: AccessArguments,
    #[command(flatten)]
    pub(crate) room: PastRoomArguments,
    /// At most so many: the newest, or with --after the first.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Only what follows this seq.
    #[arg(long, value_name = "SEQ")]
    pub(crate) after: Option<u64>,
    /// Also what is no message: who came and went, and places that hold nothing.
    #[arg(long)]
    pub(crate) all: bool,
    /// One JSON object for each entry.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct DeviceArguments {
    #[command(subcommand)]
    pub(crate) verb: DeviceVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeviceVerb {
    /// Print one's devices: those that are served first, and of each kind the newest.
    List {
        #[command(flatten)]
        access: AccessArguments,
        /// One JSON object for each device.
        #[arg(long)]
        json: bool,
    },
    /// Make a device in a folder, or link the one that is there anew after a revoke.
    Link(LinkArguments),
    /// End the session of a device at once, and refuse it from now on, until it is linked anew.
    Revoke {
        #[command(flatten)]
        access: AccessArguments,
        /// Which, by the id that `device list` printed.
        #[arg(value_name = "ID")]
        device: DeviceId,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args, Debug)]
pub(crate) struct LinkArguments {
    #[command(flatten)]
    pub(crate) access: AccessArguments,
    /// What the device keeps: its id, its cursor, its outbox. It is named to `chat` and `send` then.
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: PathBuf,
    /// What it is called in the list, at most 64 bytes; it keeps the name of its first time.
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
    /// Also print an access token that is good for this device alone, and for so long.
    #[arg(long, value_name = "S", requires = "as", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub(crate) token_lifetime_s: Option<u64>,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct TokenArguments {
    /// A user of the server on the data folder.
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) name: String,
    /// How long it is valid.
    #[arg(long, value_name = "S", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub(crate) lifetime_s: u64,
    #[command(flatten)]
    pub(crate) folder: FolderArguments,
}

#[derive(Args, Debug)]
pub(crate) struct TraceArguments {
    /// The id that `send` printed, and that logs name.
    #[arg(value_name = "CLIENT_MSG_ID")]
    pub(crate) client_msg_id: ClientMsgId,
    /// The admin listener of a server; repeat it for each gateway and router of a cluster. [default: the one of the
    /// server that runs, or last ran, on the data folder]
    #[arg(long = "admin", value_name = "ADDR")]
    pub(crate) admins: Vec<SocketAddr>,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) folder: FolderArguments,
}

#[derive(Args, Debug)]
pub(crate) struct StoreArguments {
    #[command(subcommand)]
    pub(crate) verb: StoreVerb,
}

/// Which store, and how to tell.
#[derive(Args, Clone, Debug)]
pub(crate) struct OneStoreArguments {
    #[command(flatten)]
    pub(crate) folder: FolderArguments,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreVerb {
    /// Verify every byte, and end the read-only state after a failed write. The server must not run.
    Check(OneStoreArguments),
    /// Print what it holds, as of its newest indexes and snapshot. The server may run.
    Stat(OneStoreArguments),
    /// Put a copy of it as it is now into a folder that is empty or not there. The server may run.
    Backup {
        #[command(flatten)]
        store: OneStoreArguments,
        /// Where to.
        #[arg(value_name = "DIR")]
        target: PathBuf,
    },
    /// Make it from a backup, where there is none yet. Clients then get everything anew.
    Restore {
        #[command(flatten)]
        store: OneStoreArguments,
        /// Where from.
        #[arg(value_name = "DIR")]
        backup: PathBuf,
    },
}

#[derive(Args, Debug)]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    pub(crate) verb: ConfigVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Name every mistake of a file.
    Check {
        /// Which.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print every value that a server with these flags would have here, and where it comes from.
    Show {
        #[command(flatten)]
        flags: Flags<SHOW>,
        /// One JSON object for each key.
        #[arg(long)]
        json: bool,
    },
    /// Print what every key means, as Markdown.
    Docs,
}

#[derive(Args, Debug)]
pub(crate) struct EraseArguments {
    #[command(subcommand)]
    pub(crate) verb: EraseVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EraseVerb {
    /// Take the content of a message away, for everybody. Its place stays, as a void.
    Message {
        /// Which, as `history --json` names it.
        #[arg(value_name = "CONVERSATION/SEQ")]
        message: MessageId,
        #[command(flatten)]
        order: OrderArguments,
    },
    /// Take a user away, with its devices and all that it has said. Its id is never used again.
    User {
        /// Who.
        #[arg(value_name = "NAME or ID")]
        user: String,
        #[command(flatten)]
        order: OrderArguments,
    },
}

/// How an order is given.
#[derive(Args, Clone, Debug)]
pub(crate) struct OrderArguments {
    #[command(flatten)]
    pub(crate) folder: FolderArguments,
    /// The admin listener of the router; without it the one that runs on the data folder.
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<SocketAddr>,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Prints what clap has to say, and gives the exit code for it.
pub(crate) fn explain(error: &clap::Error) -> ExitCode {
    // Nobody is left to be told when the stream is closed.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS }
}
