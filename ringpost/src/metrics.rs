//! `metrics`: the catalogue of everything that `/metrics` shows, made from the same figures.

use std::fmt::Write;

use gateway_server::GatewayView;
use protocol::figures::{Buckets, Family, Figures, Visitor};
use protocol_carrier::LinkMetrics;
use router_server::Published;

use crate::mistake::Mistake;
use crate::output;
use crate::serve::exposition::type_of;

const HEAD: &str = "# Metrics

What a server shows on `/metrics` of its admin listener, in the text format of Prometheus. `ringpost metrics` prints this
page from the code; a test keeps it fresh. Counters begin at 0 with each process. A histogram has the samples `_bucket`,
`_sum` and `_count`; its buckets double. Figures are up to a quarter of a second old.
";

/// Prints it as Markdown.
pub(crate) fn run() -> Result<(), Mistake> {
    output::print_line(catalogue().trim_end().as_bytes())
}

fn catalogue() -> String {
    let mut page = Page(HEAD.to_owned());
    page.part("Gateway", "With `--role gateway` and `--role all`, and in `dev`.", &GatewayView::default());
    page.part("Router", "With `--role router` and `--role all`, and in `dev`.", &Published::default());
    page.part("Links", "Where a tier has links to other processes.", &LinkMetrics::default());
    page.0
}

struct Page(String);

impl Page {
    fn part(&mut self, title: &str, place: &str, figures: &impl Figures) {
        self.line(format_args!("\n## {title}\n\n{place}\n"));
        self.line(format_args!(
            "| metric | type | unit | label | what it says | when to look at it |\n|---|---|---|---|---|---|"
        ));
        figures.visit(self);
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("writing to memory does not fail");
    }
}

impl Visitor for Page {
    fn family(&mut self, family: &Family) {
        let Family { name, kind, label, about, look } = family;
        let stem = name.strip_suffix("_total").unwrap_or(name);
        let unit = ["seconds", "bytes"].into_iter().find(|unit| stem.ends_with(unit)).unwrap_or_default();
        let label = if label.is_empty() { String::new() } else { format!("`{label}`") };
        self.line(format_args!("| `{name}` | {} | {unit} | {label} | {about} | {look} |", type_of(*kind)));
    }

    fn number(&mut self, _: &str, _: u64) {}

    fn time(&mut self, _: &str, _: std::time::Duration) {}

    fn buckets(&mut self, _: Buckets<'_>) {}
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use protocol::figures::Kind;

    use super::*;

    #[test]
    fn the_catalogue_in_docs_is_what_the_code_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
        let kept = std::fs::read_to_string(path).expect("it is there");
        assert!(kept == catalogue(), "`cargo run -- metrics > docs/metrics.md` makes it fresh");
    }

    /// Checks the rules for names.
    #[derive(Default)]
    struct Rules(BTreeSet<&'static str>);

    impl Visitor for Rules {
        fn family(&mut self, family: &Family) {
            let Family { name, kind, label, about, look } = *family;
            assert!(self.0.insert(name), "{name} is there twice");
            let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(is_plain(name) && is_plain(label), "{name} {label}");
            assert_eq!(name.ends_with("_total"), kind == Kind::Counter, "{name}");
            let has_unit = name.ends_with("_seconds") || name.ends_with("_bytes");
            assert!(kind != Kind::Histogram || has_unit, "{name} has no unit");
            for text in [about, look] {
                assert!(text.ends_with('.') && !text.contains(['|', '\n']), "{name}: {text}");
            }
        }
        fn number(&mut self, _: &str, _: u64) {}
        fn time(&mut self, _: &str, _: std::time::Duration) {}
        fn buckets(&mut self, _: Buckets<'_>) {}
    }

    #[test]
    fn every_name_keeps_the_rules_and_is_there_once() {
        let mut rules = Rules::default();
        GatewayView::default().visit(&mut rules);
        Published::default().visit(&mut rules);
        LinkMetrics::default().visit(&mut rules);
        assert!(rules.0.len() > 90, "{}", rules.0.len());
    }
}
