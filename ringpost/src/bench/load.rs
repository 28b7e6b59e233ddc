//! `bench hold`, `chat`, `storm` and `fanout`.

use std::time::Duration;

use bench_harness::{Resume, Tiers};
use bench_load::{Options, Report, Scenario, ServerChoice, page, table};
use gateway_server::DriverChoice;
use protocol::limits::GROUP_MEMBERS_MAX;

use super::arguments::{BenchScenario, LoadArguments, ResumeArgument, TiersArgument};
use super::scratch::Scratch;
use super::{binary, say, write};
use crate::mistake::{Exit, Mistake};
use crate::output::print_line;

/// The default of `gateway.heartbeat_interval_ms`.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// Where idling is measured, as phones in the background do it.
const IDLE_HEARTBEAT: Duration = Duration::from_secs(240);

/// What a load is, from what was typed; `None` for what is none.
pub(super) fn scenario(typed: &BenchScenario) -> Option<(Scenario, Duration, &LoadArguments)> {
    let count = |number: u32| usize::try_from(number).expect("32 bits fit");
    Some(match typed {
        BenchScenario::Hold { connections, seconds, rate, heartbeat, load } => {
            let (idle, per_second) = (Duration::from_secs(*seconds), f64::from(*rate));
            let connections = count(connections.next_multiple_of(2));
            let default = if load.server.is_some() { HEARTBEAT } else { IDLE_HEARTBEAT };
            (Scenario::Hold { connections, idle, per_second }, heartbeat.map_or(default, Duration::from_secs), load)
        }
        BenchScenario::Chat { pairs, idle, rate, seconds, load } => {
            let (pairs, idle, measured) = (count(*pairs), count(*idle), Duration::from_secs(*seconds));
            let heartbeat = if idle > 0 { IDLE_HEARTBEAT } else { HEARTBEAT };
            (Scenario::Chat { pairs, idle, per_second: f64::from(*rate), measured }, heartbeat, load)
        }
        BenchScenario::Storm { connections, resume, rounds, kill, load } => {
            let (connections, rounds) = (count(connections.next_multiple_of(2)), usize::from(*rounds));
            let resume = match resume {
                ResumeArgument::Tls => Resume::Session,
                ResumeArgument::Ticket => Resume::Ticket,
                ResumeArgument::None => Resume::Token,
            };
            (Scenario::Storm { connections, rounds, resume, kills: *kill }, IDLE_HEARTBEAT, load)
        }
        BenchScenario::Fanout { channels, groups, members, rate, seconds, load } => {
            let channels = *channels;
            let (groups, members, measured) = (count(*groups), usize::from(*members), Duration::from_secs(*seconds));
            (Scenario::Fanout { channels, groups, members, per_second: f64::from(*rate), measured }, HEARTBEAT, load)
        }
        BenchScenario::Slice { .. } | BenchScenario::Baseline | BenchScenario::Worker => return None,
    })
}

/// One run with each driver.
pub(super) fn run(scenario: &Scenario, heartbeat: Duration, load: &LoadArguments) -> Result<(), Mistake> {
    if let Scenario::Fanout { channels: false, members, .. } = scenario
        && *members > GROUP_MEMBERS_MAX
    {
        let text = format!("a group has at most {GROUP_MEMBERS_MAX} members: name fewer, or take --channels");
        return Err(Mistake::new(Exit::Usage, text));
    }
    let mut reports = Vec::new();
    if load.server.is_some() {
        reports.push(measure(scenario, heartbeat, load, DriverChoice::Auto)?);
    } else {
        for driver in load.drivers() {
            reports.push(measure(scenario, heartbeat, load, driver)?);
        }
    }
    print_line(table(&reports).trim_end().as_bytes())?;
    if let Some(file) = &load.html {
        write(file, &page(&reports))?;
    }
    if let Some(file) = &load.json {
        let text = match reports.as_slice() {
            [only] => serde_json::to_string_pretty(only),
            all => serde_json::to_string_pretty(all),
        };
        write(file, &(text.expect("numbers and texts are always JSON") + "\n"))?;
    }
    judge(&reports, load)
}

fn measure(
    scenario: &Scenario,
    heartbeat: Duration,
    load: &LoadArguments,
    driver: DriverChoice,
) -> Result<Report, Mistake> {
    let scratch = if load.server.is_none() { Some(Scratch::make(&load.scratch.parent)?) } else { None };
    let server = match (&load.server, &scratch) {
        (Some(data_dir), _) => ServerChoice::Running { data_dir: data_dir.clone(), process_id: load.server_pid },
        (None, scratch) => ServerChoice::Own {
            tiers: if load.role == TiersArgument::Split { Tiers::Split } else { Tiers::Whole },
            driver: driver.name().to_owned(),
            scratch: scratch.as_ref().expect("it was made a line ago").data(),
        },
    };
    let arriving_max = usize::try_from(load.arriving).expect("32 bits fit");
    let options = Options { scenario: scenario.clone(), binary: binary()?, server, arriving_max, heartbeat };
    bench_load::run(&options, say)
        .map_err(|error| Mistake::new(Exit::Software, format!("nothing was measured: {error:#}")))
}

/// Whether every run has reached what was asked of it.
fn judge(reports: &[Report], load: &LoadArguments) -> Result<(), Mistake> {
    let mut misses = Vec::new();
    for report in reports {
        let figures = serde_json::to_value(report).expect("numbers and texts are always JSON");
        misses.extend(load.slo.iter().filter_map(|slo| slo.miss(&figures)));
    }
    if misses.is_empty() { Ok(()) } else { Err(Mistake::new(Exit::Missed, misses.join("; "))) }
}
