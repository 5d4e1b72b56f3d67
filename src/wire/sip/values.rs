//! Header values: methods, name-addr, parameters, CSeq.

use std::fmt;
use std::str::FromStr;

/// A request method.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Register,
    Subscribe,
    Notify,
    Refer,
    Update,
    Publish,
    Message,
    Info,
    Prack,
    /// Any other token.
    Other(String),
}

impl Method {
    /// As on the wire.
    pub fn as_str(&self) -> &str {
        todo!()
    }
}

impl From<&str> for Method {
    fn from(_text: &str) -> Self {
        todo!()
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `;name=value` parameters in order; names compare without case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(pub Vec<(String, Option<String>)>);

impl Params {
    /// Whether the parameter is there, with or without value.
    pub fn has(&self, _name: &str) -> bool {
        todo!()
    }
    /// Its value, quotes removed.
    pub fn value(&self, _name: &str) -> Option<&str> {
        todo!()
    }
}

/// `"Display" <uri>;params` or `uri;params` (RFC 3261 §20.10): From, To, Contact, Route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    /// Display name without quotes and escapes; empty when absent.
    pub display: String,
    /// The URI as written.
    pub uri: String,
    /// Header parameters. Without angle brackets all parameters are the header's.
    pub params: Params,
}

impl NameAddr {
    /// The `tag` parameter.
    pub fn tag(&self) -> Option<&str> {
        self.params.value("tag")
    }
}

impl FromStr for NameAddr {
    type Err = super::ParseError;
    fn from_str(_text: &str) -> Result<Self, Self::Err> {
        todo!()
    }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

/// `CSeq: 1 INVITE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    /// Sequence number, below 2^31 (RFC 3261 §8.1.1.5).
    pub number: u32,
    /// Method.
    pub method: Method,
}

impl FromStr for CSeq {
    type Err = super::ParseError;
    fn from_str(_text: &str) -> Result<Self, Self::Err> {
        todo!()
    }
}

/// `Subscription-State: active;expires=600` (RFC 6665 §8.2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionState {
    /// `active`, `pending`, `terminated`, lower case.
    pub state: String,
    /// `expires`, `reason`, `retry-after`.
    pub params: Params,
}

impl FromStr for SubscriptionState {
    type Err = super::ParseError;
    fn from_str(_text: &str) -> Result<Self, Self::Err> {
        todo!()
    }
}
