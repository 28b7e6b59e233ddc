//! The library's end of a client's connection, kept beside our record layer until the first data come: only the library
//! can keep a session ticket for the next connection. It gets the same records, and what it wants to say is thrown away.

use rustls::ClientConnection;

/// See the file's head.
pub(crate) struct TicketReader(ClientConnection);

impl TicketReader {
    /// `connection` has done its handshake, and was given nothing that came behind it.
    pub(crate) fn new(connection: ClientConnection) -> TicketReader {
        TicketReader(connection)
    }

    /// Shows it a whole record. What is wrong with that our record layer finds too.
    pub(crate) fn read(&mut self, mut record: &[u8]) {
        while !record.is_empty() && self.0.read_tls(&mut record).is_ok_and(|size| size > 0) {}
        let _ = self.0.process_new_packets();
    }
}
