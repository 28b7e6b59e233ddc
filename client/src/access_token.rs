//! Where access tokens come from. A token expires, so each connection asks for one.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Text for a person that says why there is no token, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenError(pub String);

pub(crate) type TokenFuture = Pin<Box<dyn Future<Output = Result<String, TokenError>> + Send>>;

/// A source of access tokens. Cheap to clone.
#[derive(Clone)]
pub struct AccessToken(Arc<dyn Fn() -> TokenFuture + Send + Sync>);

impl AccessToken {
    /// One that somebody made. When it has expired, the session ends.
    pub fn fixed(token: impl Into<String>) -> AccessToken {
        let token = token.into();
        AccessToken::from_fn(move || std::future::ready(Ok(token.clone())))
    }

    /// Asks `fetch` for a token that is valid now, each time it connects. It may wait; a failure counts as a failed
    /// attempt to connect.
    pub fn from_fn<F>(fetch: impl Fn() -> F + Send + Sync + 'static) -> AccessToken
    where
        F: Future<Output = Result<String, TokenError>> + Send + 'static,
    {
        AccessToken(Arc::new(move || Box::pin(fetch())))
    }

    pub(crate) fn fetch(&self) -> TokenFuture {
        (self.0)()
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TokenError {}
