//! What several tiers say of one message, in the order in which it happened.

use std::net::SocketAddr;

use protocol::codes::Code;
use protocol::ids::ClientMsgId;
use protocol::trace::Stage;
use serde::Serialize;

use super::page::{StepLine, TierPage, TracePage};
use crate::local_time::LocalTime;

/// Steps of different machines are merged by their wall clocks.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    client_msg_id: String,
    pub(super) steps: Vec<Step>,
    /// Tiers that may have had more.
    gone: Vec<Gone>,
}

#[derive(Debug, Serialize)]
pub(super) struct Step {
    #[serde(flatten)]
    line: StepLine,
    since_first_us: u64,
    since_last_us: u64,
    tier: String,
    admin: SocketAddr,
}

/// A tier that may have had earlier steps.
#[derive(Debug, Serialize)]
struct Gone {
    tier: String,
    admin: SocketAddr,
    gone_through_us: u64,
}

impl Report {
    pub(super) fn new(id: ClientMsgId, pages: &[(SocketAddr, TracePage)]) -> Report {
        let tiers = || pages.iter().flat_map(|(admin, page)| page.tiers.iter().map(move |tier| (*admin, tier)));
        let mut found: Vec<(SocketAddr, &str, &StepLine)> = tiers()
            .flat_map(|(admin, tier)| tier.steps.iter().map(move |step| (admin, &tier.tier[..], step)))
            .collect();
        found.sort_by_key(|(_, _, step)| (step.at_us, rank(&step.stage)));
        let first = found.first().map_or(0, |(_, _, step)| step.at_us);
        let mut last = first;
        let mut steps = Vec::new();
        for (admin, tier, line) in found {
            let since_last_us = line.at_us - std::mem::replace(&mut last, line.at_us);
            let since_first_us = line.at_us - first;
            steps.push(Step { line: line.clone(), since_first_us, since_last_us, tier: tier.to_owned(), admin });
        }
        let began = first.min(id.minted_at().0.saturating_mul(1000));
        let gone = tiers().filter_map(|(admin, tier)| {
            let gone_through_us = tier.gone_through_us.filter(|gone| *gone >= began && !has_beginning(tier))?;
            Some(Gone { tier: tier.tier.clone(), admin, gone_through_us })
        });
        Report { client_msg_id: id.to_string(), steps, gone: gone.collect() }
    }

    /// For a person.
    pub(super) fn lines(&self) -> Vec<String> {
        let here = LocalTime::here();
        let time = |at_us: u64| format!("{}.{:06}", here.second(at_us / 1000), at_us % 1_000_000);
        let mut lines = vec![format!("{}      first ms     last ms", self.client_msg_id)];
        for Step { line, since_first_us, since_last_us, tier, admin } in &self.steps {
            let (first, last) = (millis(*since_first_us), millis(*since_last_us));
            let (at, stage, what) = (time(line.at_us), &line.stage, what(line));
            lines.push(format!("{at}  {stage:<9} {first:>23} {last:>11}  {what} ({tier} at {admin})"));
        }
        for Gone { tier, admin, gone_through_us } in &self.gone {
            let until = time(*gone_through_us);
            lines.push(format!("the {tier} at {admin} keeps no steps of {until} and before: some may be missing"));
        }
        lines
    }
}

/// Nothing can have been before.
fn has_beginning(tier: &TierPage) -> bool {
    let beginnings = [Stage::Received, Stage::Placed, Stage::Known].map(Stage::name);
    tier.steps.first().is_some_and(|step| beginnings.contains(&&step.stage[..]))
}

const STAGES: [Stage; 9] = [
    Stage::Received,
    Stage::Placed,
    Stage::Known,
    Stage::Durable,
    Stage::Sent,
    Stage::Acked,
    Stage::Refused,
    Stage::Pushed,
    Stage::Stored,
];

