//! The page of a run.

use crate::report::{Report, table};

/// One file.
pub fn page(reports: &[Report]) -> String {
    format!("<!doctype html><pre>{}</pre>", table(reports))
}
