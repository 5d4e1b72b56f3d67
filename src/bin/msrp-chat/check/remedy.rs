//! Advice to an operator about a failed step. The program usually sends participants to their
//! operator; here the reader is the operator.

use crate::cli::Access;
use crate::failure::{FIND, Failure};
use rustls::{CertificateError, Error};

/// The step failed with this answer from the module or the script, or without any.
pub(super) fn join(failure: &Failure, access: &Access, from: &str, first: bool) -> String {
    let (encrypted, has_account) = (access.msrps, access.account(from).is_some());
    let advice = match failure.code {
        Some(401 | 407) if !first => {
            "The second participant has no account, or not this password: give its account with a \
             second --account, or only one --account, which then joins twice."
        }
        Some(401 | 407) if has_account => {
            "The server does not accept this user name and password: is it the account's own, and \
             is the realm the script asks for the one the account is in?"
        }
        Some(401 | 407) => {
            "The server asks for an account: msrp-chat check --account USER@DOMAIN:PASSWORD \
             (--password works too). One account is enough."
        }
        Some(403) => {
            "The room's `allow` and `deny`, or the script, keep this caller out; or the parameter \
             `identity` gives nothing for it: does the script authenticate before it calls \
             msrp_conference_handle()?"
        }
        Some(404 | 604) => {
            "There is no such room: is it in a `room` parameter exactly so, user and host, or is \
             `adhoc` on? If it is, something else in the script answers: does the proxy know the \
             host as its own (alias), and does msrp_conference_handle() come first?"
        }
        Some(408) => {
            "The INVITE gets lost: does every way through the script end in \
             msrp_conference_handle() or in an answer?"
        }
        Some(480) => "The room is locked; a moderator or the operator unlocks it.",
        Some(482 | 483) => {
            "The request goes round in circles: the script relays it to this proxy itself \
             instead of giving it to msrp_conference_handle()."
        }
        Some(486 | 600) => {
            "Raise `max` of the room or `max_participants`, or check a room with two free places."
        }
        Some(415 | 488 | 606) if encrypted => {
            "Is there an `msrps:` listener with `tls_certificate` (docs/tls.md)? Without one leave \
             --msrps out."
        }
        Some(415 | 488 | 606) => {
            "Does the server, or this room (`tls=yes`), take encrypted chat alone? Then check with \
             --msrps, or add an `msrp:` listener."
        }
        Some(501 | 405) => {
            "Something answers that takes no calls: does the script give INVITEs for this host to \
             msrp_conference_handle()?"
        }
        Some(503) => {
            "The module takes nobody: does msrp-switchd run if `switch` names it, is \
             `max_conferences` reached, is the proxy stopping? Its log says more."
        }
        Some(500..=599) => "See the proxy's log.",
        _ => return failure.advice.clone(),
    };
    advice.to_owned()
}

/// Whether the module adds a Warning with the reason when it refuses an INVITE with this code. A
/// script's challenge has none, nor has an error on the way.
pub(super) fn is_explained(code: u16) -> bool {
    matches!(code, 402..=406 | 480 | 482..=486 | 488 | 501 | 603..=606)
}

/// The refusal does not come from the module; `software` is the element that sent it, if known.
pub(super) fn stranger(failure: &Failure, software: &str) -> String {
    let who = match software {
        "" => "no Server header".to_owned(),
        software => format!("Server: {software}"),
    };
    let mend = match failure.code {
        Some(404 | 604) => {
            "Does the proxy know the room's host as its own (alias), and does \
             msrp_conference_handle() come first? Or is"
        }
        Some(483) => "The script relays the request to itself instead of handing it over. Or is",
        _ => "Does the script hand INVITEs for this host to msrp_conference_handle()? Or is",
    };
    format!(
        "This answer is not the module's ({who}). {mend} another proxy running on this port: ss \
         -lunp 'sport = :5060'?"
    )
}

/// An element that is not a chat room answered an INVITE.
pub(super) const STRANGER: &str = "Whoever answers is no conference server: does the script give \
    INVITEs for rooms to msrp_conference_handle() before anything else answers or relays them?";

/// The chat's address in the answer does not accept a connection.
pub(super) fn connection(failure: &Failure) -> &'static str {
    if failure.what == FIND {
        return "The room's answer names that host: set `advertise` to a name that clients can \
            resolve, or to an address (docs/nat.md).";
    }
    "SIP passes and MSRP does not: is TCP to this port open in the firewall and forwarded by the \
     router, does `listen` hold that address, and does `advertise` name where it is reached \
     (docs/nat.md)?"
}