/// Of two steps at one time the one that comes first; what only a later version knows comes last.
fn rank(stage: &str) -> usize {
    STAGES.iter().position(|known| known.name() == stage).unwrap_or(STAGES.len())
}

fn millis(micros: u64) -> String {
    format!("+{}.{:03}", micros / 1000, micros % 1000)
}

fn what(line: &StepLine) -> String {
    let device = if line.device == "0" { "without a device".to_owned() } else { format!("device {}", line.device) };
    let who = format!("user {} {device}", line.user);
    match &line.stage[..] {
        "received" => format!("from {who}"),
        "placed" => "has its place in the conversation".to_owned(),
        "known" => "had its place already".to_owned(),
        "durable" => "on disk".to_owned(),
        "acked" => format!("answered to {who}"),
        "refused" => format!("to {who}: {}", reason(line.code.unwrap_or_default())),
        "sent" => format!("to the gateway of {who}"),
        "pushed" => format!("to the socket of {who}"),
        "stored" => format!("by {who}"),
        _ => who,
    }
}

fn reason(number: u16) -> String {
    Code::from_number(number).map_or_else(|| number.to_string(), |code| format!("{number} {}", code.text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(stage: Stage, at_us: u64, device: &str) -> StepLine {
        StepLine { stage: stage.name().to_owned(), at_us, user: "7".to_owned(), device: device.to_owned(), code: None }
    }

    fn page(tier: &str, gone_through_us: Option<u64>, steps: Vec<StepLine>) -> TracePage {
        let tier = TierPage { tier: tier.to_owned(), one_in: 1, kept_s: 86_400, gone_through_us, steps };
        TracePage { client_msg_id: String::new(), tiers: vec![tier] }
    }

    fn report(pages: [TracePage; 2]) -> Report {
        let id = ClientMsgId::new(protocol::time::WallTime(1_000), 1);
        let admins = ["127.0.0.1:1", "127.0.0.1:2"].map(|admin| admin.parse().expect("an address"));
        Report::new(id, &admins.into_iter().zip(pages).collect::<Vec<_>>())
    }

    #[test]
    fn two_tiers_are_merged_by_wall_time_and_at_one_time_by_stage() {
        let gateway = page(
            "gateway",
            None,
            vec![
                step(Stage::Received, 1_000_000, "1"),
                step(Stage::Acked, 1_000_500, "1"),
                step(Stage::Pushed, 1_000_500, "2"),
            ],
        );
        let router = page(
            "router",
            Some(900_000),
            vec![
                step(Stage::Placed, 1_000_200, "1"),
                step(Stage::Durable, 1_000_500, "1"),
                step(Stage::Sent, 1_000_500, "2"),
                step(Stage::Stored, 1_002_000, "2"),
            ],
        );
        let report = report([gateway, router]);
        let seen: Vec<_> = report.steps.iter().map(|step| (&step.line.stage[..], step.since_last_us)).collect();
        let expected = [
            ("received", 0),
            ("placed", 200),
            ("durable", 300),
            ("sent", 0),
            ("acked", 0),
            ("pushed", 0),
            ("stored", 1_500),
        ];
        assert_eq!(seen, expected);
        assert_eq!(report.steps.last().map(|step| step.since_first_us), Some(2_000));
        assert!(report.gone.is_empty());
        assert_eq!(report.lines().len(), 8);
    }

    #[test]
    fn a_tier_that_has_let_go_of_steps_is_named() {
        let gateway = page("gateway", Some(1_000_400), vec![step(Stage::Pushed, 1_000_500, "2")]);
        let router = page("router", Some(1_000_100), vec![step(Stage::Placed, 1_000_200, "1")]);
        let report = report([gateway, router]);
        assert_eq!(report.gone.iter().map(|gone| &gone.tier[..]).collect::<Vec<_>>(), ["gateway"]);
        assert!(report.lines().iter().any(|line| line.starts_with("the gateway at 127.0.0.1:1 keeps no steps")));
    }
}
