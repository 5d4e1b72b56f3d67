//! The document as a value (RFC 4575 §5).

/// How an element relates to the state its reader already has (§4.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// The whole state.
    #[default]
    Full,
    /// Changes only.
    Partial,
    /// Removed; such an element has no children.
    Deleted,
}

/// `conference-info` (§5.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// The conference URI.
    pub entity: String,
    /// Full, partial or deleted.
    pub state: State,
    /// Counts the documents of one subscription.
    pub version: u32,
    /// `conference-description`; a full document has it.
    pub description: Option<Description>,
    /// `host-info`.
    pub host_info: Option<HostInfo>,
    /// `conference-state`.
    pub conference_state: Option<ConferenceState>,
    /// `users`; a full document has it.
    pub users: Option<Users>,
    /// `sidebars-by-ref` (§5.9.1). Sidebars by value are not kept: they are documents of
    /// their own, with their own subscriptions.
    pub sidebars: Vec<UriEntry>,
}

/// `host-info` (§5.4): the entity that hosts the conference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostInfo {
    /// The host's name.
    pub display_text: Option<String>,
    /// A page about it.
    pub web_page: Option<String>,
    /// Where to reach it.
    pub uris: Vec<UriEntry>,
}

/// `conference-description` (§5.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// The name of the conference.
    pub display_text: Option<String>,
    /// The topic of the conference.
    pub subject: Option<String>,
    /// Free text about the conference.
    pub free_text: Option<String>,
    /// Words without white space.
    pub keywords: Vec<String>,
    /// Where to join: `participation`, `streaming` (§5.3.1).
    pub conf_uris: Vec<UriEntry>,
    /// `web-page`, `recording`, `event`; `grouptextchat` (§5.3.2, RFC 7106).
    pub service_uris: Vec<UriEntry>,
    /// The maximum number of users at a time.
    pub maximum_user_count: Option<u32>,
    /// The media one can join with.
    pub available_media: Vec<MediaEntry>,
}

/// One URI of `conf-uris`, `service-uris` or `associated-aors` (§5.3.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UriEntry {
    /// The URI.
    pub uri: String,
    /// A display name.
    pub display_text: Option<String>,
    /// Its purpose.
    pub purpose: Option<String>,
}

/// One medium of `available-media` (§5.3.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaEntry {
    /// The key that the `label` of an endpoint's media names.
    pub label: String,
    /// A display name.
    pub display_text: Option<String>,
    /// `type`: an SDP media name, such as `message`.
    pub kind: String,
    /// The directions one can have.
    pub status: Option<MediaStatus>,
}

/// `conference-state` (§5.5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConferenceState {
    /// Number of users in the conference; may exceed the number listed.
    pub user_count: Option<u32>,
    /// Whether the conference has participants.
    pub active: Option<bool>,
    /// Whether the conference is closed to further users.
    pub locked: Option<bool>,
}

/// `users` (§5.6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// Full, partial or deleted.
    pub state: State,
    /// The users, with unique `entity` values.
    pub users: Vec<User>,
}

/// `user` (§5.6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// The key: the user's URI, octet for octet the same in every document (§4.5).
    pub entity: String,
    /// Full, partial or deleted.
    pub state: State,
    /// The user's name.
    pub display_text: Option<String>,
    /// `xcon:nickname`. The writer of a document also sets `display_text` to it, because few
    /// clients know the attribute.
    pub nickname: Option<String>,
    /// Other URIs of the user.
    pub associated_aors: Vec<UriEntry>,
    /// `moderator`, `participant`, …
    pub roles: Vec<String>,
    /// The devices, by `entity`.
    pub endpoints: Vec<Endpoint>,
}

/// `endpoint` (§5.7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// The key: the device's contact or GRUU, or a substitute for it.
    pub entity: String,
    /// Full, partial or deleted.
    pub state: State,
    /// Its name.
    pub display_text: Option<String>,
    /// The user who asked for this endpoint to join (§5.7.2), with time and reason.
    pub referred: Option<ExecutionInfo>,
    /// The state of its call.
    pub status: Option<EndpointStatus>,
    /// How it joined.
    pub joining_method: Option<JoiningMethod>,
    /// Time, reason and originator of the joining.
    pub joining_info: Option<ExecutionInfo>,
    /// How it was disconnected.
    pub disconnection_method: Option<DisconnectionMethod>,
    /// Time, reason and originator of the disconnection.
    pub disconnection_info: Option<ExecutionInfo>,
    /// Its media, by `id`.
    pub media: Vec<Media>,
    /// Its dialog; never shown of anonymous users (§8.2).
    pub call_info: Option<CallInfo>,
}

/// `execution-type`: the time, reason and originator of an action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecutionInfo {
    /// `xs:dateTime` in UTC.
    pub when: Option<String>,
    /// In the form of a Reason header: `SIP;cause=486;text="Busy Here"`.
    pub reason: Option<String>,
    /// A URI.
    pub by: Option<String>,
}

/// `media` (§5.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// The key within the endpoint.
    pub id: String,
    /// A display name.
    pub display_text: Option<String>,
    /// `type`: `message`.
    pub kind: Option<String>,
    /// The medium of `available-media` it belongs to.
    pub label: Option<String>,
    /// Its direction, seen from the endpoint.
    pub status: Option<MediaStatus>,
}

/// `call-info` with `sip` (§5.7.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallInfo {
    /// Call-ID.
    pub call_id: String,
    /// Tag of From.
    pub from_tag: String,
    /// Tag of To.
    pub to_tag: String,
}

/// An enumeration of the schema: its values and their exact strings.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$value_doc])* $value,)+ }

        impl $name {
            /// Every value.
            pub const ALL: &'static [$name] = &[$($name::$value,)+];

            /// As in the document.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$value => $text,)+ }
            }

            /// `None` for a value outside the schema.
            pub fn from_text(text: &str) -> Option<Self> {
                match text { $($text => Some($name::$value),)+ _ => None }
            }
        }
    };
}

words! {
    /// `status` of an endpoint (§5.7.3).
    EndpointStatus {
        /// Neither invited nor admitted yet.
        Pending = "pending",
        /// The focus calls it.
        DialingOut = "dialing-out",
        /// It calls and is not answered yet.
        DialingIn = "dialing-in",
        /// It rings.
        Alerting = "alerting",
        /// Its medium rests.
        OnHold = "on-hold",
        /// It is in.
        Connected = "connected",
        /// In, and the focus lets nothing of it through.
        MutedViaFocus = "muted-via-focus",
        /// On its way out.
        Disconnecting = "disconnecting",
        /// It has left.
        Disconnected = "disconnected",
    }
}

words! {
    /// `joining-method` (§5.7.4).
    JoiningMethod {
        /// It called.
        DialedIn = "dialed-in",
        /// The focus called.
        DialedOut = "dialed-out",
        /// It is the focus.
        FocusOwner = "focus-owner",
    }
}

words! {
    /// `disconnection-method` (§5.7.6).
    DisconnectionMethod {
        /// It left: BYE.
        Departed = "departed",
        /// It was removed.
        Booted = "booted",
        /// Its transport or its call failed.
        Failed = "failed",
        /// It answered 486 when called.
        Busy = "busy",
    }
}

words! {
    /// `status` of a medium (§5.3.4, §5.8).
    MediaStatus {
        /// Receives.
        Recvonly = "recvonly",
        /// Sends.
        Sendonly = "sendonly",
        /// Both.
        Sendrecv = "sendrecv",
        /// Neither.
        Inactive = "inactive",
    }
}
