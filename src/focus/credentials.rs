//! Digest answers to proxies that challenge the focus (RFC 3261 §22).

use std::fmt;

use bytes::Bytes;

use super::Focus;
use crate::entropy::token;
use crate::wire::sip::{Account, Headers, Method, Request, Response, authorize};

/// Characters of a cnonce.
const CNONCE_LENGTH: usize = 16;

/// What the focus answers a challenge with (modparam `credential`).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Only for this realm; for any when absent.
    pub realm: Option<String>,
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("realm", &self.realm)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Focus {
    /// The headers that answer a 401 or 407, if there are credentials for its realm.
    pub(super) fn credentials(
        &mut self,
        challenge: &Response,
        method: Method,
        uri: &str,
    ) -> Option<Headers> {
        let cnonce = token(self.entropy.as_mut(), CNONCE_LENGTH);
        let mut request = Request {
            method,
            uri: uri.to_owned(),
            headers: Headers::new(),
            body: Bytes::new(),
        };
        for known in &self.config.credentials {
            let account = Account {
                user: &known.user,
                password: &known.password,
                realm: known.realm.as_deref(),
            };
            // The next account may know a realm that this one does not.
            let _ = authorize(&mut request, challenge, &account, &cnonce);
        }
        (!request.headers.is_empty()).then_some(request.headers)
    }
}
