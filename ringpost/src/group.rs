//! `group`: makes groups, changes who is in them, and shows them.

use client::{Client, MemberDraft, MembersPage, RequestError};
use protocol::ids::{MessageId, UserId};
use protocol::limits::TITLE_SIZE_MAX;
use protocol::wire::{MembershipAction, Role};
use serde::Serialize;

use crate::access::Access;
use crate::command_line::{CreateArguments, GroupVerb, MemberArguments, OneGroupArguments};
use crate::entry::{DoneLine, Names};
use crate::mistake::{Exit, Mistake};
use crate::output::{harmless, print_json, print_line};
use crate::visit;

pub(crate) fn run(verb: &GroupVerb) -> Result<(), Mistake> {
    match verb {
        GroupVerb::Create(arguments) => {
            create(arguments, async |client, title, members| client.create_group(title, members).await)
        }
        GroupVerb::Add(arguments) => change_members(arguments, MembershipAction::Added),
        GroupVerb::Remove(arguments) => change_members(arguments, MembershipAction::Removed),
        GroupVerb::Leave(arguments) => visit::ask(&Access::of(&arguments.access)?, async |client| {
            let me = client.me().await.map_or(UserId(0), |me| me.user);
            change(client, arguments, MembershipAction::Left, vec![me]).await
        }),
        GroupVerb::Show(arguments) => visit::ask(&Access::of(&arguments.access)?, async |client| {
            let page = visit::answer(client.members(arguments.group)).await?;
            let ids: Vec<UserId> = page.members.iter().map(|member| member.user).collect();
            let mut names = Names::default();
            names.learn_all(&ids, visit::users_by_id(client, &ids).await?);
            show(&page, &names, arguments.json)
        }),
    }
}

/// Makes a group, or a channel, and prints its id.
pub(crate) fn create(
    arguments: &CreateArguments,
    make: impl AsyncFnOnce(&Client, &str, &[UserId]) -> Result<MessageId, RequestError>,
) -> Result<(), Mistake> {
    let CreateArguments { access, title, members, json } = arguments;
    if title.len() > TITLE_SIZE_MAX {
        return Err(Mistake::new(Exit::Data, format!("a title has at most {TITLE_SIZE_MAX} bytes")));
    }
    visit::ask(&Access::of(access)?, async |client| {
        let members = visit::user_ids(client, members).await?;
        let place = visit::answer(make(client, title, &members)).await?;
        if *json {
            return print_json(&DoneLine::from(place));
        }
        print_line(place.conversation.to_string().as_bytes())
    })
}

fn change_members(arguments: &MemberArguments, action: MembershipAction) -> Result<(), Mistake> {
    let MemberArguments { group, members } = arguments;
    visit::ask(&Access::of(&group.access)?, async |client| {
        let users = visit::user_ids(client, members).await?;
        change(client, group, action, users).await
    })
}

async fn change(
    client: &Client,
    group: &OneGroupArguments,
    action: MembershipAction,
    users: Vec<UserId>,
) -> Result<(), Mistake> {
    let role = if action == MembershipAction::Added { Role::Member } else { Role::None };
    let draft = MemberDraft { conversation: group.group, action, users, role };
    let place: MessageId = visit::answer(client.change_members(draft)).await?;
    if group.json {
        return print_json(&DoneLine::from(place));
    }
    print_line(format!("done as {place}").as_bytes())
}

#[derive(Serialize)]
struct GroupLine {
    conversation: String,
    title: String,
    head_seq: u64,
    members: Vec<MemberLine>,
}

#[derive(Serialize)]
struct MemberLine {
    name: String,
    role: &'static str,
    joined_seq: u64,
}

fn show(page: &MembersPage, names: &Names, as_json: bool) -> Result<(), Mistake> {
    let member = |member: &client::Member| MemberLine {
        name: names.of(member.user),
        role: role_name(member.role),
        joined_seq: member.join.0,
    };
    let line = GroupLine {
        conversation: page.conversation.to_string(),
        title: page.title.clone(),
        head_seq: page.head.0,
        members: page.members.iter().map(member).collect(),
    };
    if as_json {
        return print_json(&line);
    }
    print_line(harmless(&format!("{}  ({} members)", line.title, line.members.len())).as_bytes())?;
    line.members.iter().try_for_each(|member| {
        print_line(
            harmless(&format!("  {:<24} {:<7} since {}", member.name, member.role, member.joined_seq)).as_bytes(),
        )
    })
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Admin => "admin",
        Role::Owner => "owner",
        _ => "none",
    }
}
