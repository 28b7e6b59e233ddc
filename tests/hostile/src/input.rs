//! The bytes of a fuzzer, read as a run of choices.
//!
//! At its end every choice is zero and every run of bytes is empty, so that any bytes are a valid input.

/// What is left of an input.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// All of it is left.
    pub fn new(bytes: &'a [u8]) -> Input<'a> {
        Input(bytes)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A number of one byte.
    pub fn u8(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    /// Two bytes, little-endian.
    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    /// Four bytes, little-endian.
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    /// Eight bytes, little-endian.
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// One byte: whether it is odd.
    pub fn flag(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    /// One byte: one of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let choice = usize::from(self.u8());
        from.get(choice % from.len().max(1)).copied()
    }

    /// Two bytes of length, then as many bytes, or what is left.
    pub fn bytes(&mut self) -> &'a [u8] {
        let size = usize::from(self.u16());
        self.take(size)
    }

    /// What is left.
    pub fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }

    fn take(&mut self, size: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(size.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn array<const SIZE: usize>(&mut self) -> [u8; SIZE] {
        let mut array = [0; SIZE];
        let taken = self.take(SIZE);
        array.iter_mut().zip(taken).for_each(|(to, from)| *to = *from);
        array
    }
}

/// A stream in pieces of these sizes, one after another and from the first again. No piece is empty.
pub fn pieces<'a>(mut stream: &'a [u8], sizes: &[u16]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut sizes = sizes.iter().cycle();
    while !stream.is_empty() {
        let size = sizes.next().map_or(usize::MAX, |size| usize::from(*size).max(1));
        let (piece, rest) = stream.split_at(size.min(stream.len()));
        pieces.push(piece);
        stream = rest;
    }
    pieces
}
