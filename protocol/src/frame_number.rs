//! The numbers of all frames and events, those of later versions included: one table, so that no number is given twice.

/// Where a number stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// In the schema.
    Landed,
    /// Kept for a later version; answered as unsupported today.
    Reserved,
}

use Status::{Landed, Reserved};

/// Members of `ClientBody`.
pub const CLIENT: &[(u8, &str, Status)] = &[
    (1, "Hello", Landed),
    (2, "MessageSend", Landed),
    (3, "MessageEdit", Reserved),
    (4, "MessageDelete", Reserved),
    (5, "ReactionSet", Reserved),
    (6, "Ack", Landed),
    (7, "MessageRead", Landed),
    (8, "TypingStart", Landed),
    (9, "TypingStop", Landed),
    (10, "PresenceSubscribe", Reserved),
    (11, "DraftSet", Reserved),
    (12, "SyncGet", Landed),
    (13, "HistoryGet", Landed),
    (14, "TokenRefresh", Reserved),
    (15, "Ping", Landed),
    (16, "ConversationCreate", Landed),
    (17, "MemberChange", Landed),
    (18, "MembersGet", Landed),
    (19, "UserLookup", Landed),
    (20, "DevicesGet", Landed),
    (21, "DeviceRevoke", Landed),
    (22, "ChannelFollow", Landed),
];

/// Members of `ServerBody`.
pub const SERVER: &[(u8, &str, Status)] = &[
    (1, "Welcome", Landed),
    (2, "MessageAck", Landed),
    (3, "OpAck", Landed),
    (4, "Push", Landed),
    (5, "ChannelPush", Landed),
    (6, "SyncPage", Landed),
    (7, "HistoryPage", Landed),
    (8, "Ephemeral", Landed),
    (9, "Pong", Landed),
    (10, "PullMode", Landed),
    (11, "Snapshot", Landed),
    (12, "GoAway", Landed),
    (13, "Redirect", Reserved),
    (14, "Error", Landed),
    (15, "MembersPage", Landed),
    (16, "UserPage", Landed),
    (17, "Resend", Landed),
    (18, "DevicesPage", Landed),
];

/// Members of `EventBody`.
pub const EVENT: &[(u8, &str, Status)] = &[
    (1, "MessageNew", Landed),
    (2, "Echo", Landed),
    (3, "Void", Landed),
    (4, "MessageEdited", Reserved),
    (5, "MessageDeleted", Reserved),
    (6, "ReactionChanged", Reserved),
    (7, "Delivered", Landed),
    (8, "Read", Landed),
    (9, "SyncRead", Landed),
    (10, "MemberChanged", Landed),
    (11, "ConversationChanged", Reserved),
    (12, "DraftChanged", Reserved),
];

/// Members of `EphemeralBody`.
pub const EPHEMERAL: &[(u8, &str, Status)] = &[(1, "Typing", Landed), (2, "Presence", Reserved)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_has_the_landed_numbers_and_no_others() {
        for number in 1..=u8::MAX {
            let name = |table: &'static [(u8, &'static str, Status)]| {
                table.iter().find(|row| row.0 == number && row.2 == Landed).map(|row| row.1)
            };
            assert_eq!(wire::ClientBody(number).variant_name(), name(CLIENT));
            assert_eq!(wire::ServerBody(number).variant_name(), name(SERVER));
            assert_eq!(wire::EventBody(number).variant_name(), name(EVENT));
            assert_eq!(wire::EphemeralBody(number).variant_name(), name(EPHEMERAL));
        }
    }

    #[test]
    fn every_number_is_given_once_and_in_order() {
        for table in [CLIENT, SERVER, EVENT, EPHEMERAL] {
            assert!(table.iter().enumerate().all(|(index, row)| usize::from(row.0) == index + 1));
        }
    }
}
