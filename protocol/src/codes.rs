//! Every code that closes a connection or refuses a frame, in one table.
//!
//! 3000–3499 close, reconnect. 3500–3999 close, do not reconnect until something has changed. 4000–4499 refuse one
//! frame, try again later. 4500–4999 refuse one frame for good.

macro_rules! codes {
    ($($number:literal $name:ident $text:literal,)+) => {
        /// Why a connection was closed or a frame refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Code { $(#[doc = $text] $name = $number,)+ }

        impl Code {
            /// Every code, in order of number.
            pub const ALL: &[Code] = &[$(Code::$name,)+];

            /// `None` for a number this build does not know; its range still says what to do.
            pub fn from_number(number: u16) -> Option<Code> {
                match number { $($number => Some(Code::$name),)+ _ => None }
            }

            /// The name that logs and metrics use.
            pub fn name(self) -> &'static str {
                match self { $(Code::$name => stringify!($name),)+ }
            }

            /// What happened and what to do.
            pub fn text(self) -> &'static str {
                match self { $(Code::$name => $text,)+ }
            }
        }
    };
}

codes! {
    3000 GoingAway "the server is going down for maintenance; reconnect within the given window",
    3001 HelloTimeout "no Hello arrived in time; reconnect and send it at once",
    3002 HeartbeatMissed "nothing was heard within two heartbeat intervals; reconnect",
    3003 SlowReader "the connection did not take what was sent to it; reconnect and resume",
    3004 Overloaded "the server is at a limit; reconnect after the given time",
    3005 RouterUnavailable "the gateway cannot reach its router; reconnect",
    3006 FrameTimeout "a frame did not arrive whole in time; reconnect",
    3007 InternalError "the server gave up on this connection because of a fault of its own; reconnect",
    3500 FrameInvalid "a frame could not be verified; fix the client",
    3501 FrameTooLarge "a frame is larger than allowed; fix the client",
    3502 HelloExpected "the first frame must be Hello, and only the first; fix the client",
    3503 VersionUnsupported "no common protocol version; update the client",
    3504 TokenInvalid "the access token is not valid here; sign in again",
    3505 TokenExpired "the access token has expired; get a new one",
    3506 DeviceRevoked "this device was unlinked; link it again",
    3507 DeviceUnknown "no such device of this user; register it again",
    3508 Replaced "the same device has connected elsewhere; only one connection of a device is served",
    3509 UserUnknown "no such user; sign in again",
    3510 TooManyDevices "this user has as many devices as one may have; unlink one of them, then sign in again",
    4000 TryAgain "the server could not do this now; try again after the given time",
    4001 RateLimited "too many of these; try again after the given time",
    4002 DiskLow "the store is almost full and takes nothing new; try again later",
    4500 NotPermitted "not a member of this conversation, or not allowed to do this in it",
    4501 ClientIdTooOld "the client id is older than 6 days; it cannot be sent safely any more",
    4502 ClientIdInFuture "the client id lies more than 10 minutes ahead of server time; correct the clock",
    4503 TooLarge "a field is larger than allowed",
    4504 ConversationUnknown "no such conversation",
    4505 NoSuchUser "no such user",
    4506 Malformed "a field is missing or has a value that is not allowed",
    4507 GroupFull "the group has as many members as it may have",
    4508 Unsupported "this server does not know this frame",
    4509 NotForTransient "a transient session cannot do this; connect as a device",
    4510 NoSuchDevice "no such device of this user, or not under this generation; look at the list again",
}

impl Code {
    /// The number on the wire.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// Whether the same thing may succeed later without anybody changing anything.
    pub fn is_temporary(self) -> bool {
        number_is_temporary(self.number())
    }

    /// Whether it ends the connection.
    pub fn is_close(self) -> bool {
        self.number() < 4000
    }
}

/// The rule of the ranges, for numbers this build does not know too.
pub fn number_is_temporary(number: u16) -> bool {
    matches!(number, 3000..=3499 | 4000..=4499)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_stay_in_their_ranges_and_lead_back_to_their_code() {
        assert!(Code::ALL.is_sorted_by(|one, other| one.number() < other.number()));
        for code in Code::ALL {
            assert!((3000..5000).contains(&code.number()));
            assert_eq!(Code::from_number(code.number()), Some(*code));
        }
    }
}
