//! The text format of Prometheus, version 0.0.4.

use std::fmt::{Display, Write};
use std::time::Duration;

use protocol::figures::{Buckets, Family, Figures, Kind, Visitor};

/// What its text is served as.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// One family after the other, each with its help and its type in front.
#[derive(Default)]
pub(super) struct Exposition {
    text: String,
    name: &'static str,
    label: &'static str,
}

impl Exposition {
    pub(super) fn add(&mut self, figures: &impl Figures) {
        figures.visit(self);
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// `labels` are as they are written.
    fn sample(&mut self, suffix: &str, labels: &str, value: impl Display) {
        let name = self.name;
        writeln!(self.text, "{name}{suffix}{labels} {value}").expect("writing to memory does not fail");
    }

    fn labelled(&mut self, label: &str, value: impl Display) {
        let labels =
            if label.is_empty() { String::new() } else { format!("{{{}=\"{}\"}}", self.label, escaped(label)) };
        self.sample("", &labels, value);
    }
}

impl Visitor for Exposition {
    fn family(&mut self, family: &Family) {
        (self.name, self.label) = (family.name, family.label);
        let (name, about, kind) = (family.name, escaped(family.about), type_of(family.kind));
        writeln!(self.text, "# HELP {name} {about}\n# TYPE {name} {kind}").expect("writing to memory does not fail");
    }

    fn number(&mut self, label: &str, value: u64) {
        self.labelled(label, value);
    }

    fn time(&mut self, label: &str, value: Duration) {
        self.labelled(label, value.as_secs_f64());
    }

    fn buckets(&mut self, buckets: Buckets<'_>) {
        for (bound, count) in buckets.cumulative() {
            let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
            self.sample("_bucket", &format!("{{le=\"{bound}\"}}"), count);
        }
        self.sample("_sum", "", buckets.sum());
        self.sample("_count", "", buckets.count());
    }
}

/// As the format calls it.
pub(crate) fn type_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_break_its_line() {
        let mut exposition = Exposition { name: "ringpost_test", label: "text", ..Exposition::default() };
        exposition.number("a \"b\" \\ c\nd", 1);
        assert_eq!(exposition.into_text(), "ringpost_test{text=\"a \\\"b\\\" \\\\ c\\nd\"} 1\n");
    }
}
