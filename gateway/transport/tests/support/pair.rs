//! Both ends of a connection joined in memory.

use gateway_transport::{TlsClient, TlsError, TlsServer, TlsStage};

/// Carries bytes both ways, `step` at a time, until both have nothing to say or one fails.
pub(crate) fn join(
    client: &mut TlsStage,
    server: &mut TlsStage,
    step: usize,
) -> (Result<(), TlsError>, Result<(), TlsError>) {
    let (mut client_result, mut server_result) = (Ok(()), Ok(()));
    loop {
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        client.take_outgoing(&mut to_server);
        server.take_outgoing(&mut to_client);
        if to_server.is_empty() && to_client.is_empty() {
            return (client_result, server_result);
        }
        for bytes in to_server.chunks(step) {
            server_result = server_result.and(server.receive(bytes, &mut Vec::new()));
        }
        for bytes in to_client.chunks(step) {
            client_result = client_result.and(client.receive(bytes, &mut Vec::new()));
        }
    }
}

/// A connection that both ends have established.
pub(crate) fn connect(client: &TlsClient, server: &TlsServer, step: usize) -> (TlsStage, TlsStage) {
    let (mut client, mut server) = (client.connect("localhost").expect("a DNS name"), server.accept());
    assert_eq!(join(&mut client, &mut server, step), (Ok(()), Ok(())));
    assert!(client.is_established() && server.is_established());
    (client, server)
}
