//! What a client can see of its server, and must not see.
//!
//! Everything that comes verifies and decodes; a Welcome comes first and once; events come without gap or repetition but
//! where the client has asked for a place itself, and none by themselves from a PullMode on until a page has reached the
//! end.

use protocol::ids::{DeviceGeneration, DeviceId, UserSeq};
use protocol::wire::{self, ServerBody};

use crate::verify;

/// One client's. It begins with what its Hello claims.
#[derive(Default)]
pub struct Eye {
    is_welcome: bool,
    is_over: bool,
    is_pulled: bool,
    /// The last event. `None`: whatever comes next.
    last: Option<UserSeq>,
    /// As whom the server knows it.
    pub device: Option<(DeviceId, DeviceGeneration)>,
}

impl Eye {
    /// The cursor that its Hello claims.
    pub fn claim(&mut self, cursor: UserSeq) {
        self.last = Some(cursor);
    }

    /// A frame of the server has come.
    pub fn see(&mut self, bytes: &[u8]) {
        assert!(!self.is_over, "nothing comes after a GoAway");
        let frame = verify::frame_of_ours(bytes);
        match frame.body_type() {
            ServerBody::Welcome => self.welcome(frame.body_as_welcome().expect("by its type")),
            ServerBody::GoAway => self.is_over = true,
            _ => assert!(self.is_welcome, "{:?} before the Welcome", frame.body_type()),
        }
        match frame.body_type() {
            ServerBody::Push => {
                assert!(!self.is_pulled, "a push to somebody who has to ask");
                let push = frame.body_as_push().expect("by its type");
                self.events(push.first_user_seq(), push.events().map_or(0, |events| events.len()));
            }
            ServerBody::SyncPage => {
                let page = frame.body_as_sync_page().expect("by its type");
                self.last = None;
                self.is_pulled &= page.has_more();
                self.events(page.first_user_seq(), page.events().map_or(0, |events| events.len()));
            }
            ServerBody::Snapshot => {
                let snapshot = frame.body_as_snapshot().expect("by its type");
                self.last = Some(UserSeq(snapshot.user_seq()));
            }
            // The router goes on from the furthest event that was written, which a client that went back has not seen.
            ServerBody::Resend => (self.last, self.is_pulled) = (None, false),
            ServerBody::PullMode => self.is_pulled = true,
            _ => {}
        }
    }

    fn welcome(&mut self, welcome: wire::Welcome<'_>) {
        assert!(!self.is_welcome, "one Welcome");
        self.is_welcome = true;
        self.device = Some((DeviceId(welcome.device_id()), DeviceGeneration(welcome.device_generation())));
        if !welcome.resumed() {
            self.last = None;
        }
    }

    fn events(&mut self, first: u64, count: usize) {
        if let Some(last) = self.last {
            assert_eq!(first, last.0 + 1, "no gap, no repetition");
        }
        if count > 0 {
            self.last = Some(UserSeq(first + count as u64 - 1));
        }
    }
}
