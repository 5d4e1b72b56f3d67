//! Digest authentication (RFC 3261 §22, RFC 8760).

use digest_auth::{AuthContext, HttpMethod, WwwAuthenticateHeader};
use msrp_conference::wire::sip::{Headers, Request, Response};
use std::borrow::Cow;

/// An account.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Credentials {
    /// Adds the answer to every challenge of a 401 or 407; false when we cannot answer any.
    pub(crate) fn answer(&self, challenge: &Response, request: &mut Request) -> bool {
        let www = self.values(&challenge.headers, "WWW-Authenticate", request);
        let proxy = self.values(&challenge.headers, "Proxy-Authenticate", request);
        request.headers.remove("Authorization");
        request.headers.remove("Proxy-Authorization");
        let answered = !(www.is_empty() && proxy.is_empty());
        www.into_iter()
            .for_each(|value| request.headers.push("Authorization", value));
        proxy
            .into_iter()
            .for_each(|value| request.headers.push("Proxy-Authorization", value));
        answered
    }

    /// One value per realm; if a realm offers several algorithms, the first one that we know.
    fn values(&self, headers: &Headers, name: &str, request: &Request) -> Vec<String> {
        let mut realms = Vec::new();
        let mut values = Vec::new();
        for challenge in headers.all(name) {
            let Ok(mut prompt) = WwwAuthenticateHeader::parse(challenge) else {
                continue;
            };
            if realms.contains(&prompt.realm) {
                continue;
            }
            let context = AuthContext::new_with_method(
                self.user.as_str(),
                self.password.as_str(),
                request.uri.as_str(),
                Some(&request.body[..]),
                HttpMethod(Cow::Borrowed(request.method.as_str())),
            );
            if let Ok(answer) = prompt.respond(&context) {
                values.push(answer.to_string());
                realms.push(prompt.realm);
            }
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use msrp_conference::wire::sip::Method;

    #[test]
    fn a_challenge_is_answered_once_a_realm() {
        let account = Credentials {
            user: "alice".into(),
            password: "secret".into(),
        };
        let headers = Headers::new()
            .with(
                "WWW-Authenticate",
                r#"Digest realm="conf", nonce="n1", algorithm=SHA-256, qop="auth""#,
            )
            .with(
                "WWW-Authenticate",
                r#"Digest realm="conf", nonce="n1", algorithm=MD5, qop="auth""#,
            );
        let challenge = Response {
            code: 401,
            reason: String::new(),
            headers,
            body: Bytes::new(),
        };
        let mut request = Request {
            method: Method::Invite,
            uri: "sip:lobby@conf".into(),
            headers: Headers::new(),
            body: Bytes::new(),
        };
        assert!(account.answer(&challenge, &mut request));
        let values: Vec<_> = request.headers.all("Authorization").collect();
        assert_eq!(values.len(), 1);
        assert!(values[0].contains("SHA-256") && values[0].contains(r#"uri="sip:lobby@conf""#));
    }

    #[test]
    fn without_a_challenge_there_is_no_answer() {
        let account = Credentials {
            user: String::new(),
            password: String::new(),
        };
        let challenge = Response {
            code: 401,
            reason: String::new(),
            headers: Headers::new(),
            body: Bytes::new(),
        };
        let mut request = Request {
            method: Method::Invite,
            uri: "sip:a@b".into(),
            headers: Headers::new(),
            body: Bytes::new(),
        };
        assert!(!account.answer(&challenge, &mut request));
    }
}
