//! One byte from a TLS client through a monoio thread, a bounded queue and a tokio task, and back, with each of the
//! drivers monoio can run on.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::task::Context;
use std::thread;

use gateway_server::{Doorbell, DoorbellPost};
use gateway_transport::{ServerIdentity, TlsClient, TlsServer, TlsStage};
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};
use protocol_shell::{LINK_BATCHES_MAX, LinkTransport};

fn tls() -> (TlsServer, TlsClient) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a valid name");
    let certificate = parameters.self_signed(&key).expect("a certificate").pem();
    let identity = ServerIdentity::from_pem(certificate.as_bytes(), key.serialize_pem().as_bytes()).expect("PEM");
    let client = TlsClient::from_pem(certificate.as_bytes()).expect("PEM");
    (TlsServer::new(identity).expect("they belong together"), client)
}

/// The far end: answers every batch with each byte one higher.
async fn answer(mut link: LinkTransport) {
    while let Ok(batch) = poll_fn(|context| link.receiver.poll_receive(context)).await {
        let batch: Vec<u8> = batch.iter().map(|byte| byte + 1).collect();
        poll_fn(|context| link.sender.poll_room(context)).await.expect("the gateway is there");
        link.sender.send(batch).expect("the gateway is there");
    }
}

/// The near end: one connection, until it has sent its answer.
async fn serve(
    stream: TcpStream,
    is_nonblocking: bool,
    mut stage: TlsStage,
    mut link: LinkTransport,
    post: DoorbellPost,
) {
    stream.set_nonblocking(is_nonblocking).expect("a socket");
    let mut bell = post.listen(is_nonblocking).expect("a socket pair");
    let mut stream = monoio::net::TcpStream::from_std(stream).expect("a socket");
    let (mut plaintext, mut buffer) = (Vec::new(), vec![0; 4096]);
    while plaintext.is_empty() {
        let (read, returned) = stream.read(buffer).await;
        buffer = returned;
        stage.receive(&buffer[..read.expect("the client is there")], &mut plaintext).expect("valid TLS");
        let mut outgoing = Vec::new();
        stage.take_outgoing(&mut outgoing);
        stream.write_all(outgoing).await.0.expect("the client is there");
    }
    let waker = bell.waker();
    let mut context = Context::from_waker(&waker);
    assert!(link.sender.poll_room(&mut context).is_ready());
    link.sender.send(plaintext).expect("the router is there");
    let batch = loop {
        match link.receiver.poll_receive(&mut context) {
            std::task::Poll::Ready(batch) => break batch.expect("the router is there"),
            std::task::Poll::Pending => bell.heard().await.expect("a socket pair"),
        }
    };
    let mut outgoing = Vec::new();
    stage.seal(&[&batch], &mut outgoing).expect("established");
    stream.write_all(outgoing).await.0.expect("the client is there");
}

fn ask(address: std::net::SocketAddr, mut stage: TlsStage) -> u8 {
    let mut stream = TcpStream::connect(address).expect("the gateway listens");
    let (mut plaintext, mut outgoing, mut buffer) = (Vec::new(), Vec::new(), [0; 4096]);
    let mut has_asked = false;
    while plaintext.is_empty() {
        stage.take_outgoing(&mut outgoing);
        if stage.is_established() && !has_asked {
            stage.seal(&[&[41]], &mut outgoing).expect("established");
            has_asked = true;
        }
        stream.write_all(&outgoing).expect("the gateway is there");
        outgoing.clear();
        let size = stream.read(&mut buffer).expect("the gateway is there");
        assert!(size > 0, "the gateway went away");
        stage.receive(&buffer[..size], &mut plaintext).expect("valid TLS");
    }
    plaintext[0]
}

fn one_byte_there_and_back(is_nonblocking: bool) -> u8 {
    let (server, client) = tls();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (near, far) = LinkTransport::pair(LINK_BATCHES_MAX);
    let (_, post) = Doorbell::pair().expect("a socket pair");
    let router = thread::spawn(|| {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(answer(far));
    });
    let gateway = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client comes");
        let serve = serve(stream, is_nonblocking, server.accept(), near, post);
        if is_nonblocking {
            RuntimeBuilder::<LegacyDriver>::new().build().expect("epoll").block_on(serve);
        } else {
            RuntimeBuilder::<IoUringDriver>::new().build().expect("io_uring").block_on(serve);
        }
    });
    let byte = ask(address, client.connect("localhost").expect("a DNS name"));
    gateway.join().expect("the gateway ends well");
    router.join().expect("the router ends when the gateway is gone");
    byte
}

#[test]
fn a_byte_comes_back_from_the_router_over_epoll() {
    assert_eq!(one_byte_there_and_back(true), 42);
}

#[test]
fn a_byte_comes_back_from_the_router_over_io_uring() {
    if monoio::utils::detect_uring() {
        assert_eq!(one_byte_there_and_back(false), 42);
    }
}
