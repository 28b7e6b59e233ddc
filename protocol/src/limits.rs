//! The bounds of the wire. Both ends know them; a peer that breaks one is told which.

use core::time::Duration;

/// Protocol versions this build speaks.
pub const VERSION_MIN: u16 = 1;
/// See [`VERSION_MIN`].
pub const VERSION_MAX: u16 = 1;
/// ALPN of the native transport.
pub const ALPN: &[u8] = b"ringpost/1";

/// Bytes of the length in front of a frame.
pub const FRAME_PREFIX_SIZE: usize = 4;
/// A frame without its length prefix, either direction.
pub const FRAME_SIZE_MAX: usize = 64 * 1024;
/// A resume ticket; a client keeps no larger one.
pub const RESUME_TICKET_SIZE_MAX: usize = 256;
/// A frame before the connection is authenticated.
pub const FRAME_SIZE_UNAUTHENTICATED_MAX: usize = 4 * 1024;

/// The sender's bytes of one message.
pub const BODY_SIZE_MAX: usize = 48 * 1024;
/// Users named in one message.
pub const MENTIONS_MAX: usize = 64;
/// Bytes of a content type.
pub const CONTENT_TYPE_SIZE_MAX: usize = 128;
/// Everything in a message but its body, with FlatBuffers overhead.
pub const MESSAGE_FIELDS_SIZE_MAX: usize = 4 * 1024;
/// A message as a nested buffer.
pub const MESSAGE_SIZE_MAX: usize = BODY_SIZE_MAX + MESSAGE_FIELDS_SIZE_MAX;
/// Whole entries in one SyncPage or HistoryPage; a single larger one still goes, alone.
pub const PAGE_SIZE_MAX: usize = 60 * 1024;
/// Entries asked for with one HistoryGet.
pub const HISTORY_LIMIT_MAX: u16 = 200;
/// Handles or ids in one UserLookup.
pub const USER_LOOKUP_MAX: usize = 64;
/// Bytes of a handle.
pub const HANDLE_SIZE_MAX: usize = 64;
/// Bytes of a title.
pub const TITLE_SIZE_MAX: usize = 256;
/// Bytes of a device's name.
pub const DEVICE_NAME_SIZE_MAX: usize = 64;
/// Devices in one DevicesPage.
pub const DEVICES_PAGE_MAX: usize = 256;
/// Members of a group; of a channel, those who write in it.
pub const GROUP_MEMBERS_MAX: usize = 1024;
/// Channels that a session follows.
pub const CHANNELS_FOLLOWED_MAX: usize = 200;

// Every message must fit every frame and page that carries it.
const _: () = assert!(MESSAGE_SIZE_MAX < PAGE_SIZE_MAX && PAGE_SIZE_MAX < FRAME_SIZE_MAX);

/// TLS and Hello must be done in this time, or the socket is closed.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A frame that has begun must have arrived by then.
pub const FRAME_TIMEOUT: Duration = Duration::from_secs(10);
/// What a client may wait for company before it sends an Ack.
pub const ACK_DELAY_MAX: Duration = Duration::from_millis(100);

/// Older client ids are refused: dedup keeps 7 days.
pub const CLIENT_MSG_ID_AGE_MAX: Duration = Duration::from_secs(6 * 24 * 3600);
/// Client ids further ahead of server time are refused.
pub const CLIENT_MSG_ID_AHEAD_MAX: Duration = Duration::from_secs(10 * 60);