/// The certificate is at least the announced one.
pub(super) fn certificate(against: &Error) -> &'static str {
    use CertificateError as Bad;
    let Error::InvalidCertificate(bad) = against else {
        return "Give the authority that vouches for it with --ca.";
    };
    match bad {
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
            "Clients compare it with the host in a=path: set `advertise` to a name that stands in \
             the certificate, or get one for that host (docs/tls.md)."
        }
        Bad::Expired | Bad::ExpiredContext { .. } => {
            "Renew it: the file of `tls_certificate` is read again by itself when it changes. If \
             it was renewed, does that file hold the new one?"
        }
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            "It is not valid yet: are the clocks right, here and there?"
        }
        Bad::UnknownIssuer => {
            "Either `tls_certificate` lacks the certificates between it and its authority (use \
             fullchain.pem), or the authority is your own: give that with --ca (docs/tls.md)."
        }
        _ => {
            "Clients that go by authorities will refuse it. A certificate you make yourself must \
             not be one of an authority (CA:FALSE): docs/tls.md."
        }
    }
}

/// The SUBSCRIBE was refused.
pub(super) fn subscribe(failure: &Failure) -> String {
    let advice = match failure.code {
        Some(401 | 407) => {
            "The script asks for an account at SUBSCRIBE: does it accept there what it accepts \
             at INVITE?"
        }
        Some(403) => {
            "May this caller watch? See `subscribe`, `allow` and `deny` of the room; and the \
             identity at SUBSCRIBE must be that of INVITE."
        }
        Some(404 | 405 | 481 | 489 | 501) => {
            "Something else answers: the script must give SUBSCRIBE to msrp_conference_handle() as \
             it does INVITE, before a presence server sees it."
        }
        Some(408) => {
            "The SUBSCRIBE gets lost: the script must give it to msrp_conference_handle() as it \
             does INVITE."
        }
        _ => return failure.advice.clone(),
    };
    advice.to_owned()
}

/// The SUBSCRIBE was accepted, and no NOTIFY comes.
pub(super) const NO_NOTIFY: &str = "Can the server reach this machine by SIP? Behind NAT try \
    --tcp. Does the script drop the proxy's own requests (tm:local-request, local_route)?";

/// The SUBSCRIBE is not answered.
pub(super) const NO_SUBSCRIBE: &str = "The script loses it: SUBSCRIBE must come to \
    msrp_conference_handle() as INVITE does.";

/// A message was refused; `known_as` is the speaker's name in the room, if it is another.
pub(super) fn message(failure: &Failure, me: &str, known_as: Option<&str>) -> String {
    match (failure.code, known_as) {
        (Some(403), Some(known)) => format!(
            "The parameter `identity` makes the caller {known}, and its messages say {me}: let \
             `identity` give what clients call themselves, or give the account with --account."
        ),
        (Some(403), None) => "The room lets this participant listen only: `observers` of the \
            room, or role=observer in the script."
            .to_owned(),
        (Some(413), _) => "`max_message_size` is smaller than a line of text.".to_owned(),
        _ => failure.advice.clone(),
    }
}

/// The room repeats its 2xx.
pub(super) const NO_ACK: &str = "The ACK gets lost, and half a minute later the call ends: ACK must \
    come to msrp_conference_handle() too, also where the script handles requests within a dialog.";

/// A request within the dialog does not reach the module.
pub(super) const NO_BYE: &str = "Requests within a dialog do not come to msrp_conference_handle(): \
    hand over what is for the room's host before loose_route() and the has_totag() part, and \
    without asking for an account.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_told_what_to_turn() {
        for (code, msrps, account, word) in [
            (403, false, false, "`identity`"),
            (404, false, false, "alias"),
            (407, false, true, "realm"),
            (407, false, false, "--account"),
            (486, false, false, "`max_participants`"),
            (488, true, false, "`msrps:`"),
            (488, false, false, "--msrps"),
            (503, false, false, "msrp-switchd"),
            (603, false, false, "declined"),
        ] {
            let access = Access {
                msrps,
                password: account.then(|| "secret".to_owned()),
                ..Access::default()
            };
            let failure = Failure::sip("join", code, "");
            let advice = join(&failure, &access, "sip:al@h", true);
            assert!(advice.contains(word), "{code}: {advice}");
        }
        let refused = Failure::sip("join", 407, "");
        let advice = join(&refused, &Access::default(), "sip:al@h", false);
        assert!(advice.contains("second --account"), "{advice}");
        let advice = stranger(&Failure::sip("join", 403, ""), "kamailio (5.6.3)");
        assert!(advice.contains("(Server: kamailio (5.6.3))"), "{advice}");
    }
}
