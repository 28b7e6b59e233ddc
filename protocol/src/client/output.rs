//! What a session has to say to its shell: one queue, with the numbers that its parts are told of.

use alloc::collections::VecDeque;

use super::action::{Action, ChangeNumber, ClientEvent, EventNumber, RequestId};
use super::state::Change;
use crate::encode::FrameBuilder;

pub(super) struct Output {
    pub(super) builder: FrameBuilder,
    actions: VecDeque<Action>,
    /// A transient session writes nothing to disk: every change counts as written.
    is_transient: bool,
    last_event: EventNumber,
    last_change: ChangeNumber,
    persisted: ChangeNumber,
    last_request: RequestId,
}

impl Output {
    pub(super) fn new(is_transient: bool) -> Output {
        Output {
            builder: FrameBuilder::default(),
            actions: VecDeque::new(),
            is_transient,
            last_event: EventNumber(0),
            last_change: ChangeNumber(0),
            persisted: ChangeNumber(0),
            last_request: RequestId(0),
        }
    }

    pub(super) fn push(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(super) fn pop(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub(super) fn transmit(&mut self, build: impl FnOnce(&mut FrameBuilder) -> &[u8]) {
        let frame = build(&mut self.builder).to_vec();
        self.push(Action::Transmit(frame));
    }

    pub(super) fn event(&mut self, event: ClientEvent) -> EventNumber {
        self.last_event.0 += 1;
        self.push(Action::Event(self.last_event, event));
        self.last_event
    }

    pub(super) fn persist(&mut self, change: Change) -> ChangeNumber {
        self.last_change.0 += 1;
        if self.is_transient {
            self.persisted = self.last_change;
        } else {
            self.push(Action::Persist(self.last_change, change));
        }
        self.last_change
    }

    pub(super) fn handle_persisted(&mut self, up_to: ChangeNumber) {
        assert!(up_to <= self.last_change, "only what was to be written can have been");
        self.persisted = self.persisted.max(up_to);
    }

    pub(super) fn is_persisted(&self, number: ChangeNumber) -> bool {
        number <= self.persisted
    }

    pub(super) fn is_all_persisted(&self) -> bool {
        self.is_persisted(self.last_change)
    }

    pub(super) fn request_id(&mut self) -> RequestId {
        self.last_request.0 = self.last_request.0.wrapping_add(1).max(1);
        self.last_request
    }
}
