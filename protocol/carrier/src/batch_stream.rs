//! Batches in a stream of bytes: each after its size, u32 little-endian.
//!
//! The first thing that a router sends is no batch but [`WELCOME`], the size of an empty one.

use std::io;

use protocol::link::BATCH_SIZE_MAX;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The router has let the gateway in. Only now may the gateway send.
pub(crate) const WELCOME: [u8; 4] = [0; 4];

/// The next batch. Dropping the future half way loses the stream.
pub(crate) async fn read_batch(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let size = reader.read_u32_le().await? as usize;
    if !(1..=BATCH_SIZE_MAX).contains(&size) {
        let text = format!("a batch of {size} bytes is announced; the limit is {BATCH_SIZE_MAX}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut batch = vec![0; size];
    reader.read_exact(&mut batch).await?;
    Ok(batch)
}

/// Writes one batch, which leaves with the next flush at the latest.
pub(crate) async fn write_batch(writer: &mut (impl AsyncWrite + Unpin), batch: &[u8]) -> io::Result<()> {
    let size = u32::try_from(batch.len()).expect("a batch is at most 1 MiB");
    writer.write_u32_le(size).await?;
    writer.write_all(batch).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
    }

    #[test]
    fn batches_come_out_as_they_went_in() {
        block_on(async {
            let batches = [vec![1], vec![2; 70_000], vec![3; BATCH_SIZE_MAX]];
            let mut bytes = Vec::new();
            for batch in &batches {
                write_batch(&mut bytes, batch).await.expect("memory takes all");
            }
            let mut reader = bytes.as_slice();
            for batch in &batches {
                assert_eq!(read_batch(&mut reader).await.expect("it is whole"), *batch);
            }
            assert_eq!(read_batch(&mut reader).await.map_err(|error| error.kind()), Err(io::ErrorKind::UnexpectedEof));
        });
    }

    #[test]
    fn a_batch_that_is_too_large_empty_or_torn_is_an_error() {
        let kind = |bytes: &[u8]| block_on(async { read_batch(&mut &bytes[..]).await.map_err(|error| error.kind()) });
        let too_large = u32::try_from(BATCH_SIZE_MAX + 1).expect("a megabyte").to_le_bytes();
        assert_eq!(kind(&too_large), Err(io::ErrorKind::InvalidData));
        assert_eq!(kind(&WELCOME), Err(io::ErrorKind::InvalidData));
        assert_eq!(kind(&[5, 0, 0, 0, 1, 2]), Err(io::ErrorKind::UnexpectedEof));
    }
}
