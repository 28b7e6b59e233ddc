//! What the index holds of one user.

use std::collections::HashMap;

use protocol::ids::{ClientMsgId, ConversationId, DeviceId, Ordinal, Seq, UserSeq};
use storage_api::{DeviceRow, UserEvent, UserRow};

pub(crate) struct User {
    pub(crate) row: UserRow,
    devices: Vec<(ClientMsgId, DeviceRow)>,
    /// The event with user_seq 1 and on.
    log: Vec<UserEvent>,
    conversations: HashMap<ConversationId, Holding>,
}

/// How far a user is in a conversation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Holding {
    /// The last entry in the user's log.
    pub(crate) held: Seq,
    /// When that came, as a place of the log.
    pub(crate) touched: UserSeq,
    pub(crate) read: Seq,
    pub(crate) read_ordinal: Ordinal,
}

impl User {
    pub(crate) fn new(row: UserRow) -> User {
        User { row, devices: Vec::new(), log: Vec::new(), conversations: HashMap::new() }
    }

    /// Events that are there already are kept as they are; behind a gap nothing is taken.
    pub(crate) fn append(&mut self, first: UserSeq, events: &[UserEvent]) {
        let Some(known) = self.head().next().0.checked_sub(first.0) else { return };
        for event in events.iter().skip(usize::try_from(known).unwrap_or(usize::MAX)) {
            self.log.push(*event);
            let touched = self.head();
            if let UserEvent::Entry { key, .. } = event {
                let holding = self.conversations.entry(key.conversation).or_default();
                holding.held = holding.held.max(key.seq);
                holding.touched = touched;
            }
        }
    }

    pub(crate) fn head(&self) -> UserSeq {
        UserSeq(self.log.len() as u64)
    }

    /// Events after this place, in order.
    pub(crate) fn events_after(&self, after: UserSeq) -> impl Iterator<Item = (UserSeq, &UserEvent)> {
        let skipped = usize::try_from(after.0).unwrap_or(usize::MAX);
        let events = self.log.get(skipped..).unwrap_or_default();
        events.iter().zip(after.0.saturating_add(1)..).map(|(event, place)| (UserSeq(place), event))
    }

    pub(crate) fn held(&self, conversation: ConversationId) -> Seq {
        self.conversations.get(&conversation).map_or(Seq(0), |holding| holding.held)
    }

    pub(crate) fn read_up_to(&mut self, conversation: ConversationId, seq: Seq, ordinal: Ordinal) {
        let holding = self.conversations.entry(conversation).or_default();
        if seq > holding.read {
            (holding.read, holding.read_ordinal) = (seq, ordinal);
        }
    }

    /// Those of which the log holds something, newest first.
    pub(crate) fn conversations(&self) -> Vec<(ConversationId, Holding)> {
        let held = self.conversations.iter().filter(|(_, holding)| holding.held > Seq(0));
        let mut held: Vec<_> = held.map(|(conversation, holding)| (*conversation, *holding)).collect();
        held.sort_unstable_by_key(|(_, holding)| std::cmp::Reverse(holding.touched));
        held
    }

    pub(crate) fn register(&mut self, install_id: ClientMsgId, row: DeviceRow) {
        match self.devices.iter_mut().find(|(_, device)| device.id == row.id) {
            // A device that is linked anew keeps its cursor.
            Some((known, device)) => {
                *known = install_id;
                *device = DeviceRow { cursor: device.cursor, ..row };
            }
            None => self.devices.push((install_id, row)),
        }
    }

    pub(crate) fn device_installed_as(&self, install_id: ClientMsgId) -> Option<DeviceRow> {
        self.devices.iter().find(|(known, _)| *known == install_id).map(|(_, device)| *device)
    }

    pub(crate) fn devices(&self) -> impl Iterator<Item = DeviceRow> + '_ {
        self.devices.iter().map(|(_, device)| *device)
    }

    pub(crate) fn save_cursor(&mut self, device: DeviceId, cursor: UserSeq) {
        if let Some((_, device)) = self.devices.iter_mut().find(|(_, row)| row.id == device) {
            device.cursor = device.cursor.max(cursor);
        }
    }
}
