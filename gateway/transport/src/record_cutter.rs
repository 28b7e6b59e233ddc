//! Cuts a byte stream into whole TLS records.
//!
//! A record that lies whole in the input is handed out as a slice of it; only a torn one is copied and kept. It knows
//! the five bytes of a record header and nothing of what a record holds.

/// Content type, two bytes of version, two bytes of length.
pub(crate) const HEADER_SIZE: usize = 5;
/// A record with its header: 2^14 bytes of content and at most 256 of expansion (RFC 8446, section 5.2).
pub const RECORD_SIZE_MAX: usize = HEADER_SIZE + (1 << 14) + 256;

/// What the next bytes of the stream are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cut<'input> {
    /// One whole record, header included, where it lay.
    Whole(&'input mut [u8]),
    /// One whole record that came in pieces: [`RecordCutter::mended`].
    Mended,
    /// A header that announces more than a record may hold. Ends the stream: where the next record begins is unknown.
    Oversized,
}

/// Keeps at most one torn record, so at most [`RECORD_SIZE_MAX`] bytes.
#[derive(Default)]
pub(crate) struct RecordCutter {
    torn: Vec<u8>,
    is_mended: bool,
}

impl RecordCutter {
    /// Takes one record from the front of `input`; `None` when what is left is torn, and then `input` is empty. Call
    /// it until `None`.
    pub(crate) fn next_record<'input>(&mut self, input: &mut &'input mut [u8]) -> Option<Cut<'input>> {
        if self.is_mended {
            self.torn = Vec::new();
            self.is_mended = false;
        }
        if self.torn.is_empty() {
            return self.cut_input(input);
        }
        self.take_until(HEADER_SIZE, input);
        let header = *self.torn.first_chunk()?;
        let size = record_size(&header);
        if size > RECORD_SIZE_MAX {
            return Some(Cut::Oversized);
        }
        self.take_until(size, input);
        if self.torn.len() < size {
            return None;
        }
        self.is_mended = true;
        Some(Cut::Mended)
    }

    /// The record that came in pieces, until the next one is cut.
    pub(crate) fn mended(&self) -> &[u8] {
        &self.torn
    }

    /// Lends it out to be opened; to be given back by [`Self::keep_mended`].
    pub(crate) fn take_mended(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.torn)
    }

    pub(crate) fn keep_mended(&mut self, record: Vec<u8>) {
        self.torn = record;
    }

    /// Bytes held for a record of which the rest has not arrived.
    pub(crate) fn bytes_held(&self) -> usize {
        self.torn.capacity()
    }

    /// Whether a record has begun and not ended.
    pub(crate) fn is_inside_record(&self) -> bool {
        !self.torn.is_empty() && !self.is_mended
    }

    fn cut_input<'input>(&mut self, input: &mut &'input mut [u8]) -> Option<Cut<'input>> {
        if let Some(header) = input.first_chunk() {
            let size = record_size(header);
            if size > RECORD_SIZE_MAX {
                *input = input.split_off_mut(HEADER_SIZE..).unwrap_or_default();
                return Some(Cut::Oversized);
            }
            if let Some(record) = input.split_off_mut(..size) {
                return Some(Cut::Whole(record));
            }
        }
        self.torn.extend_from_slice(input);
        *input = &mut [];
        None
    }

    /// Moves bytes from `input` until `torn` has `size` of them or the input is used up.
    fn take_until(&mut self, size: usize, input: &mut &mut [u8]) {
        let missing = size.saturating_sub(self.torn.len()).min(input.len());
        self.torn.extend_from_slice(input.split_off_mut(..missing).unwrap_or_default());
    }
}

/// Size of the record with this header, header included.
fn record_size(header: &[u8; HEADER_SIZE]) -> usize {
    let [_, _, _, high, low] = header;
    HEADER_SIZE + usize::from(u16::from_be_bytes([*high, *low]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![23, 3, 3];
        bytes.extend_from_slice(&(content.len() as u16).to_be_bytes());
        bytes.extend_from_slice(content);
        bytes
    }

    fn cut_all(cutter: &mut RecordCutter, input: &[u8]) -> Vec<Vec<u8>> {
        let mut input = input.to_vec();
        let mut input = &mut input[..];
        let mut records = Vec::new();
        while let Some(cut) = cutter.next_record(&mut input) {
            records.push(match cut {
                Cut::Whole(record) => record.to_vec(),
                Cut::Mended => cutter.mended().to_vec(),
                Cut::Oversized => panic!("oversized"),
            });
        }
        assert!(input.is_empty());
        records
    }

    #[test]
    fn whole_records_are_slices_of_the_input() {
        let mut stream = [record(b"one"), record(b""), record(b"three")].concat();
        let range = stream.as_ptr_range();
        let mut cutter = RecordCutter::default();
        let mut input = &mut stream[..];
        while let Some(cut) = cutter.next_record(&mut input) {
            let Cut::Whole(record) = cut else { panic!("{cut:?}") };
            assert!(range.contains(&record.as_ptr()));
        }
        assert_eq!(cutter.bytes_held(), 0);
    }

    #[test]
    fn records_come_out_the_same_wherever_the_stream_is_torn() {
        let records = [record(b"one"), record(b""), record(&[7; 300])];
        let stream = records.concat();
        for first in 0..stream.len() {
            for second in first..stream.len() {
                let mut cutter = RecordCutter::default();
                let mut seen = cut_all(&mut cutter, &stream[..first]);
                seen.extend(cut_all(&mut cutter, &stream[first..second]));
                seen.extend(cut_all(&mut cutter, &stream[second..]));
                assert_eq!(seen, records, "torn at {first} and {second}");
                assert_eq!(cutter.bytes_held(), 0);
            }
        }
    }

    #[test]
    fn a_header_that_promises_too_much_is_refused_before_its_bytes_come() {
        for torn_at in 0..=HEADER_SIZE {
            let header = [23, 3, 3, 0x41, 0x01];
            let mut stream = header;
            let mut cutter = RecordCutter::default();
            let (mut head, mut tail) = stream.split_at_mut(torn_at);
            if torn_at < HEADER_SIZE {
                assert_eq!(cutter.next_record(&mut head), None);
                assert_eq!(cutter.next_record(&mut tail), Some(Cut::Oversized));
            } else {
                assert_eq!(cutter.next_record(&mut head), Some(Cut::Oversized));
            }
        }
    }

    #[test]
    fn the_largest_record_passes() {
        let largest = record(&[1; RECORD_SIZE_MAX - HEADER_SIZE]);
        assert_eq!(cut_all(&mut RecordCutter::default(), &largest), std::slice::from_ref(&largest));
    }
}
