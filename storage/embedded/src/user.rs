//! What is kept in memory of one user: everything but the events of its log.

use protocol::ids::{ClientMsgId, ConversationId, DeviceId, Ordinal, Seq, UserSeq};
use protocol::small_map::SmallMap;
use storage_api::{DeviceRow, EntryKey, Standing, UserEvent, UserRow};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) row: UserRow,
    /// By install id.
    pub(crate) devices: SmallMap<ClientMsgId, DeviceRow>,
    /// The end of the log.
    pub(crate) head: UserSeq,
    /// Its id stays taken, so that it is never given to anybody else.
    pub(crate) is_erased: bool,
    pub(crate) conversations: SmallMap<ConversationId, Holding>,
}

/// How far a user is in a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holding {
    /// The last entry in the user's log.
    pub(crate) held: Seq,
    /// The count at `held`; `None`: the entry says it.
    pub(crate) held_ordinal: Option<Ordinal>,
    /// When that came, as a place of the log.
    pub(crate) touched: UserSeq,
    pub(crate) read: Seq,
    pub(crate) read_ordinal: Ordinal,
}

impl User {
    pub(crate) fn new(row: UserRow) -> User {
        User { row, devices: SmallMap::new(), head: UserSeq(0), is_erased: false, conversations: SmallMap::new() }
    }

    /// Events that are there already are kept as they are; behind a gap nothing is taken. Answers how many were new.
    pub(crate) fn append(
        &mut self,
        first: UserSeq,
        events: &[UserEvent],
        ordinal_of: impl Fn(EntryKey) -> Option<Ordinal>,
    ) -> usize {
        let Some(known) = self.head.next().0.checked_sub(first.0) else { return 0 };
        let fresh = events.get(usize::try_from(known).unwrap_or(usize::MAX)..).unwrap_or_default();
        for event in fresh {
            self.head = self.head.next();
            if let UserEvent::Entry { key, .. } = event {
                let holding = self.conversations.get_or_insert_with(key.conversation, Holding::default);
                if key.seq >= holding.held {
                    (holding.held, holding.held_ordinal) = (key.seq, ordinal_of(*key));
                    holding.touched = self.head;
                }
            }
        }
        fresh.len()
    }

    pub(crate) fn held(&self, conversation: ConversationId) -> Seq {
        self.conversations.get(&conversation).map_or(Seq(0), |holding| holding.held)
    }

    pub(crate) fn read_up_to(&mut self, conversation: ConversationId, seq: Seq, ordinal: Ordinal) {
        let holding = self.conversations.get_or_insert_with(conversation, Holding::default);
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

    /// A device that is known already is as it has become since.
    pub(crate) fn register(&mut self, install_id: ClientMsgId, row: &DeviceRow) {
        if self.device_mut(row.id).is_none() {
            self.devices.get_or_insert_with(install_id, || row.clone());
        }
    }

    pub(crate) fn device_installed_as(&self, install_id: ClientMsgId) -> Option<&DeviceRow> {
        self.devices.get(&install_id)
    }

    pub(crate) fn devices(&self) -> impl Iterator<Item = &DeviceRow> + '_ {
        self.devices.values()
    }

    pub(crate) fn save_cursor(&mut self, device: DeviceId, cursor: UserSeq) {
        if let Some(device) = self.device_mut(device) {
            device.cursor = device.cursor.max(cursor);
        }
    }

    pub(crate) fn save_standing(&mut self, device: DeviceId, standing: Standing) {
        if let Some(device) = self.device_mut(device) {
            device.standing = device.standing.max(standing);
        }
    }

    fn device_mut(&mut self, id: DeviceId) -> Option<&mut DeviceRow> {
        let (install_id, _) = self.devices.iter().find(|(_, device)| device.id == id)?;
        let install_id = *install_id;
        self.devices.get_mut(&install_id)
    }
}
