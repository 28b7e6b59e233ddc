//! Judges what clients were told against what the server has: the promises P1 to P5 and P10, as far as a client sees them.
//!
//! [`stored`] holds at every moment, for facts that were read before the histories. [`told`] holds once all is calm.

use std::collections::BTreeMap;

use protocol::ids::{ConversationId, DeviceId, Seq, UserId};

use crate::cast::{Cast, Room};
use crate::fact::{Content, DeviceIndex, Fact, News};
use crate::history::{History, Said};
use crate::verdict::{Verdict, broken};

/// Messages by their place.
type Stored<'a> = BTreeMap<ConversationId, &'a History>;

/// Nothing that a client was told of is lost, changed or there twice. Gives the number of messages.
pub fn stored(histories: &[History], facts: &[Fact]) -> Verdict<usize> {
    let messages = check_places(histories)?;
    let by_conversation: Stored<'_> = histories.iter().map(|history| (history.conversation, history)).collect();
    let mut queued = BTreeMap::new();
    for Fact { device, news } in facts {
        match news {
            News::Mishap(promise, text) => return Err(broken(promise, format!("device {}: {text}", device.0))),
            News::Acked(conversation, seq, client_msg_id) => {
                let found = said(&by_conversation, *conversation, *seq);
                if found.is_none_or(|said| said.content.client_msg_id != *client_msg_id) {
                    return Err(broken(
                        "P1",
                        format!("{client_msg_id} was acked as {conversation}/{seq}, which {}", is(found)),
                    ));
                }
            }
            News::Told(conversation, seq, content) => {
                let found = said(&by_conversation, *conversation, *seq);
                if found.is_none_or(|said| said.content != *content) {
                    let id = content.client_msg_id;
                    return Err(broken(
                        "P1",
                        format!("{id} was delivered as {conversation}/{seq}, which {}", is(found)),
                    ));
                }
            }
            News::Queued(_, content) => drop(queued.insert(content.client_msg_id, content.checksum)),
            News::Opened | News::Online(_) | News::Delivered(..) | News::Read(..) => {}
        }
    }
    for Said { content: Content { client_msg_id, checksum }, .. } in messages_of(histories) {
        if queued.get(client_msg_id).is_some_and(|sent| sent != checksum) {
            return Err(broken("P10", format!("{client_msg_id} has another body than was sent")));
        }
    }
    Ok(messages)
}

/// Every seq is there, in order, and no message has two of them.
fn check_places(histories: &[History]) -> Verdict<usize> {
    let mut places = BTreeMap::new();
    for History { conversation, entries } in histories {
        for (entry, wanted) in entries.iter().zip(1..) {
            if entry.seq != Seq(wanted) {
                return Err(broken("P3", format!("{conversation} has seq {} where {wanted} is due", entry.seq)));
            }
            let Some(Said { device, content }) = entry.message else { continue };
            let key = (*conversation, device, content.client_msg_id);
            if let Some(first) = places.insert(key, entry.seq) {
                let text = format!("{} is at {conversation}/{first} and at {}", content.client_msg_id, entry.seq);
                return Err(broken("P2", text));
            }
        }
    }
    Ok(places.len())
}

/// Every device was told everything that others said, in order, and every sender of every receipt. Gives what is not
/// told yet: a message, if one is missing, since its receipt is then missing, too.
pub fn told(cast: &Cast, histories: &[History], facts: &[Fact]) -> Verdict<Option<String>> {
    let ids = device_ids(facts);
    let by_conversation: Stored<'_> = histories.iter().map(|history| (history.conversation, history)).collect();
    let mut by_device: BTreeMap<DeviceIndex, Vec<&News>> = BTreeMap::new();
    facts.iter().for_each(|fact| by_device.entry(fact.device).or_default().push(&fact.news));
    let mut missing_receipt = None;
    for device in cast.devices() {
        let Some(id) = ids.get(&device) else { return Ok(Some(format!("device {} was never online", device.0))) };
        let its_facts = by_device.remove(&device).unwrap_or_default();
        for room in cast.rooms_of(device) {
            let Some(history) = by_conversation.get(&room.conversation) else {
                return Ok(Some(format!("{} has no history", room.conversation)));
            };
            let foreign = places(history, |said| said.device != *id);
            let told_count = check_order(device, room.conversation, &foreign, &its_facts)?;
            if let Some(missing) = foreign.get(told_count) {
                let place = format!("{}/{missing}", room.conversation);
                return Ok(Some(format!("device {} was not told {place}", device.0)));
            }
            if missing_receipt.is_none() {
                missing_receipt = receipt_not_told(cast, device, &room, history, &ids, &its_facts);
            }
        }
    }
    Ok(missing_receipt)
}

