//! Reasons why the focus ends a dialog: the Reason of its BYE (RFC 3326), and the roster's
//! disconnection method.

use super::cause::Cause;
use crate::wire::conference_info::DisconnectionMethod;

/// Reason for a BYE of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::focus) enum ByeReason {
    /// A moderator or the operator has removed the user.
    Removed,
    ConferenceEnded,
    /// The room takes one device per user, and there is a newer one.
    OtherDevice,
    /// Another dialog has replaced this one (RFC 3891).
    Replaced,
    /// No MSRP connection came within `bind_timeout`.
    NeverConnected,
    /// The MSRP connection was lost, and did not come back within `rejoin_grace`.
    ConnectionLost,
    /// The session was not refreshed, or the peer does not know it any more.
    NotRefreshed,
    NotAcknowledged,
    /// The answer to our offer cannot be used.
    UnusableAnswer,
    /// The room filled up while the party was being called.
    Full,
    /// The party is itself a conference.
    IsConference,
    /// The INVITE was withdrawn, or another phone answered it first.
    AnsweredElsewhere,
    Stopping,
}

impl ByeReason {
    /// The value of the Reason header.
    pub(in crate::focus) fn header(self) -> String {
        let (cause, text) = match self {
            Self::Removed => (403, "Removed from the conference"),
            Self::ConferenceEnded => (410, "The conference has ended"),
            Self::OtherDevice => (200, "Joined from another device"),
            Self::Replaced => (200, "Replaced by another dialog"),
            Self::NeverConnected => (408, "The MSRP connection did not come"),
            Self::ConnectionLost => (408, "The MSRP connection was lost"),
            Self::NotRefreshed => (408, "The session was not refreshed"),
            Self::NotAcknowledged => (408, "No ACK"),
            Self::UnusableAnswer => (488, "The session description cannot be used"),
            Self::Full => (486, "The conference is full"),
            Self::IsConference => (403, "A conference cannot join a conference"),
            Self::AnsweredElsewhere => (487, "Answered elsewhere or withdrawn"),
            Self::Stopping => (503, "Shutting down"),
        };
        format!("SIP;cause={cause};text=\"{text}\"")
    }

    /// Cause for a request that the peer still waits for.
    pub(in crate::focus) fn cause(self) -> Cause {
        match self {
            Self::Removed => Cause::Removed,
            Self::Stopping => Cause::Stopping,
            _ => Cause::Ending,
        }
    }

    /// Disconnection method of the endpoint (RFC 4575 §5.7.5).
    pub(in crate::focus) fn method(self) -> DisconnectionMethod {
        match self {
            Self::Removed
            | Self::ConferenceEnded
            | Self::OtherDevice
            | Self::Replaced
            | Self::Stopping => DisconnectionMethod::Booted,
            _ => DisconnectionMethod::Failed,
        }
    }
}
