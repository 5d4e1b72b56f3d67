//! Answers to digest challenges of our requests (RFC 3261 §22, RFC 7616, RFC 8760). The caller
//! provides the client nonce; no password is ever written or logged here.

use super::grammar::split_outside;
use super::values::unquote;
use super::{Headers, Request, Response};
use digest_auth::{
    Algorithm, AlgorithmType, AuthContext, AuthorizationHeader, Charset, HttpMethod, Qop,
    WwwAuthenticateHeader,
};
use std::fmt;

/// The reason why a challenge cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// No challenge is of a realm with an account.
    #[error("no challenge for this account")]
    NoChallenge,
    /// Unsupported algorithms or qualities of protection.
    #[error("unsupported digest algorithm")]
    Unsupported,
    /// The request already had an answer, and its nonce was not stale.
    #[error("credentials refused")]
    Refused,
}

/// Limit of challenges considered in a response: a few realms with three algorithms.
const MAX_CHALLENGES: usize = 16;

/// An account of ours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Account<'a> {
    /// The user name.
    pub user: &'a str,
    /// The password.
    pub password: &'a str,
    /// The only realm for which the password may be used; `None`: any realm.
    pub realm: Option<&'a str>,
}

impl fmt::Debug for Account<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("user", &self.user)
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

/// Adds answers to the challenges of a 401 or 407 to the challenged request; keeps answers to other
/// realms. The caller then increments CSeq and takes a new branch (RFC 3261 §22.2).
///
/// For each realm it answers the topmost challenge that it supports (RFC 8760 §2.3). An account for
/// that realm takes precedence over one for any realm.
pub fn authorize(
    request: &mut Request,
    response: &Response,
    accounts: &[Account<'_>],
    cnonce: &str,
) -> Result<(), DigestError> {
    let mut answers = Vec::new();
    let mut failure = DigestError::NoChallenge;
    for (asked, name) in [
        ("WWW-Authenticate", "Authorization"),
        ("Proxy-Authenticate", "Proxy-Authorization"),
    ] {
        for text in response.headers.all(asked).take(MAX_CHALLENGES) {
            let Some(challenge) = Fields::parse(text) else {
                continue;
            };
            let realm = challenge.value("realm").unwrap_or_default();
            let of = |wanted: Option<&str>| accounts.iter().find(|it| it.realm == wanted);
            let Some(account) = of(Some(realm.as_str())).or_else(|| of(None)) else {
                continue;
            };
            if answers.iter().any(|(n, r, _)| *n == name && r == &realm) {
                continue;
            }
            if is_answered(&request.headers, name, &realm) && !challenge.is("stale", "true") {
                return Err(DigestError::Refused);
            }
            match answer(&challenge, request, account, cnonce) {
                Some(answer) => answers.push((name, realm, answer.to_string())),
                None => failure = DigestError::Unsupported,
            }
        }
    }
    if answers.is_empty() {
        return Err(failure);
    }
    for (name, realm, answer) in answers {
        drop_answer(&mut request.headers, name, &realm);
        request.headers.push(name, answer);
    }
    Ok(())
}

fn answer(
    challenge: &Fields,
    request: &Request,
    account: &Account<'_>,
    cnonce: &str,
) -> Option<AuthorizationHeader> {
    let mut prompt = WwwAuthenticateHeader {
        domain: None,
        realm: challenge.value("realm")?,
        nonce: challenge.value("nonce")?,
        opaque: challenge.value("opaque"),
        stale: false,
        algorithm: algorithm(challenge.value("algorithm").as_deref())?,
        qop: quality(challenge.value("qop").as_deref())?,
        userhash: challenge.is("userhash", "true"),
        charset: Charset::UTF8,
        nc: 0,
    };
    let mut context = AuthContext::new_with_method(
        account.user,
        account.password,
        request.uri.as_str(),
        Some(&request.body[..]),
        HttpMethod::from(request.method.as_str()),
    );
    context.set_custom_cnonce(cnonce);
    prompt.respond(&context).ok()
}

/// The algorithm, MD5 by default (RFC 7616 §3.3); `None` if unsupported.
fn algorithm(name: Option<&str>) -> Option<Algorithm> {
    let Some(name) = name else {
        return Some(Algorithm::default());
    };
    let name = name.to_ascii_lowercase();
    let (base, sess) = match name.strip_suffix("-sess") {
        Some(base) => (base, true),
        None => (name.as_str(), false),
    };
    let kind = match base {
        "md5" => AlgorithmType::MD5,
        "sha-256" => AlgorithmType::SHA2_256,
        "sha-512-256" => AlgorithmType::SHA2_512_256,
        _ => return None,
    };
    Some(Algorithm::new(kind, sess))
}

/// The quality of protection: `auth` where there is a choice, because proxies on the path may
/// change bodies. `None` if unsupported, `Some(None)` when the challenge has none (RFC 2069).
fn quality(offered: Option<&str>) -> Option<Option<Vec<Qop>>> {
    let Some(offered) = offered else {
        return Some(None);
    };
    let has = |wanted: &str| {
        let mut words = offered.split(',').map(str::trim);
        words.any(|word| word.eq_ignore_ascii_case(wanted))
    };
    match (has("auth"), has("auth-int")) {
        (true, _) => Some(Some(vec![Qop::AUTH])),
        (false, true) => Some(Some(vec![Qop::AUTH_INT])),
        (false, false) => None,
    }
}

fn is_answered(headers: &Headers, name: &str, realm: &str) -> bool {
    headers.all(name).any(|text| is_of_realm(text, realm))
}

fn drop_answer(headers: &mut Headers, name: &str, realm: &str) {
    let others = headers.all(name).filter(|text| !is_of_realm(text, realm));
    let others: Vec<_> = others.map(str::to_owned).collect();
    headers.remove(name);
    others.into_iter().for_each(|text| headers.push(name, text));
}

fn is_of_realm(text: &str, realm: &str) -> bool {
    Fields::parse(text)
        .and_then(|fields| fields.value("realm"))
        .as_deref()
        == Some(realm)
}

/// `Digest name=value, name="value"`: a challenge or an answer. The crate's own reader cannot
/// handle text outside ASCII.
struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Fields<'a> {
    /// `None` for another scheme.
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, fields) = text.trim().split_once(|c: char| c.is_ascii_whitespace())?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let fields = split_outside(fields, b',').filter_map(|field| field.split_once('='));
        Some(Fields(fields.map(|(n, v)| (n.trim(), v.trim())).collect()))
    }

    fn value(&self, name: &str) -> Option<String> {
        let (_, value) = self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        match value.strip_prefix('"') {
            Some(quoted) => unquote(quoted).map(|(plain, _)| plain),
            None => Some((*value).to_owned()),
        }
    }

    fn is(&self, name: &str, wanted: &str) -> bool {
        let value = self.value(name);
        value.is_some_and(|value| value.eq_ignore_ascii_case(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sip::Method;
    use bytes::Bytes;
    use proptest::prelude::*;

    const BOB: Account<'_> = Account {
        user: "bob",
        password: "zanzibar",
        realm: None,
    };

    fn invite() -> Request {
        Request {
            method: Method::Invite,
            uri: "sip:bob@biloxi.com".into(),
            headers: Headers::new(),
            body: Bytes::from_static(b"v=0\r\n"),
        }
    }

    fn challenge(name: &str, values: &[&str]) -> Response {
        Response {
            code: 401,
            reason: String::new(),
            headers: values.iter().fold(Headers::new(), |h, v| h.with(name, *v)),
            body: Bytes::new(),
        }
    }

    fn answer_to(values: &[&str]) -> Result<String, DigestError> {
        let mut request = invite();
        let response = challenge("WWW-Authenticate", values);
        authorize(&mut request, &response, &[BOB], "0a4f113b")?;
        let answers: Vec<_> = request.headers.all("Authorization").collect();
        Ok(answers.join("|"))
    }

    const PLAIN: &str = r#"Digest realm="biloxi.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093""#;

    #[test]
    fn an_answer_on_the_wire() {
        let offer = "qop=\"auth,auth-int\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
        let expected = format!(
            "Digest username=\"bob\", {}, uri=\"sip:bob@biloxi.com\", qop=auth, nc=00000001, \
             cnonce=\"0a4f113b\", response=\"89eb0059246c02b2f6ee02c7961d5ea3\", \
             opaque=\"5ccc069c403ebaf9f0171e9517f40e41\", algorithm=MD5",
            PLAIN.trim_start_matches("Digest ")
        );
        assert_eq!(answer_to(&[&format!("{PLAIN}, {offer}")]), Ok(expected));
    }

    /// The expected values were computed without the crate under test.
    #[test]
    fn every_algorithm_and_quality() {
        for (fields, expected) in [
            ("", "bf57e4e0d0bffc0fbaedce64d59add5e"),
            (
                ", algorithm=sha-256, qop=auth",
                "b3b5a6c69453abafaab9ae4dccdac90a076b6c80615d5f3498e7433b6e93bf4f",
            ),
            (
                ", algorithm=MD5-sess, qop=\"auth\"",
                "e4e4ea61d186d07a92c9e1f6919902e9",
            ),
            (
                ", algorithm=MD5, qop=\"auth-int\"",
                "77226bb823dc077c1ad3537415667bae",
            ),
        ] {
            let answer = answer_to(&[&format!("{PLAIN}{fields}")]).unwrap();
            let response = Fields::parse(&answer).and_then(|answer| answer.value("response"));
            assert_eq!(response.as_deref(), Some(expected), "{fields}");
        }
    }

    #[test]
    fn what_we_cannot_compute_is_refused() {
        for fields in [
            ", algorithm=SHA-1",
            ", algorithm=AKAv1-MD5",
            ", qop=\"other\"",
        ] {
            let refused = answer_to(&[&format!("{PLAIN}{fields}")]);
            assert_eq!(refused, Err(DigestError::Unsupported), "{fields}");
        }
        for text in ["", "Digest", "Basic realm=\"x\"", "Digestrealm=\"x\""] {
            assert_eq!(answer_to(&[text]), Err(DigestError::NoChallenge), "{text}");
        }
        assert_eq!(
            answer_to(&["Digest realm=\"x\""]),
            Err(DigestError::Unsupported)
        );
    }

    #[test]
    fn the_topmost_known_challenge_of_a_realm_is_answered() {
        let with = |realm: &str, algorithm: &str| {
            format!(r#"Digest realm="{realm}", nonce="n", qop="auth", algorithm={algorithm}"#)
        };
        let values = [
            with("a", "SHA-3"),
            with("a", "SHA-512-256"),
            with("a", "MD5"),
            with("b", "MD5"),
        ];
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        let answer = answer_to(&values).unwrap();
        let (first, second) = answer.split_once('|').unwrap();
        assert!(first.contains("realm=\"a\"") && first.contains("algorithm=SHA-512-256"));
        assert!(second.contains("realm=\"b\""), "{second}");
    }

    #[test]
    fn other_realms_keep_their_answers_and_learn_nothing() {
        let mut request = invite();
        let own = Account {
            realm: Some("biloxi.com"),
            ..BOB
        };
        let proxy = challenge("Proxy-Authenticate", &[PLAIN]);
        authorize(&mut request, &proxy, &[own], "c").unwrap();
        let server = challenge("WWW-Authenticate", &[r#"Digest realm="evil", nonce="1""#]);
        let refused = authorize(&mut request, &server, &[own], "c");
        assert_eq!(refused, Err(DigestError::NoChallenge));
        authorize(&mut request, &server, &[BOB], "c").unwrap();
        assert_eq!(request.headers.all("Proxy-Authorization").count(), 1);
        assert_eq!(request.headers.all("Authorization").count(), 1);
    }

    #[test]
    fn a_wrong_password_is_not_sent_twice() {
        let mut request = invite();
        let first = challenge("WWW-Authenticate", &[PLAIN]);
        authorize(&mut request, &first, &[BOB], "c").unwrap();
        let again = authorize(&mut request, &first, &[BOB], "c");
        assert_eq!(again, Err(DigestError::Refused));
        let stale = r#"Digest realm="biloxi.com", nonce="new", stale=TRUE"#;
        let stale = challenge("WWW-Authenticate", &[stale]);
        authorize(&mut request, &stale, &[BOB], "c").unwrap();
        let answers: Vec<_> = request.headers.all("Authorization").collect();
        assert!(answers.len() == 1 && answers[0].contains("nonce=\"new\""));
        assert!(!format!("{BOB:?}").contains("zanzibar"));
    }

    #[test]
    fn every_realm_gets_its_own_account() {
        let carol = Account {
            user: "carol",
            realm: Some("b"),
            ..BOB
        };
        let mut request = invite();
        let realms = [
            r#"Digest realm="a", nonce="1""#,
            r#"Digest realm="b", nonce="2""#,
        ];
        for stale in ["", ", stale=true"] {
            let realms = realms.map(|realm| format!("{realm}{stale}"));
            let response = challenge("Proxy-Authenticate", &[&realms[0], &realms[1]]);
            authorize(&mut request, &response, &[BOB, carol], "c").unwrap();
            let answers: Vec<_> = request.headers.all("Proxy-Authorization").collect();
            assert_eq!(answers.len(), 2);
            assert!(answers[0].contains("username=\"bob\", realm=\"a\""));
            assert!(answers[1].contains("username=\"carol\", realm=\"b\""));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_challenges_never_panic(
            text in "(realm=|nonce=|qop=|algorithm=|opaque=|stale=true|\"|\\\\|,|=|é|[ -~]){0,16}",
        ) {
            let text = format!("Digest {text}");
            let mut request = invite();
            let response = challenge("Proxy-Authenticate", &[&text, PLAIN]);
            let _ = authorize(&mut request, &response, &[BOB], "c");
            let _ = authorize(&mut request, &response, &[BOB], "c");
        }
    }
}
