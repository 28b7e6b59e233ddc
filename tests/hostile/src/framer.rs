//! Target `framer`: a stream of bytes in pieces of any size, cut into frames.
//!
//! Whatever the pieces, the frames are those of the whole stream; a frame that is put back comes again; what is held has
//! its bound and does not grow with what a prefix promises.

use gateway_transport::{FRAMER_BYTES_MAX, Framer};
use protocol::frame::{FrameError, frame_size};
use protocol::limits::{FRAME_PREFIX_SIZE, FRAME_SIZE_MAX, FRAME_SIZE_UNAUTHENTICATED_MAX};
use protocol::time::Instant;

use crate::input::{Input, pieces};
use crate::seed::Seed;

/// What the fuzzer calls. First how the stream is cut, then the stream.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let size_max = if input.flag() { FRAME_SIZE_MAX } else { FRAME_SIZE_UNAUTHENTICATED_MAX };
    let sizes: [u16; 4] = std::array::from_fn(|_| input.u16());
    let mut puts_back = input.u8();
    let stream = input.rest();
    let (expected, end) = cut_whole(stream, size_max);

    let mut framer = Framer::default();
    let mut frames: Vec<Vec<u8>> = Vec::new();
    let mut result = Ok(());
    for piece in pieces(stream, &sizes) {
        let mut left = piece;
        loop {
            let before = left;
            match framer.next_frame(Instant(1), &mut left, size_max).map(|frame| frame.map(<[u8]>::to_vec)) {
                Ok(Some(_)) if puts_back & 1 == 1 => {
                    if !framer.put_back() {
                        left = before;
                    }
                }
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
            puts_back >>= 1;
            assert!(framer.bytes_held() <= FRAMER_BYTES_MAX && framer.bytes_held() <= 2 * stream.len().max(8));
        }
        if result.is_err() {
            break;
        }
        assert!(left.is_empty(), "what is torn is kept");
        assert!(framer.torn_since().is_none() || framer.bytes_held() > 0);
    }
    assert_eq!((frames, result), (expected, end));
}

/// What is right.
fn cut_whole(mut stream: &[u8], size_max: usize) -> (Vec<Vec<u8>>, Result<(), FrameError>) {
    let mut frames = Vec::new();
    loop {
        match frame_size(stream, size_max) {
            Ok(Some(size)) if stream.len() >= FRAME_PREFIX_SIZE + size => {
                let (frame, rest) = stream.split_at(FRAME_PREFIX_SIZE + size);
                frames.push(frame.iter().skip(FRAME_PREFIX_SIZE).copied().collect());
                stream = rest;
            }
            Ok(_) => return (frames, Ok(())),
            Err(error) => return (frames, Err(error)),
        }
    }
}

/// Streams of a few frames, cut in a few ways.
pub fn seeds() -> Vec<Seed> {
    let stream: Vec<u8> = [&b"one"[..], &[7; 300], b"x", &[9; 5000]]
        .into_iter()
        .flat_map(|frame| [&(frame.len() as u32).to_le_bytes()[..], frame].concat())
        .collect();
    let seed = |name: &str, cut: [u8; 10], stream: &[u8]| Seed::new(name, &[&cut[..], stream].concat());
    vec![
        seed("whole", [1, 255, 255, 255, 255, 255, 255, 255, 255, 0], &stream),
        seed("torn", [1, 1, 0, 2, 0, 7, 0, 100, 0, 0b101], &stream),
        seed("too-large", [0, 3, 0, 3, 0, 3, 0, 3, 0, 0], &stream),
        seed("promise", [1, 2, 0, 2, 0, 2, 0, 2, 0, 1], &[0, 0, 1, 0, 1, 2, 3]),
        seed("empty", [1, 2, 0, 2, 0, 2, 0, 2, 0, 1], &[1, 0, 0, 0, 5, 0, 0, 0, 0]),
    ]
}
