//! `device`: shows the devices of a user, links one, or revokes one.

use std::path::Path;
use std::time::Duration;

use client::{Device, Identity, Me, StateDir};
use protocol::ids::{DeviceGeneration, DeviceId};
use protocol::limits::DEVICE_NAME_SIZE_MAX;
use serde::Serialize;

use crate::access::{self, Access};
use crate::binary;
use crate::command_line::{DeviceVerb, LinkArguments};
use crate::local_time::LocalTime;
use crate::mistake::{Exit, Mistake};
use crate::output::{harmless, print_json, print_line};
use crate::visit;

pub(crate) fn run(verb: &DeviceVerb) -> Result<(), Mistake> {
    match verb {
        DeviceVerb::List { access, json } => list(&Access::of(access)?, *json),
        DeviceVerb::Link(arguments) => link(arguments),
        DeviceVerb::Revoke { access, device, json } => revoke(&Access::of(access)?, *device, *json),
    }
}

#[derive(Serialize)]
struct DeviceLine {
    device_id: u64,
    generation: u32,
    name: String,
    revoked: bool,
    online: bool,
    registered_at_ms: Option<u64>,
    /// `None` while it is online, and where it is not known.
    last_seen_ms: Option<u64>,
}

impl From<Device> for DeviceLine {
    fn from(device: Device) -> DeviceLine {
        DeviceLine {
            device_id: device.id.0,
            generation: device.generation.0,
            name: device.name,
            revoked: device.is_revoked,
            online: device.is_online,
            registered_at_ms: device.registered_at.map(|at| at.0),
            last_seen_ms: device.last_seen.map(|at| at.0),
        }
    }
}

fn list(access: &Access, as_json: bool) -> Result<(), Mistake> {
    let local_time = LocalTime::here();
    let devices = visit::ask(access, async |client| visit::answer(client.devices()).await)?;
    devices.into_iter().map(DeviceLine::from).try_for_each(|line| {
        if as_json { print_json(&line) } else { print_line(for_a_person(&line, local_time).as_bytes()) }
    })
}

fn for_a_person(line: &DeviceLine, local_time: LocalTime) -> String {
    let at = |time_ms: Option<u64>| time_ms.map_or_else(|| "-".to_owned(), |ms| local_time.date_and_minute(ms));
    let state = match line {
        DeviceLine { revoked: true, .. } => "revoked".to_owned(),
        DeviceLine { online: true, .. } => "online".to_owned(),
        _ => format!("seen {}", at(line.last_seen_ms)),
    };
    let DeviceLine { device_id, generation, name, registered_at_ms, .. } = line;
    let registered = at(*registered_at_ms);
    harmless(&format!("{device_id:>6}  generation {generation}  since {registered}  {state:<21}  {name}"))
}

#[derive(Serialize)]
struct LinkedLine<'a> {
    device_id: u64,
    generation: u32,
    state_dir: &'a Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
}

fn link(arguments: &LinkArguments) -> Result<(), Mistake> {
    let access = Access::of(&arguments.access)?;
    let name = arguments.name.clone().unwrap_or_else(|| access.device_name());
    if name.len() > DEVICE_NAME_SIZE_MAX {
        return Err(Mistake::new(Exit::Data, format!("a name has at most {DEVICE_NAME_SIZE_MAX} bytes")));
    }
    let identity = Identity::LinkedAnew { state_dir: StateDir::open(&arguments.state_dir)?, name };
    let me = visit::ask_as(&access, identity, async |client| visit::me(client).await)?;
    let access_token = arguments.token_lifetime_s.map(|seconds| bound_token(&access, &me, seconds)).transpose()?;
    if arguments.json {
        let (device_id, generation) = (me.device.0, me.device_generation.0);
        return print_json(&LinkedLine { device_id, generation, state_dir: &arguments.state_dir, access_token });
    }
    print_line(format!("device {} is linked, generation {}; use it with", me.device, me.device_generation).as_bytes())?;
    let (binary, words) = (binary::path(), arguments.access.words());
    let state_dir = binary::quoted(&arguments.state_dir.display().to_string());
    print_line(format!("  {binary} chat{words} --to NAME --state-dir {state_dir}").as_bytes())?;
    access_token.map_or(Ok(()), |token| print_line(token.as_bytes()))
}

/// For a client elsewhere that is this device: worth nothing for others, and nothing once it is revoked.
fn bound_token(access: &Access, me: &Me, lifetime_s: u64) -> Result<String, Mistake> {
    let device = Some((me.device, me.device_generation));
    Ok(access::sign(&access.data_dir().signer()?, me.user, device, Duration::from_secs(lifetime_s)))
}

#[derive(Serialize)]
struct RevokedLine {
    device_id: u64,
    generation: u32,
}

fn revoke(access: &Access, device: DeviceId, as_json: bool) -> Result<(), Mistake> {
    let generation: DeviceGeneration = visit::ask(access, async |client| {
        let devices = visit::answer(client.devices()).await?;
        let found = devices.iter().find(|found| found.id == device);
        let no_such_device = || {
            let text =
                format!("the user has no device {device}; `{} device list` shows which there are", binary::path());
            Mistake::new(Exit::NoUser, text)
        };
        let generation = found.ok_or_else(no_such_device)?.generation;
        visit::answer(client.revoke_device(device, generation)).await?;
        Ok(generation)
    })?;
    if as_json {
        return print_json(&RevokedLine { device_id: device.0, generation: generation.0 });
    }
    print_line(format!("device {device} is revoked, generation {generation}").as_bytes())
}
