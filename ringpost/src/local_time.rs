//! Times as a person here reads them. Where the zone of the machine cannot be learnt it is UTC.

use time::{Date, OffsetDateTime, UtcOffset};

/// Asked for once, at the start, while there is one thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalTime {
    offset: UtcOffset,
}

impl LocalTime {
    pub(crate) fn here() -> LocalTime {
        LocalTime { offset: UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC) }
    }

    fn at(self, time_ms: u64) -> OffsetDateTime {
        let seconds = i64::try_from(time_ms / 1000).unwrap_or_default();
        OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH).to_offset(self.offset)
    }

    /// `23:59`
    pub(crate) fn minute(self, time_ms: u64) -> String {
        let at = self.at(time_ms);
        format!("{:02}:{:02}", at.hour(), at.minute())
    }

    /// `23:59:58`
    pub(crate) fn second(self, time_ms: u64) -> String {
        format!("{}:{:02}", self.minute(time_ms), self.at(time_ms).second())
    }

    pub(crate) fn date(self, time_ms: u64) -> Date {
        self.at(time_ms).date()
    }

    /// `2026-11-25 23:59`
    pub(crate) fn date_and_minute(self, time_ms: u64) -> String {
        format!("{} {}", self.date(time_ms), self.minute(time_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_in_the_zone_of_the_reader() {
        let there = LocalTime { offset: UtcOffset::from_hms(2, 0, 0).expect("a zone") };
        assert_eq!(there.date_and_minute(1_764_108_000_000), "2025-11-26 00:00");
        assert_eq!(LocalTime { offset: UtcOffset::UTC }.date_and_minute(1_764_108_000_000), "2025-11-25 22:00");
    }
}
