//! How every verb ends: all is calm, all is there, the server leaves in order.

use std::time::Duration;

use anyhow::ensure;
use e2e::ledger::Ledger;
use e2e::load::Load;
use e2e::server::{Plan, Server};
use e2e::site::Site;
use e2e::verdict::{Verdict, broken};
use e2e::{audit, history, poll};

/// Receipts come at most once a second, and a client that was cut off waits up to 15 s before it tries again.
const CALM_TIMEOUT: Duration = Duration::from_secs(40);

/// Everything that was said is there, and everybody was told. Gives the number of messages.
pub(crate) fn judge(site: &Site, load: &Load, ledger: &Ledger) -> Verdict<usize> {
    let facts = ledger.read()?;
    let histories = history::read_all(site, load.cast())?;
    let messages = audit::stored(&histories, &facts)?;
    let mut missing = None;
    let told = poll::until(CALM_TIMEOUT, || {
        let verdict = ledger.read().map_err(Into::into).and_then(|facts| audit::told(load.cast(), &histories, &facts));
        match verdict {
            Ok(None) => Some(Ok(())),
            Ok(not_yet) => {
                missing = not_yet;
                None
            }
            Err(failure) => Some(Err(failure)),
        }
    });
    match (told, missing) {
        (Some(verdict), _) => verdict.map(|()| messages),
        (None, missing) => Err(broken("P4", missing.unwrap_or_default())),
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
