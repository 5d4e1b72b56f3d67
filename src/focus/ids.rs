//! What the focus gives names to. All come from one counter: no id is ever used again, for
//! whatever.

/// One device of a participant: one INVITE dialog. Never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct EndpointId(pub(super) u64);

/// One subscription. Never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SubscriptionId(pub(super) u64);

/// One publication. Never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PublicationId(pub(super) u64);

/// One party being invited. Never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct InvitationId(pub(super) u64);

/// One REFER whose progress somebody follows. Never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ReferralId(pub(super) u64);
