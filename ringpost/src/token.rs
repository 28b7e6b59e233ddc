//! `token`: an access token for a user of the server on the data folder, for clients elsewhere.

use std::time::Duration;

use crate::access;
use crate::command_line::TokenArguments;
use crate::data_dir::DataDir;
use crate::mistake::Mistake;
use crate::output;

pub(crate) fn run(arguments: &TokenArguments) -> Result<(), Mistake> {
    let data_dir = DataDir::new(arguments.folder.data_dir.clone());
    let user = access::demo_user(&data_dir, &arguments.name)?;
    let token = access::sign(&data_dir.signer()?, user, None, Duration::from_secs(arguments.lifetime_s));
    output::print_line(token.as_bytes())
}
