//! The record of an endpoint.

use serde::{Deserialize, Serialize};

use super::keep::Counters;
use crate::control::{RoomUri, SessionId, SwitchRun, UserUri};
use crate::focus::Role;
use crate::focus::ids::EndpointId;
use crate::focus::room::endpoint::{Endpoint, Link, Offer, Rare};
use crate::focus::sip::dialog::Dialog;
use crate::focus::sip::media::Media;
use crate::focus::sip::session_timer::Schedule;
use crate::time::Moment;

/// An endpoint in a conference.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EndpointRecord {
    /// Its number.
    pub id: u64,
    /// The conference's room.
    pub room: RoomUri,
    /// Its user.
    pub user: UserUri,
    /// Further addresses of its user.
    pub other_uris: Box<[UserUri]>,
    /// Display name, empty for none.
    pub display: String,
    /// Key of its element in conference-info.
    pub entity: String,
    /// Its role.
    pub role: Role,
    /// Its user's number, if they are anonymous.
    pub anonymous: Option<u32>,
    /// When it joined.
    pub joined: Moment,
    /// We dialled it.
    pub dialed_out: bool,
    /// The user who referred it.
    pub referred_by: Option<String>,
    /// The peer takes UPDATE.
    pub peer_updates: bool,
    /// It has sent a REFER in its dialog.
    pub has_referred: bool,
    /// Its session at the switch; none after a loss.
    pub session: Option<SessionId>,
    /// The run of the switch that admitted the session.
    #[serde(with = "run")]
    pub run: Option<SwitchRun>,
    /// The session timer.
    pub timer: Option<Schedule>,
    /// Its dialog.
    pub dialog: Dialog,
    /// Its SDP; the peer's side is unknown if the ACK with it was missed.
    pub media: Media,
}

impl EndpointRecord {
    /// The record of an endpoint; `None` for one that has not joined yet: its INVITE has no 2xx.
    pub(in crate::focus) fn of(
        id: EndpointId,
        endpoint: &Endpoint,
        counters: Counters,
    ) -> Option<Self> {
        let mut media = endpoint.media.clone();
        if endpoint.offer == Offer::Answer {
            media.set_theirs(None);
        }
        let timer = endpoint.session_timer.as_ref().map(Schedule::of);
        Some(Self {
            id: id.0,
            room: endpoint.room.clone(),
            user: endpoint.user.clone(),
            other_uris: endpoint.rare().other_uris.clone(),
            display: endpoint.display.to_string(),
            entity: endpoint.entity.to_string(),
            role: endpoint.role,
            anonymous: endpoint.anonymous,
            joined: endpoint.joined?.in_millis(),
            dialed_out: endpoint.dialed_out,
            referred_by: endpoint.rare().referred_by.clone(),
            peer_updates: endpoint.peer_updates,
            has_referred: endpoint.has_referred,
            session: endpoint.link().session().cloned(),
            run: endpoint.run,
            timer: timer.and_then(Schedule::to_keep),
            dialog: counters.dialog(&endpoint.dialog),
            media,
        })
    }

    /// The endpoint with this session. The caller resumes its timer afterwards.
    pub(in crate::focus) fn restored(self, link: Link) -> Endpoint {
        let Self {
            id: _,
            room,
            user,
            other_uris,
            display,
            entity,
            role,
            anonymous,
            joined,
            dialed_out,
            referred_by,
            peer_updates,
            has_referred,
            session: _,
            run,
            timer: _,
            dialog,
            media,
        } = self;
        let rare = Rare {
            other_uris,
            referred_by,
            ..Rare::default()
        };
        // An ACK that came while no focus was running does not come again.
        let mut endpoint = Endpoint::new(room, user, role, dialog, media, link).with(rare);
        endpoint.display = display.into();
        endpoint.entity = entity.into();
        endpoint.run = run;
        endpoint.anonymous = anonymous;
        endpoint.dialed_out = dialed_out;
        endpoint.joined = Some(joined);
        endpoint.peer_updates = peer_updates;
        endpoint.has_referred = has_referred;
        endpoint.shown = endpoint.presence();
        endpoint
    }
}

/// The 128 bits of a run as hexadecimal digits: no JSON number holds them.
mod run {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::control::SwitchRun;

    pub(super) fn serialize<S: Serializer>(
        run: &Option<SwitchRun>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        run.map(|SwitchRun(run)| format!("{run:032x}"))
            .serialize(to)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(
        from: D,
    ) -> Result<Option<SwitchRun>, D::Error> {
        let digits: Option<String> = Option::deserialize(from)?;
        let run = |digits: String| u128::from_str_radix(&digits, 16).map(SwitchRun);
        digits
            .map(run)
            .transpose()
            .map_err(serde::de::Error::custom)
    }
}
