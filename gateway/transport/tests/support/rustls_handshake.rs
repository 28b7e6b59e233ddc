//! A handshake of a client of rustls with our server.

use gateway_transport::{TlsError, TlsStage};
use rustls::ClientConnection;

/// Until the server has nothing more to say. When it fails: how, and what it has said last.
pub(crate) fn shake_hands(client: &mut ClientConnection, server: &mut TlsStage) -> Result<(), (TlsError, Vec<u8>)> {
    loop {
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut to_server).expect("memory");
        }
        let received = server.receive(&to_server, &mut Vec::new());
        server.take_outgoing(&mut to_client);
        received.map_err(|error| (error, to_client.clone()))?;
        if to_client.is_empty() {
            return Ok(());
        }
        let mut bytes = &to_client[..];
        while !bytes.is_empty() {
            client.read_tls(&mut bytes).expect("memory");
            client.process_new_packets().expect("a client content with the server");
        }
    }
}
