//! How often it was which code.

use alloc::string::ToString;

use super::{Figure, Visitor};
use crate::codes::Code;

/// A count for each code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByCode([u64; Code::ALL.len()]);

impl Default for ByCode {
    fn default() -> Self {
        ByCode([0; Code::ALL.len()])
    }
}

impl ByCode {
    /// How often it was this one.
    pub fn count(&self, code: Code) -> u64 {
        self.rows().find(|row| row.0 == code).map_or(0, |row| row.1)
    }

    /// Every code with its count.
    pub fn rows(&self) -> impl Iterator<Item = (Code, u64)> {
        Code::ALL.iter().copied().zip(self.0)
    }

    /// Of all codes together.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Once more.
    pub fn increment(&mut self, code: Code) {
        let counts = Code::ALL.iter().zip(&mut self.0);
        let count = counts.filter(|row| *row.0 == code).map(|row| row.1).next();
        *count.expect("every code is among all codes") += 1;
    }
}

impl Figure for ByCode {
    const LABEL: &'static str = "code";

    fn show(&self, visitor: &mut dyn Visitor) {
        self.rows().for_each(|(code, count)| visitor.number(&code.number().to_string(), count));
    }

    fn merge(&mut self, other: &ByCode) {
        self.0.iter_mut().zip(other.0).for_each(|(count, other)| *count += other);
    }
}
