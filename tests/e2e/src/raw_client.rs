//! A client without manners: TLS and frames on a blocking socket, and any bytes at any moment.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use gateway_transport::{Framer, TlsClient, TlsStage};
use protocol::encode::FrameBuilder;
use protocol::frame::{self, FrameError};
use protocol::ids::{DeviceGeneration, DeviceId};
use protocol::limits::FRAME_SIZE_MAX;
use protocol::server::Hello;
use protocol::time::Instant;
use protocol::wire::ServerFrame;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, bind, socket_with};

/// Longer than any deadline of the server.
const PATIENCE: Duration = Duration::from_secs(20);

/// See the file's head.
pub struct RawClient {
    stream: TcpStream,
    tls: TlsStage,
    framer: Framer,
    plaintext: Vec<u8>,
}

/// A socket with nothing on it yet.
pub fn plain(address: SocketAddr) -> Result<TcpStream> {
    patient(TcpStream::connect(address).context("cannot connect")?)
}

/// The same from this address.
pub fn plain_from(source: Ipv4Addr, address: SocketAddr) -> Result<TcpStream> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddr::from((source, 0)))?;
    net::connect(&socket, &address).context("cannot connect")?;
    patient(TcpStream::from(socket))
}

fn patient(stream: TcpStream) -> Result<TcpStream> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The Hello of a transient session with this token.
pub fn transient_hello(token: &str) -> Vec<u8> {
    let hello = Hello {
        is_transient: true,
        device: DeviceId(0),
        device_generation: DeviceGeneration(0),
        install_id: None,
        device_name: "".into(),
        store_incarnation: Default::default(),
        user_epoch: Default::default(),
        user_cursor: Default::default(),
    };
    FrameBuilder::default().hello(&hello, token, None).to_vec()
}

impl RawClient {
    /// Does the handshake. `certificate` is what it trusts, as PEM text.
    pub fn connect(address: SocketAddr, certificate: &[u8]) -> Result<RawClient> {
        RawClient::with_tls(address, &TlsClient::from_pem(certificate)?)
    }

    /// The same with what several connections share.
    pub fn with_tls(address: SocketAddr, tls: &TlsClient) -> Result<RawClient> {
        RawClient::over(plain(address)?, tls)
    }

    /// The same on a socket that is connected.
    pub fn over(stream: TcpStream, tls: &TlsClient) -> Result<RawClient> {
        let tls = tls.connect("localhost")?;
        let mut client = RawClient { stream, tls, framer: Framer::default(), plaintext: Vec::new() };
        client.flush()?;
        while !client.tls.is_established() {
            ensure!(client.read_some()?, "the server went away in the handshake");
            client.flush()?;
        }
        Ok(client)
    }

    /// Whether the handshake has resumed a session.
    pub fn is_resumed(&self) -> bool {
        self.tls.is_resumed()
    }

    /// Says Hello as a transient session and waits for the Welcome.
    pub fn say_hello(&mut self, token: &str) -> Result<()> {
        self.send(&transient_hello(token))?;
        let answer = self.receive()?.context("closed instead of welcomed")?;
        let answer = view(&answer)?;
        ensure!(answer.body_as_welcome().is_some(), "{:?} instead of a Welcome", answer.body_type());
        Ok(())
    }

    /// Sends a frame with its length.
    pub fn send(&mut self, frame: &[u8]) -> Result<()> {
        self.send_bytes(&[&frame::prefix(frame.len())[..], frame].concat())
    }

    /// Sends any bytes under TLS.
    pub fn send_bytes(&mut self, plaintext: &[u8]) -> Result<()> {
        let sealed = self.seal(plaintext)?;
        self.stream.write_all(&sealed).context("cannot write")
    }

    /// The bytes under TLS, not sent.
    pub fn seal(&mut self, plaintext: &[u8]) -> Result<Vec<u8>> {
        let mut sealed = Vec::new();
        self.tls.seal(&[plaintext], &mut sealed)?;
        Ok(sealed)
    }

    /// The socket under it.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Likewise; nothing more is sealed.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Likewise, to wait for.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// The next frame. `None`: the server has closed, in order.
    pub fn receive(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            let frame = self.next_frame()?;
            if frame.is_some() || !self.read_some()? {
                return Ok(frame);
            }
        }
    }

    /// The frames that one read of the socket makes whole.
    pub fn receive_some(&mut self) -> Result<Vec<Vec<u8>>> {
        ensure!(self.read_some()?, "the server has closed");
        std::iter::from_fn(|| self.next_frame().transpose()).collect()
    }

    /// Reads on until the server says goodbye and closes. Gives the code of its GoAway.
    pub fn goodbye(&mut self) -> Result<u16> {
        while let Some(bytes) = self.receive()? {
            if let Some(go_away) = view(&bytes)?.body_as_go_away() {
                let code = go_away.code();
                ensure!(self.receive()?.is_none(), "something came after the goodbye");
                return Ok(code);
            }
        }
        bail!("closed without a goodbye")
    }

    /// Everything goes on: a Ping is answered.
    pub fn expect_pong(&mut self) -> Result<()> {
        self.send(FrameBuilder::default().ping())?;
        let answer = self.receive()?.context("closed")?;
        let answer = view(&answer)?;
        ensure!(answer.body_as_pong().is_some(), "{:?} instead of a Pong", answer.body_type());
        Ok(())
    }

    /// The refusal that comes next: its code, and what to wait in milliseconds before the next attempt.
    pub fn refusal(&mut self) -> Result<(u16, u32)> {
        let bytes = self.receive()?.context("closed instead of refused")?;
        let answer = view(&bytes)?;
        let error = answer.body_as_error().with_context(|| format!("{:?} instead of an Error", answer.body_type()))?;
        Ok((error.code(), error.retry_after_ms()))
    }

    fn next_frame(&mut self) -> Result<Option<Vec<u8>>> {
        let mut input = &self.plaintext[..];
        let frame = self.framer.next_frame(Instant(0), &mut input, FRAME_SIZE_MAX).map_err(invalid)?;
        let frame = frame.map(<[u8]>::to_vec);
        let rest = input.len();
        self.plaintext.drain(..self.plaintext.len() - rest);
        Ok(frame)
    }

    fn flush(&mut self) -> Result<()> {
        let mut outgoing = Vec::new();
        self.tls.take_outgoing(&mut outgoing);
        self.stream.write_all(&outgoing).context("cannot write")
    }

    /// False at the end of the stream.
    fn read_some(&mut self) -> Result<bool> {
        let mut buffer = [0; 16_384];
        let size = self.stream.read(&mut buffer).context("neither bytes nor the end")?;
        self.tls.receive(buffer.get(..size).unwrap_or_default(), &mut self.plaintext)?;
        Ok(size > 0)
    }
}

/// Everything until the server has closed; what was never read by it makes it a reset.
pub fn to_the_end(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => Err(error).context("not closed"),
        _ => Ok(bytes),
    }
}

/// The fields of a server's frame.
pub fn view(bytes: &[u8]) -> Result<ServerFrame<'_>> {
    frame::server_frame(bytes).map_err(invalid)
}

fn invalid(error: FrameError) -> Error {
    anyhow!("the server sent what is no frame: {error:?}")
}