/// Everybody else has everything that the owner of this device said here, and this device was told so.
fn receipt_not_told(
    cast: &Cast,
    device: DeviceIndex,
    room: &Room,
    history: &History,
    ids: &BTreeMap<DeviceIndex, DeviceId>,
    facts: &[&News],
) -> Option<String> {
    let owner = cast.owner(device);
    let senders: Vec<DeviceId> = devices_of(cast, owner).filter_map(|it| ids.get(&it)).copied().collect();
    let last = places(history, |said| senders.contains(&said.device)).pop()?;
    room.members.iter().filter(|member| **member != owner).find_map(|member| {
        let kind = missing_receipt(facts, room.conversation, *member, last)?;
        let place = format!("{}/{last}", room.conversation);
        Some(format!("device {} was not told that {member} has {kind} {place}", device.0))
    })
}

/// How many of the places of others, from the first on, a device was told. A life begins where the one before can have
/// been, or earlier, and goes on without a gap.
fn check_order(device: DeviceIndex, conversation: ConversationId, foreign: &[Seq], facts: &[&News]) -> Verdict<usize> {
    let mut told_count = 0;
    let mut next_in_life = None;
    for news in facts {
        let seq = match news {
            News::Opened => {
                next_in_life = None;
                continue;
            }
            News::Told(told_in, seq, _) if *told_in == conversation => seq,
            _ => continue,
        };
        let place = format!("{conversation}/{seq}");
        let Ok(index) = foreign.binary_search(seq) else {
            return Err(broken("P4", format!("device {} was told its own {place}", device.0)));
        };
        let is_in_order = next_in_life.map_or(index <= told_count, |next| index == next);
        if !is_in_order {
            let wanted =
                foreign.get(next_in_life.unwrap_or(told_count)).map_or_else(|| "nothing".to_owned(), Seq::to_string);
            return Err(broken("P3", format!("device {} was told {place} where {wanted} was due", device.0)));
        }
        next_in_life = Some(index + 1);
        told_count = told_count.max(index + 1);
    }
    Ok(told_count)
}

fn missing_receipt(facts: &[&News], conversation: ConversationId, by: UserId, last: Seq) -> Option<&'static str> {
    let is_told = |receipt: fn(&News) -> Option<(ConversationId, Seq, UserId)>| {
        let mut receipts = facts.iter().filter_map(|news| receipt(news));
        receipts.any(|(told_in, up_to, whose)| told_in == conversation && whose == by && up_to >= last)
    };
    let is_delivered = is_told(|news| match news {
        News::Delivered(conversation, up_to, by) => Some((*conversation, *up_to, *by)),
        _ => None,
    });
    let is_read = is_told(|news| match news {
        News::Read(conversation, up_to, by) => Some((*conversation, *up_to, *by)),
        _ => None,
    });
    (!is_delivered).then_some("received").or((!is_read).then_some("read"))
}

fn device_ids(facts: &[Fact]) -> BTreeMap<DeviceIndex, DeviceId> {
    let online = facts.iter().filter_map(|fact| match fact.news {
        News::Online(id) => Some((fact.device, id)),
        _ => None,
    });
    online.collect()
}

fn devices_of(cast: &Cast, owner: UserId) -> impl Iterator<Item = DeviceIndex> + '_ {
    cast.devices().filter(move |device| cast.owner(*device) == owner)
}

fn places(history: &History, is_wanted: impl Fn(&Said) -> bool) -> Vec<Seq> {
    let wanted = history.entries.iter().filter(|entry| entry.message.as_ref().is_some_and(&is_wanted));
    wanted.map(|entry| entry.seq).collect()
}

fn messages_of(histories: &[History]) -> impl Iterator<Item = &Said> {
    histories.iter().flat_map(|history| &history.entries).filter_map(|entry| entry.message.as_ref())
}

/// Entry n of a history that has passed [`check_places`] has seq n + 1.
fn said<'a>(histories: &Stored<'a>, conversation: ConversationId, seq: Seq) -> Option<&'a Said> {
    let index = usize::try_from(seq.0).ok()?.checked_sub(1)?;
    histories.get(&conversation)?.entries.get(index)?.message.as_ref()
}

fn is(found: Option<&Said>) -> String {
    found.map_or_else(|| "holds no message".to_owned(), |said| format!("is {}", said.content.client_msg_id))
}

#[cfg(test)]
mod tests;
