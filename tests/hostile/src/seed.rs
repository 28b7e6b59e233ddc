//! An input to begin with, written by the same hand that reads it.

/// See the file's head.
pub struct Seed {
    /// Of its file.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl Seed {
    /// One with a copy of these bytes.
    pub fn new(name: &str, bytes: &[u8]) -> Seed {
        Seed { name: name.to_owned(), bytes: bytes.to_vec() }
    }
}
