//! User, workspace and action -> outcome, as docs/rights.md and docs/using.md have it (pure).

use super::places::Place;
use super::users::Kind;
use super::{Action, Outcome};

/// Why a user sees a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Owner,
    Reader,
    Guest,
    None,
}

/// The outcome by the rules.
pub(super) fn expected(kind: Kind, place: Place, action: Action) -> Outcome {
    if may(kind, place, action) {
        return Outcome::Done;
    }
    match (level(kind, place), action) {
        (_, Action::Create) => Outcome::Refused,
        (Level::Guest, Action::Page) => Outcome::AsGuest,
        (Level::Guest | Level::None, _) => Outcome::Hidden,
        (Level::Owner, Action::Page | Action::Text) => Outcome::AsOwner,
        (Level::Owner | Level::Reader, _) => Outcome::Refused,
    }
}

fn owns(kind: Kind, place: Place) -> bool {
    place == Place::Own || kind == Kind::Owner
}

/// Whether the user has a role where the workspace is, by which they read it.
fn reads(kind: Kind, place: Place) -> bool {
    match kind {
        Kind::Owner | Kind::ClusterAdministrator => true,
        Kind::Neighbour | Kind::Viewer | Kind::NamespaceAdministrator => place != Place::Elsewhere,
        Kind::GuestByName | Kind::GuestByGroup | Kind::GuestByPublic | Kind::Stranger => false,
    }
}

fn level(kind: Kind, place: Place) -> Level {
    let is_guest = matches!(
        (kind, place),
        (Kind::GuestByName, Place::ByName)
            | (Kind::GuestByGroup, Place::ByGroup)
            | (Kind::GuestByPublic, Place::Public)
    );
    match (owns(kind, place), reads(kind, place), is_guest) {
        (true, _, _) => Level::Owner,
        (_, true, _) => Level::Reader,
        (_, _, true) => Level::Guest,
        _ => Level::None,
    }
}

/// Whether the user has the right.
fn may(kind: Kind, place: Place, action: Action) -> bool {
    if kind == Kind::ClusterAdministrator {
        return true;
    }
    if !reads(kind, place) || kind == Kind::Viewer {
        return kind == Kind::Viewer && reads(kind, place) && matches!(action, Action::Page | Action::Text);
    }
    let administers = kind == Kind::NamespaceAdministrator;
    let is_theirs = administers || owns(kind, place);
    let may_use_template = place != Place::ByGroup;
    match action {
        Action::Page | Action::Text => true,
        Action::Logs => kind == Kind::Owner,
        Action::Create => may_use_template,
        Action::Stop | Action::StopMany | Action::Form | Action::Delete => {
            is_theirs || place == Place::Public
        }
        Action::Start | Action::Restart | Action::Yaml => {
            (is_theirs || place == Place::Public) && may_use_template
        }
        Action::Share | Action::Prolong | Action::EndShare => is_theirs,
        Action::HandOver => administers && may_use_template,
    }
}
