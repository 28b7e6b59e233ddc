//! What a run must reach: a figure by its name, and a bound.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// Figures that are true also of a run that is void for its times.
const COUNTS: [&str; 5] = ["connections_held", "connections_lost", "duplicated", "lost", "reordered"];

/// As `latency_ms.p99<=20` or `messages_per_second>=20000`.
#[derive(Clone, Debug, PartialEq)]
pub struct Slo {
    field: String,
    is_upper: bool,
    bound: f64,
}

/// A text that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SloInvalid;

impl Slo {
    /// Why these figures miss it; `None` when they reach it. A figure that was not measured misses every bound, and so do
    /// those of a void run other than counts.
    pub fn miss(&self, figures: &Value) -> Option<String> {
        let value = self.field.split('.').try_fold(figures, |value, name| value.get(name));
        let Some(number) = value.and_then(Value::as_f64) else {
            return Some(format!("{self} is missed: this run has not measured {}", self.field));
        };
        if let Some(reason) = figures.get("void").and_then(Value::as_str)
            && !COUNTS.contains(&self.field.as_str())
        {
            return Some(format!("{self} is missed: the run is void, as {reason}"));
        }
        let is_reached = if self.is_upper { number <= self.bound } else { number >= self.bound };
        (!is_reached).then(|| format!("{self} is missed: it is {number:.3}"))
    }
}

impl FromStr for Slo {
    type Err = SloInvalid;

    fn from_str(text: &str) -> Result<Slo, SloInvalid> {
        let upper = text.split_once("<=").map(|parts| (parts, true));
        let ((field, bound), is_upper) =
            upper.or_else(|| text.split_once(">=").map(|parts| (parts, false))).ok_or(SloInvalid)?;
        let (field, bound) = (field.trim().to_owned(), bound.trim().parse().map_err(|_| SloInvalid)?);
        if field.is_empty() { Err(SloInvalid) } else { Ok(Slo { field, is_upper, bound }) }
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.field, if self.is_upper { "<=" } else { ">=" }, self.bound)
    }
}

impl fmt::Display for SloInvalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is FIELD<=NUMBER or FIELD>=NUMBER, as in latency_ms.p99<=20")
    }
}

impl std::error::Error for SloInvalid {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bound_is_reached_or_missed_and_what_was_not_measured_misses_it() {
        let figures = json!({ "lost": 0, "latency_ms": { "p99": 20.5 }, "messages_per_second": null });
        let miss = |text: &str| text.parse::<Slo>().expect("an slo").miss(&figures);
        assert_eq!(miss("lost<=0"), None);
        assert_eq!(miss("latency_ms.p99 >= 20.5"), None);
        assert_eq!(miss("latency_ms.p99<=20").as_deref(), Some("latency_ms.p99<=20 is missed: it is 20.500"));
        assert!(miss("messages_per_second>=1").is_some_and(|text| text.contains("has not measured")));
        assert!(miss("nonsense<=1").is_some());
    }

    #[test]
    fn of_a_void_run_only_counts_are_true() {
        let figures = json!({ "lost": 0, "latency_ms": { "p99": 1.0 }, "void": "the load was late" });
        let miss = |text: &str| text.parse::<Slo>().expect("an slo").miss(&figures);
        assert_eq!(miss("lost<=0"), None);
        assert!(miss("latency_ms.p99<=20").is_some_and(|text| text.contains("the load was late")));
    }

    #[test]
    fn a_text_without_a_bound_is_none() {
        for text in ["", "lost", "lost<3", "<=3", "lost<=many"] {
            assert_eq!(text.parse::<Slo>(), Err(SloInvalid), "{text}");
        }
    }
}
