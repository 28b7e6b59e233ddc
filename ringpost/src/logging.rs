//! Where log lines go: standard error, as text for a person or as JSON for a machine.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload;

use crate::config::{LogFormat, Settings};

/// What can be changed of the log of a process.
pub(crate) struct Logging {
    set_filter: Box<dyn Fn(EnvFilter) -> Result<(), reload::Error>>,
}

impl Logging {
    /// Once, at the start of a process.
    pub(crate) fn start(settings: &Settings) -> Logging {
        let builder = tracing_subscriber::fmt().with_env_filter(filter(settings)).with_writer(std::io::stderr);
        let is_text = match settings.log_format {
            LogFormat::Auto => std::io::stderr().is_terminal(),
            LogFormat::Text => true,
            LogFormat::Json => false,
        };
        if is_text {
            let builder = builder.compact().with_filter_reloading();
            let handle = builder.reload_handle();
            builder.init();
            Logging { set_filter: Box::new(move |filter| handle.reload(filter)) }
        } else {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            builder.init();
            Logging { set_filter: Box::new(move |filter| handle.reload(filter)) }
        }
    }

    /// From now on.
    pub(crate) fn apply(&self, settings: &Settings) {
        (self.set_filter)(filter(settings)).expect("the log lives as long as the process");
    }
}

fn filter(settings: &Settings) -> EnvFilter {
    EnvFilter::try_new(&settings.log_filter).expect("it was checked when it was read")
}
