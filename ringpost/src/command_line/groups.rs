//! What can be typed of groups and channels.

use clap::{Args, Subcommand};
use protocol::ids::ConversationId;

use super::AccessArguments;

#[derive(Args, Debug)]
pub(crate) struct GroupArguments {
    #[command(subcommand)]
    pub(crate) verb: GroupVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GroupVerb {
    /// Make a group and print its id.
    Create(CreateArguments),
    /// Add members. Owners and admins may.
    Add(MemberArguments),
    /// Remove members. Owners and admins may; nobody removes the owner.
    Remove(MemberArguments),
    /// Leave.
    Leave(OneGroupArguments),
    /// Print title and members.
    Show(OneGroupArguments),
}

#[derive(Args, Debug)]
pub(crate) struct CreateArguments {
    #[command(flatten)]
    pub(crate) access: AccessArguments,
    /// What it is called, at most 256 bytes.
    #[arg(long, value_name = "TITLE")]
    pub(crate) title: String,
    /// Somebody who is in it from the start; may be repeated.
    #[arg(long = "member", value_name = "NAME")]
    pub(crate) members: Vec<String>,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ChannelArguments {
    #[command(subcommand)]
    pub(crate) verb: ChannelVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ChannelVerb {
    /// Make a channel and print its id, with which its members write (`send --group`) and are changed (`group`).
    Create(CreateArguments),
    /// Print what is said in a channel from now on, until it is interrupted.
    Follow(FollowArguments),
}

#[derive(Args, Debug)]
pub(crate) struct FollowArguments {
    #[command(flatten)]
    pub(crate) access: AccessArguments,
    /// The id that `channel create` printed.
    #[arg(long, value_name = "ID")]
    pub(crate) channel: ConversationId,
    /// Begin behind this entry, with 0 with the first; without it what is there already is left out.
    #[arg(long, value_name = "SEQ")]
    pub(crate) after: Option<u64>,
    /// End after so many messages.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// One JSON object for each message.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct MemberArguments {
    #[command(flatten)]
    pub(crate) group: OneGroupArguments,
    /// Whom; may be repeated.
    #[arg(long = "member", value_name = "NAME", required = true)]
    pub(crate) members: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct OneGroupArguments {
    #[command(flatten)]
    pub(crate) access: AccessArguments,
    /// The id that `group create` printed.
    #[arg(long, value_name = "ID")]
    pub(crate) group: ConversationId,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}
