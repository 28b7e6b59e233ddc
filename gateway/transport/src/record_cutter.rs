//! Cuts a byte stream into whole TLS records.
//!
//! A record that lies whole in the input is handed out as a slice of it; only a torn one is copied and kept. It knows
//! the five bytes of a record header and nothing of what a record holds.

/// Content type, two bytes of version, two bytes of length.
const HEADER_SIZE: usize = 5;
/// A record with its header: 2^14 bytes of content and at most 256 of expansion (RFC 8446, section 5.2).
pub const RECORD_SIZE_MAX: usize = HEADER_SIZE + (1 << 14) + 256;

/// What the next bytes of the stream are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cut<'a> {
    /// One whole record, header included.
    Record(&'a [u8]),
    /// A header that announces more than a record may hold. Ends the stream: where the next record begins is unknown.
    Oversized(&'a [u8]),
}

/// Keeps at most one torn record, so at most [`RECORD_SIZE_MAX`] bytes.
#[derive(Default)]
pub(crate) struct RecordCutter {
    torn: Vec<u8>,
    handed_out: bool,
}

impl RecordCutter {
    /// Takes one record from the front of `input`; `None` when what is left is torn, and then `input` is empty. Call
    /// it until `None`.
    pub(crate) fn next_record<'cut, 'input: 'cut>(&'cut mut self, input: &mut &'input [u8]) -> Option<Cut<'cut>> {
        if self.handed_out {
            self.torn = Vec::new();
            self.handed_out = false;
        }
        if self.torn.is_empty() {
            return self.cut_input(input);
        }
        self.take_until(HEADER_SIZE, input);
        let size = record_size(&self.torn)?;
        if size > RECORD_SIZE_MAX {
            return Some(Cut::Oversized(&self.torn));
        }
        self.take_until(size, input);
        if self.torn.len() < size {
            return None;
        }
        self.handed_out = true;
        Some(Cut::Record(&self.torn))
    }

    /// Bytes held for a record of which the rest has not arrived.
    pub(crate) fn bytes_held(&self) -> usize {
        self.torn.capacity()
    }

    /// Whether a record has begun and not ended.
    pub(crate) fn is_inside_record(&self) -> bool {
        !self.torn.is_empty() && !self.handed_out
    }

    fn cut_input<'input>(&mut self, input: &mut &'input [u8]) -> Option<Cut<'input>> {
        let record = match record_size(input) {
            Some(size) if size > RECORD_SIZE_MAX => {
                let (header, rest) = input.split_at(HEADER_SIZE);
                *input = rest;
                return Some(Cut::Oversized(header));
            }
            Some(size) => input.split_at_checked(size),
            None => None,
        };
        let Some((record, rest)) = record else {
            self.torn.extend_from_slice(input);
            *input = &[];
            return None;
        };
        *input = rest;
        Some(Cut::Record(record))
    }

    /// Moves bytes from `input` until `torn` has `size` of them or the input is used up.
    fn take_until(&mut self, size: usize, input: &mut &[u8]) {
        let missing = size.saturating_sub(self.torn.len());
        let (head, rest) = input.split_at(missing.min(input.len()));
        self.torn.extend_from_slice(head);
        *input = rest;
    }
}

/// Size of the record that starts here, header included; `None` while the header is torn.
fn record_size(bytes: &[u8]) -> Option<usize> {
    let [_, _, _, high, low] = bytes.first_chunk::<HEADER_SIZE>()?;
    Some(HEADER_SIZE + usize::from(u16::from_be_bytes([*high, *low])))
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

    fn cut_all(cutter: &mut RecordCutter, mut input: &[u8]) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        while let Some(cut) = cutter.next_record(&mut input) {
            match cut {
                Cut::Record(record) => records.push(record.to_vec()),
                Cut::Oversized(_) => panic!("oversized"),
            }
        }
        assert!(input.is_empty());
        records
    }

    #[test]
    fn whole_records_are_slices_of_the_input() {
        let stream = [record(b"one"), record(b""), record(b"three")].concat();
        let range = stream.as_ptr_range();
        let mut cutter = RecordCutter::default();
        let mut input = &stream[..];
        while let Some(cut) = cutter.next_record(&mut input) {
            let Cut::Record(record) = cut else { panic!("oversized") };
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
            let mut cutter = RecordCutter::default();
            let (mut head, mut tail) = header.split_at(torn_at);
            if torn_at < HEADER_SIZE {
                assert_eq!(cutter.next_record(&mut head), None);
                assert_eq!(cutter.next_record(&mut tail), Some(Cut::Oversized(&header)));
            } else {
                assert_eq!(cutter.next_record(&mut head), Some(Cut::Oversized(&header)));
            }
        }
    }

    #[test]
    fn the_largest_record_passes() {
        let largest = record(&[1; RECORD_SIZE_MAX - HEADER_SIZE]);
        assert_eq!(cut_all(&mut RecordCutter::default(), &largest), std::slice::from_ref(&largest));
    }
}
