//! Ids of the focus. All come from one counter: no id is used twice, not even for objects of
//! different kinds.

/// One endpoint: a device of a participant with its INVITE dialog. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct EndpointId(pub(super) u64);

/// One subscription. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SubscriptionId(pub(super) u64);

/// One publication. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PublicationId(pub(super) u64);

/// One invitation of a party. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct InvitationId(pub(super) u64);

/// One REFER with a subscriber for its progress. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ReferralId(pub(super) u64);
