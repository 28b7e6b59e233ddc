//! Moves the batches of one link until one of its ends is gone.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use protocol_shell::{BatchReceiver, BatchSender, LinkTransport};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, BufWriter, ReadHalf, WriteHalf, split};
use tokio::time::timeout;

use crate::batch_stream::{read_batch, write_batch};

/// Read from the socket at a time: a few records of TLS.
const READ_SIZE: usize = 64 * 1024;
/// Small batches that leave together are written together up to this size.
const WRITE_SIZE: usize = 64 * 1024;
/// For saying goodbye to a peer that may not listen.
const GOODBYE_TIMEOUT: Duration = Duration::from_millis(100);

/// Which side has ended it.
#[derive(Debug)]
pub(crate) enum Parting {
    /// Ours: the shell has dropped its end.
    ByShell,
    /// The other process has closed the connection.
    ByPeer,
    /// The connection has failed.
    Failed(io::Error),
}

/// Ends with the first end that is gone, and drops the other.
pub(crate) async fn carry<S: AsyncRead + AsyncWrite>(stream: S, transport: LinkTransport) -> Parting {
    let LinkTransport { mut sender, mut receiver } = transport;
    let (reader, writer) = split(stream);
    let mut reader = BufReader::with_capacity(READ_SIZE, reader);
    let mut writer = BufWriter::with_capacity(WRITE_SIZE, writer);
    let parting = tokio::select! {
        parting = inward(&mut reader, &mut sender) => parting,
        parting = outward(&mut receiver, &mut writer) => parting,
    };
    if matches!(parting, Parting::ByShell) {
        // The peer finds out either way; this is the quick one.
        let _ = timeout(GOODBYE_TIMEOUT, writer.shutdown()).await;
    }
    parting
}

/// From the socket to the shell. A shell that is behind is not read for.
async fn inward<S: AsyncRead + AsyncWrite>(reader: &mut BufReader<ReadHalf<S>>, sender: &mut BatchSender) -> Parting {
    loop {
        if poll_fn(|context| sender.poll_room(context)).await.is_err() {
            return Parting::ByShell;
        }
        let batch = tokio::select! {
            batch = read_batch(reader) => batch,
            // Also while nothing can be written: whoever waits for a dead peer finds the end of its own shell here.
            _ = poll_fn(|context| sender.poll_closed(context)) => return Parting::ByShell,
        };
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => return parting_of(error),
        };
        if sender.send(batch).is_err() {
            return Parting::ByShell;
        }
    }
}

/// From the shell to the socket. What is ready leaves together.
async fn outward<S: AsyncRead + AsyncWrite>(
    receiver: &mut BatchReceiver,
    writer: &mut BufWriter<WriteHalf<S>>,
) -> Parting {
    loop {
        let batch = match poll_fn(|context| Poll::Ready(receiver.poll_receive(context))).await {
            Poll::Ready(batch) => batch,
            Poll::Pending => {
                if let Err(error) = writer.flush().await {
                    return parting_of(error);
                }
                poll_fn(|context| receiver.poll_receive(context)).await
            }
        };
        let Ok(batch) = batch else { return Parting::ByShell };
        if let Err(error) = write_batch(writer, &batch).await {
            return parting_of(error);
        }
        receiver.give_back(batch);
    }
}

/// A process that was killed may leave a stream without its end, or a reset.
fn parting_of(error: io::Error) -> Parting {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    match error.kind() {
        BrokenPipe | ConnectionReset | UnexpectedEof => Parting::ByPeer,
        _ => Parting::Failed(error),
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use protocol_shell::LinkClosed;
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    use super::*;

    /// A carriage whose socket holds 4 KiB each way: what it ends with, the shell's end, and the peer's socket.
    fn start() -> (tokio::task::JoinHandle<Parting>, LinkTransport, DuplexStream) {
        let (near, far) = duplex(4096);
        let (shell, carrier) = LinkTransport::pair(2);
        (tokio::spawn(carry(near, carrier)), shell, far)
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(future)
    }

    async fn queue(shell: &mut LinkTransport, batch: Vec<u8>) {
        poll_fn(|context| shell.sender.poll_room(context)).await.expect("the carriage lives");
        shell.sender.send(batch).expect("the carriage lives");
    }

    #[test]
    fn batches_cross_both_ways() {
        block_on(async {
            let (_carriage, mut shell, mut peer) = start();
            for size in [1, 5_000, 300_000] {
                queue(&mut shell, vec![7; size]).await;
                assert_eq!(read_batch(&mut peer).await.expect("it arrives"), vec![7; size]);
                let send = async { write_batch(&mut peer, &vec![8; size]).await.expect("it leaves") };
                let received = poll_fn(|context| shell.receiver.poll_receive(context));
                let (received, ()) = tokio::join!(received, send);
                assert_eq!(received, Ok(vec![8; size].into()));
            }
        });
    }

    #[test]
    fn a_shell_that_goes_ends_a_carriage_that_cannot_write() {
        block_on(async {
            let (carriage, mut shell, _peer_that_does_not_read) = start();
            queue(&mut shell, vec![7; 100_000]).await;
            tokio::task::yield_now().await;
            drop(shell);
            assert!(matches!(carriage.await.expect("no panic"), Parting::ByShell));
        });
    }

    #[test]
    fn a_peer_that_goes_leaves_what_it_has_sent() {
        block_on(async {
            let (carriage, mut shell, mut peer) = start();
            write_batch(&mut peer, b"last words").await.expect("it leaves");
            drop(peer);
            assert!(matches!(carriage.await.expect("no panic"), Parting::ByPeer));
            let mut context = Context::from_waker(Waker::noop());
            assert_eq!(shell.receiver.poll_receive(&mut context), Poll::Ready(Ok(b"last words".to_vec().into())));
            assert_eq!(shell.receiver.poll_receive(&mut context), Poll::Ready(Err(LinkClosed)));
        });
    }

    #[test]
    fn a_shell_that_is_behind_is_not_read_for() {
        block_on(async {
            let (_carriage, mut shell, mut peer) = start();
            let mut written = 0;
            while timeout(Duration::from_millis(50), write_batch(&mut peer, &[9; 1000])).await.is_ok() {
                written += 1;
            }
            assert!(written < 100, "the queue, the reader and the socket hold little: {written}");
            assert!(poll_fn(|context| shell.receiver.poll_receive(context)).await.is_ok());
        });
    }

    #[test]
    fn a_batch_over_the_limit_ends_the_link() {
        block_on(async {
            let (carriage, shell, mut peer) = start();
            peer.write_u32_le(u32::MAX).await.expect("it leaves");
            assert!(matches!(carriage.await.expect("no panic"), Parting::Failed(_)));
            drop(shell);
            assert_eq!(peer.read(&mut [0; 1]).await.expect("an orderly end"), 0);
        });
    }
}
