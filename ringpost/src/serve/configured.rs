//! How a server is configured while it runs, and what a HUP changes of that.
//!
//! Invariant: a HUP changes everything that it can, or, when anything is wrong, nothing.

use tracing::Level;

use super::gateway;
use super::parts::Parts;
use crate::config::{Applies, Change, Given, Settings, refuse};
use crate::logging::Logging;
use crate::mistake::Mistake;

/// The settings that hold, and what they are read from.
pub(crate) struct Configured {
    given: Given,
    settings: Settings,
    logging: Logging,
}

impl Configured {
    /// Before anything else: nothing is started with a mistake, and nothing is logged before it is known how.
    pub(crate) fn start(given: &Given) -> Result<Configured, Mistake> {
        let loaded = given.load().map_err(|complaints| refuse(&complaints))?;
        let logging = Logging::start(&loaded.settings);
        loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(Configured { given: given.clone(), settings: loaded.settings, logging })
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// After a HUP. Says what has come of it in one line.
    pub(super) fn renew(&mut self, parts: &Parts) {
        match self.try_renew(parts) {
            Ok(outcome) => {
                // Under whichever filter lets it through, the old or the new.
                let is_told = tracing::enabled!(Level::INFO);
                if is_told {
                    tracing::info!("HUP: {outcome}");
                }
                self.logging.apply(&self.settings);
                if !is_told {
                    tracing::info!("HUP: {outcome}");
                }
            }
            Err(why) => tracing::error!("HUP: nothing is changed: {why}"),
        }
    }

    fn try_renew(&mut self, parts: &Parts) -> Result<String, String> {
        let loaded = self.given.load().map_err(|complaints| {
            let lines: Vec<_> = complaints.iter().map(ToString::to_string).collect();
            lines.join("; ")
        })?;
        let mut settings = loaded.settings;
        let mut changes = Change::all(&self.settings, &settings);
        changes.retain(|change| parts.has(change.key.tier));
        let (applied, waiting): (Vec<_>, Vec<_>) =
            changes.iter().partition(|change| change.key.applies == Applies::OnHangup);
        waiting.iter().for_each(|change| change.undo(&mut settings));

        let credentials = parts.gateway.as_ref().map(|_| gateway::credentials(&settings, parts.router.is_some()));
        let credentials = credentials.transpose().map_err(|mistake| mistake.to_string())?;
        if let Some(router) = &parts.router {
            router.renew(settings.router, settings.store()).map_err(|_| "the router has its hands full".to_owned())?;
        }
        let read_anew =
            if credentials.is_some() { "certificate, token keys and ticket keys are read anew; " } else { "" };
        if let (Some(gateway), Some((tls, verifier, tickets))) = (&parts.gateway, credentials) {
            gateway.renew(settings.gateway.clone(), tls, verifier, tickets).expect("it was checked when it was read");
        }
        self.settings = settings;
        Ok(format!("{read_anew}{}; {}", told("applied", &applied), told("waiting for a restart", &waiting)))
    }
}

fn told(what: &str, changes: &[&Change]) -> String {
    let changes: Vec<_> = changes.iter().map(ToString::to_string).collect();
    if changes.is_empty() { format!("nothing is {what}") } else { format!("{what}: {}", changes.join(", ")) }
}
