//! A server for whoever tries our TLS from outside: it echoes what it is told up to each empty line, as one asks for a page,
//! on loopback, until it is killed. Its first line says where. `cargo run --package gateway-transport --example echo CERTIFICATE KEY`

#![allow(clippy::print_stdout, reason = "whoever starts it has to know the port")]

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use gateway_transport::{
    KeyExchange, SESSION_SECRET_SIZE, ServerIdentity, SessionTickets, TlsServer, TlsSettings, TlsStage,
};

/// Whoever says nothing for so long is not coming back.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> io::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(certificate), Some(key), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err(io::Error::other("usage: echo CERTIFICATE KEY"));
    };
    let identity = ServerIdentity::from_pem(&fs::read(certificate)?, &fs::read(key)?).map_err(io::Error::other)?;
    let session_tickets = Some(SessionTickets::new(&[7; SESSION_SECRET_SIZE], None));
    let settings = TlsSettings { key_exchange: KeyExchange::Hybrid, session_tickets };
    let server = TlsServer::with_settings(identity, settings).map_err(io::Error::other)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let (stream, stage) = (stream?, server.accept());
        thread::spawn(move || echo(stream, stage));
    }
    Ok(())
}

/// Ends with the connection, however that ends.
fn echo(mut stream: TcpStream, mut stage: TlsStage) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let (mut incoming, mut heard) = ([0; 16 * 1024], Vec::new());
    loop {
        let size = stream.read(&mut incoming)?;
        let mut outgoing = Vec::new();
        let received = stage.receive(incoming.get(..size).unwrap_or_default(), &mut heard);
        if received.is_ok() && heard.ends_with(b"\r\n\r\n") {
            stage.write(&[&heard], &mut outgoing).expect("plaintext comes after the handshake");
            heard.clear();
        }
        let is_over = size == 0 || received.is_err() || stage.peer_has_closed();
        if is_over {
            stage.close();
        }
        stage.take_outgoing(&mut outgoing);
        stream.write_all(&outgoing)?;
        if is_over {
            return Ok(());
        }
    }
}
