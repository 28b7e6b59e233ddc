//! How every verb ends: all is calm, all is there, the server leaves in order.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use e2e::ledger::Ledger;
use e2e::load::Load;
use e2e::server::{Plan, Server};
use e2e::site::Site;
use e2e::verdict::{Verdict, broken};
use e2e::{audit, history};

/// Receipts come at most once a second, and a client that was cut off waits up to 15 s before it tries again: who is told
/// nothing for so long is told nothing any more.
const STALL_TIMEOUT: Duration = Duration::from_secs(40);
/// While there is news there is no need to judge it.
const SILENCE: Duration = Duration::from_millis(300);

/// Everything that was said is there, and everybody was told. Gives the number of messages.
pub(crate) fn judge(site: &Site, load: &Load, ledger: &Ledger) -> Verdict<usize> {
    let mut reading = ledger.open()?;
    let facts_before = reading.read_on()?.to_vec();
    let histories = history::read_all(site, load.cast())?;
    let messages = audit::stored(&histories, &facts_before)?;
    drop(facts_before);
    let (mut facts_count, mut last_news) = (0, Instant::now());
    loop {
        thread::sleep(SILENCE);
        let facts = reading.read_on()?;
        if facts.len() > facts_count {
            (facts_count, last_news) = (facts.len(), Instant::now());
            continue;
        }
        match audit::told(load.cast(), &histories, facts)? {
            None => return Ok(messages),
            Some(missing) if last_news.elapsed() > STALL_TIMEOUT => {
                return Err(broken("P4", format!("{missing}; offline are {:?}", load.offline())));
            }
            Some(_) => {}
        }
    }
}

/// TERM ends it with exit code 0, and its log has no line of level ERROR.
pub(crate) fn leave(server: Server, plan: &Plan) -> Verdict {
    let status = server.terminate()?;
    ensure_clean(status.code(), &plan.log()?)?;
    Ok(())
}

fn ensure_clean(exit_code: Option<i32>, log: &str) -> anyhow::Result<()> {
    ensure!(exit_code == Some(0), "after TERM the server ended with {exit_code:?}; its log:\n{log}");
    let errors: Vec<&str> =
        log.lines().filter(|line| line.contains(r#""level":"ERROR""#) || line.contains("panicked")).collect();
    ensure!(errors.is_empty(), "the server logged errors:\n{}", errors.join("\n"));
    Ok(())
}
