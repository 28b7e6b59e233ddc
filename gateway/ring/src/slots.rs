//! What is known of each socket, by its place in the table of its ring.

use crate::socket_id::SocketId;

/// Of all rings. A slot is found only under the generation that has it.
#[derive(Default)]
pub(crate) struct Slots {
    /// By ring, then by slot.
    rings: Vec<Vec<Slot>>,
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Slot {
    pub(crate) name: u64,
    pub(crate) generation: u32,
    pub(crate) life: Life,
    pub(crate) is_owned: bool,
    pub(crate) stage: Stage,
    pub(crate) is_watched: bool,
    /// Something may be there to read.
    pub(crate) is_readable: bool,
    pub(crate) is_receiving: bool,
    pub(crate) is_hungry: bool,
    pub(crate) is_held: bool,
    pub(crate) is_sending: bool,
    /// Cancellations under way.
    pub(crate) cancels: u8,
    pub(crate) reading: Side,
    pub(crate) writing: Side,
}

/// At a million sockets a byte here is a megabyte.
const _: () = assert!(size_of::<Slot>() <= 24);

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Life {
    /// Nobody has the slot.
    #[default]
    Vacant,
    Open,
    /// It leaves the ring when what is under way has ended.
    Leaving,
    /// It is given its descriptor outside.
    Detaching,
    /// What is under way is ending; nothing begins any more.
    Ending,
    /// Nothing is under way but the close.
    Closing,
}

/// How soon it is read.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// As one of few in a turn.
    #[default]
    New,
    /// At once.
    Settled,
    /// It was settled, and its peer sends nothing more: as one of few in a turn.
    Departing,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Side {
    #[default]
    Open,
    /// Of the writing side: the shutdown is under way.
    Ending,
    Ended,
}

impl Life {
    /// Whether its owner is told what happens.
    pub(crate) fn is_served(self) -> bool {
        matches!(self, Life::Open | Life::Leaving)
    }
}

impl Slot {
    pub(crate) fn is_idle(&self) -> bool {
        !(self.is_watched || self.is_receiving || self.is_sending || self.writing == Side::Ending) && self.cancels == 0
    }
}

impl Slots {
    pub(crate) fn get(&self, socket: SocketId) -> Option<&Slot> {
        let slot = self.rings.get(usize::from(socket.ring))?.get(usize::from(socket.slot))?;
        (slot.life != Life::Vacant && slot.generation == socket.generation).then_some(slot)
    }

    pub(crate) fn get_mut(&mut self, socket: SocketId) -> Option<&mut Slot> {
        let slot = self.rings.get_mut(usize::from(socket.ring))?.get_mut(usize::from(socket.slot))?;
        (slot.life != Life::Vacant && slot.generation == socket.generation).then_some(slot)
    }

    /// While nobody has begun to end it.
    pub(crate) fn open(&mut self, socket: SocketId) -> Option<&mut Slot> {
        self.get_mut(socket).filter(|slot| slot.life == Life::Open)
    }

    pub(crate) fn of_operation(&mut self, socket: SocketId) -> &mut Slot {
        self.get_mut(socket).expect("a slot lives as long as what is under way on it")
    }

    /// Vacant, unless the ring has given it away twice.
    pub(crate) fn of_newcomer(&mut self, socket: SocketId) -> &mut Slot {
        let (ring, place) = (usize::from(socket.ring), usize::from(socket.slot));
        if self.rings.len() <= ring {
            self.rings.resize_with(ring + 1, Vec::new);
        }
        let slots = self.rings.get_mut(ring).expect("it was made a line ago");
        if slots.len() <= place {
            slots.resize(place + 1, Slot::default());
        }
        slots.get_mut(place).expect("it was made a line ago")
    }
}
