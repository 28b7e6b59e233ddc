//! What is lent to the kernel until an operation ends.

/// Places that are used again; a place is named by 16 bits.
pub(crate) struct InFlight<T> {
    places: Vec<Option<T>>,
    vacant: Vec<u16>,
}

impl<T> Default for InFlight<T> {
    fn default() -> Self {
        InFlight { places: Vec::new(), vacant: Vec::new() }
    }
}

impl<T> InFlight<T> {
    /// Keeps it. What `lent` points to must not move with it: the heap memory of a `Vec` or a `Box` does not.
    pub(crate) fn lend(&mut self, lent: T) -> u16 {
        if let Some(place) = self.vacant.pop() {
            self.places[usize::from(place)] = Some(lent);
            return place;
        }
        let place = u16::try_from(self.places.len()).expect("a ring has fewer sockets");
        self.places.push(Some(lent));
        place
    }

    /// The operation has ended.
    pub(crate) fn take_back(&mut self, place: u16) -> T {
        self.vacant.push(place);
        self.places[usize::from(place)].take().expect("an operation ends once")
    }

    pub(crate) fn get_mut(&mut self, place: u16) -> &mut T {
        self.places[usize::from(place)].as_mut().expect("it was lent a moment ago")
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.len() == self.vacant.len()
    }
}
