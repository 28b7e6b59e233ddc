//! TRACE lines that follow one entry through the store under the id that its client gave it.

use storage_api::{Mutation, Request, Response, StoreError, StoreToken};

/// A write that holds entries departs for the store.
pub(crate) fn request(token: StoreToken, request: &Request) {
    if !tracing::enabled!(tracing::Level::TRACE) {
        return;
    }
    let Request::Write(mutations) = request else { return };
    for mutation in mutations {
        let Mutation::Entry(entry) = mutation else { continue };
        let Some(identity) = entry.identity() else { continue };
        tracing::trace!(
            write = token.0,
            client_msg_id = %identity.client_id,
            conversation = %entry.key.conversation,
            seq = entry.key.seq.0,
            "an entry has its place"
        );
    }
}

/// A write is durable, or not.
pub(crate) fn answer(token: StoreToken, result: &Result<Response, StoreError>) {
    match result {
        Ok(Response::Written) => tracing::trace!(write = token.0, "durable"),
        Ok(_) => {}
        Err(error) => tracing::trace!(request = token.0, %error, "the store did not do it"),
    }
}
