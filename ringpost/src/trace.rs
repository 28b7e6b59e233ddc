//! `trace`: the way of one message through the tiers, as each of them has noted it.

pub(crate) mod page;
mod report;

use std::net::SocketAddr;
use std::time::Duration;

use protocol::ids::ClientMsgId;

use crate::access::reachable;
use crate::admin_client;
use crate::command_line::TraceArguments;
use crate::data_dir::DataDir;
use crate::mistake::{Exit, Mistake};
use crate::output;
use page::TracePage;
use report::Report;

const PATIENCE: Duration = Duration::from_secs(5);

/// Asks every admin listener, and puts together what they say.
pub(crate) fn run(arguments: &TraceArguments) -> Result<(), Mistake> {
    let id = arguments.client_msg_id;
    let data_dir = DataDir::new(arguments.folder.data_dir.clone());
    let admins = match &arguments.admins[..] {
        [] => vec![data_dir.admin_address()?],
        admins => admins.to_vec(),
    };
    let pages = admins.iter().map(|admin| Ok((*admin, ask(*admin, id)?))).collect::<Result<Vec<_>, Mistake>>()?;
    let report = Report::new(id, &pages);
    if report.steps.is_empty() {
        return Err(unknown(id, &pages));
    }
    if arguments.json {
        return output::print_json(&report);
    }
    report.lines().iter().try_for_each(|line| output::print_line(line.as_bytes()))
}

fn ask(admin: SocketAddr, id: ClientMsgId) -> Result<TracePage, Mistake> {
    let failed = |why: String| {
        let text = format!("cannot ask {admin}: {why}; --admin ADDR names the admin listener of a server");
        Mistake::new(Exit::Unavailable, text)
    };
    let answer = admin_client::ask(reachable(admin), &format!("GET /trace/{id}"), "", PATIENCE);
    let body = answer.map_err(|error| failed(error.to_string()))?.body;
    serde_json::from_str(&body).map_err(|_| failed("what listens there answers no traces".to_owned()))
}

/// Why that may be.
fn unknown(id: ClientMsgId, pages: &[(SocketAddr, TracePage)]) -> Mistake {
    let asked: Vec<String> = pages.iter().map(|(admin, _)| admin.to_string()).collect();
    let tiers = || pages.iter().flat_map(|(_, page)| &page.tiers);
    let one_in = tiers().map(|tier| tier.one_in).max().unwrap_or_default();
    let hours = tiers().map(|tier| tier.kept_s).max().unwrap_or_default() / 3600;
    let why = match one_in {
        0 => "tracing is off there (`trace.one_in` is 0)".to_owned(),
        _ => {
            let share = if one_in > 1 {
                format!(", or it is not among the one in {one_in} that are traced")
            } else {
                String::new()
            };
            format!(
                "it did not pass there since the start, is older than {hours} h, or has made room for newer ones{share}"
            )
        }
    };
    Mistake::new(Exit::NoUser, format!("nothing is known of {id} at {}: {why}", asked.join(", ")))
}
