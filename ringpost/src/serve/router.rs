//! The router of this process, with its store.

use std::collections::BTreeMap;
use std::path::Path;

use protocol::ids::{Realm, UserId};
use router_server::{Ended, RouterServer, StartError};
use storage_log::FolderError;

use super::opening::Progress;
use crate::config::Settings;
use crate::data_dir::DataDir;
use crate::mistake::{Exit, Mistake};

/// All users made here are in one realm.
pub(crate) const REALM: Realm = Realm(1);

pub(crate) fn start(settings: &Settings) -> Result<RouterServer, Mistake> {
    let mut progress = Progress::default();
    RouterServer::start(settings.router, &settings.store(), |opening| progress.show(&opening))
        .map_err(|error| store_mistake(&error, &settings.data_dir))
}

fn store_mistake(error: &StartError, data_dir: &Path) -> Mistake {
    let folder = data_dir.display();
    match error {
        StartError::Folder(FolderError::InUse { pid, .. }) => {
            let holder = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
            let text =
                format!("{folder} is in use by {holder}: stop that one, or name another folder with --data-dir DIR");
            Mistake::new(Exit::CannotCreate, text)
        }
        StartError::Folder(FolderError::Io { .. }) => {
            Mistake::new(Exit::CannotCreate, format!("{error}; name another folder with --data-dir DIR"))
        }
        StartError::Open(_) => Mistake::new(Exit::Io, format!("the store in {folder} cannot be opened: {error}")),
        StartError::Resources(_) => Mistake::new(Exit::Unavailable, error.to_string()),
    }
}

/// Makes users that are not there, and notes the ids of all of them for clients beside the server.
pub(crate) fn make_users<'a>(
    router: &RouterServer,
    data_dir: &DataDir,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), Mistake> {
    let made = |name: &str| match router.ensure_user(REALM, name) {
        Ok(user) => Ok((name.to_owned(), user.id)),
        Err(error) => Err(Mistake::new(Exit::Io, format!("cannot make the user {name}: {error}"))),
    };
    let users = names.map(made).collect::<Result<BTreeMap<String, UserId>, Mistake>>()?;
    data_dir.save_demo_users(&users)
}

/// Ends it when everything that was accepted is durable.
pub(crate) fn stop(router: RouterServer) -> Result<(), Mistake> {
    match router.stop() {
        Ended::Stopped => Ok(()),
        Ended::StoreFailed { error, is_marked } => {
            let next =
                if is_marked { "the next start reads only until the store was checked" } else { "check the disk" };
            Err(Mistake::new(Exit::Io, format!("the disk has failed ({error}): nothing acked is lost; {next}")))
        }
    }
}
