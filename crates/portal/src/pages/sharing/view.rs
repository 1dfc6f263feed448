//! Shares of a workspace, bounds of the manager and what was typed -> pages and their forms (pure).

use api::manager::Sharing;
use api::{Workspace, WorkspaceManager, WorkspaceShare};
use askama::Template;
use jiff::Timestamp;
use kube::ResourceExt as _;
use rules::shares::{self, Extent};
use serde::Serialize;

use super::typed::{ENDS, Typed, rendered_at};
use crate::app::Context;
use crate::pages::answers::note;
use crate::pages::form::view::{Choice, Edit, Field, Form, Input};
use crate::pages::may::{MayBeside, MayEnd};
use crate::pages::short_form::{FieldErrors, buttons, field, name_field, section, summary};
use crate::pages::summary::{above, path};
use crate::pages::words::{moment, short};
use crate::views::{Action, Layout, Moment, Nav, Note, State, Tone, Way, filters, part};

/// The page `…/share`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/sharing/sharing.html")]
pub(crate) struct Shares {
    /// What surrounds it.
    pub(crate) layout: Layout,
    /// What there is.
    pub(crate) list: ShareList,
    /// The form of a new one: fields `kind`, `name`, `until` and `date`, `reason`. `None`: the reader may not.
    pub(crate) form: Option<Form>,
    /// What does not count, such as shares in mode Path.
    pub(crate) note: Option<Note>,
    /// The link to send. Empty: none.
    pub(crate) link: String,
}

/// The shares that there are (`id="shares"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/sharing/shares.html")]
pub(crate) struct ShareList {
    /// In order of their ends.
    pub(crate) shares: Vec<Share>,
}

/// One share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Share {
    /// Name of the object.
    pub(crate) name: String,
    /// `User`, `Group` or `ServiceAccount`.
    pub(crate) kind: String,
    /// Exact name as Kubernetes has it.
    pub(crate) with: String,
    /// `Active`, or not.
    pub(crate) state: State,
    /// Why not. Empty: it is.
    pub(crate) why: String,
    /// Its end.
    pub(crate) until: Option<Moment>,
    /// Reason for others. Empty: none.
    pub(crate) reason: String,
    /// Prolong, end.
    pub(crate) actions: Vec<Action>,
}

part!(ShareList);

/// The page, with what was typed and what is wrong with it.
pub(super) fn view(
    context: &Context,
    workspace: &Workspace,
    may: MayBeside,
    typed: &Typed,
    wrong: &[(&str, String)],
) -> Shares {
    let manager = context.app.index.manager_of(workspace);
    let title = format!("Share {}", workspace.spec.display_name);
    let mut layout = context.layout(title, Nav::Workspaces);
    layout.above = above(workspace);
    let blocked = manager.as_deref().and_then(blocker);
    let url = workspace.status.as_ref().and_then(|status| status.url.clone());
    Shares {
        layout,
        list: list(context, workspace, may, manager.as_deref()),
        // What was typed stays also if nothing can be shared any more.
        form: (may.share && (blocked.is_none() || !wrong.is_empty()))
            .then(|| form(context, workspace, manager.as_deref(), typed, wrong)),
        note: blocked,
        link: url.unwrap_or_default(),
    }
}

/// Why nothing can be shared, in the words of the rule.
fn blocker(manager: &WorkspaceManager) -> Option<Note> {
    let empty = Extent {
        subjects: &[],
        begin: Some(Timestamp::UNIX_EPOCH),
        end: Some(Timestamp::UNIX_EPOCH),
    };
    let why = empty.within(manager).err()?;
    Some(note(Tone::Warn, why.to_string()))
}

fn list(
    context: &Context,
    workspace: &Workspace,
    may: MayBeside,
    manager: Option<&WorkspaceManager>,
) -> ShareList {
    let mut found = context.app.index.shares_of(workspace);
    found.sort_by_key(|share| (shares::end(share).is_none(), shares::end(share), share.name_any()));
    let mut all = Vec::new();
    for share in found {
        let live = shares::live(&share, Some(workspace), manager, context.now);
        let ask = format!("{}/share/{}/end", path(workspace), share.name_any());
        let end = context.way(Way::Dialog { to: ask }, end_command(&share));
        let to = end_path(workspace, &share);
        let another_end = context.way(Way::Link { to }, change_command(&share));
        let is_own = api::names::owner(&share.metadata) == Some(&*context.user.name);
        let may_end = match may.end {
            MayEnd::All => true,
            MayEnd::Own => is_own,
            MayEnd::None => false,
        };
        for subject in &share.spec.subjects {
            let action = |label: &str, way: &Way| Action {
                label: label.to_owned(),
                of: subject.name.clone(),
                way: way.clone(),
                ..Action::default()
            };
            let another_end = may.prolong.then(|| action("Change end…", &another_end));
            let end = may_end.then(|| Action {
                danger: true,
                ..action("End", &end)
            });
            all.push(Share {
                name: share.name_any(),
                kind: format!("{:?}", subject.kind),
                with: match &subject.namespace {
                    Some(namespace) => format!("{namespace}:{}", subject.name),
                    None => subject.name.clone(),
                },
                state: match &live {
                    Ok(()) => State {
                        tone: Tone::Good,
                        word: "Active".to_owned(),
                    },
                    Err(_) => State {
                        tone: Tone::Warn,
                        word: "Has no effect".to_owned(),
                    },
                },
                why: live.as_ref().err().map(ToString::to_string).unwrap_or_default(),
                until: shares::end(&share).map(short),
                reason: share.spec.reason.clone().unwrap_or_default(),
                actions: another_end.into_iter().chain(end).collect(),
            });
        }
    }
    ShareList { shares: all }
}

/// The command that ends a share.
pub(super) fn end_command(share: &WorkspaceShare) -> String {
    format!(
        "kubectl delete workspaceshare {} -n {}",
        share.name_any(),
        share.namespace().unwrap_or_default()
    )
}

/// The page of another end.
pub(super) fn end_view(
    context: &Context,
    of: (&Workspace, &WorkspaceShare),
    typed: &Typed,
    wrong: FieldErrors<'_>,
) -> Edit {
    let (workspace, share) = of;
    let mut layout = context.layout("Change the end of a share", Nav::Workspaces);
    layout.above = above(workspace);
    layout.above.push((
        format!("Share {}", workspace.spec.display_name),
        format!("{}/share", path(workspace)),
    ));
    let subjects = share.spec.subjects.iter();
    let names: Vec<_> = subjects
        .map(|subject| format!("{:?} {}", subject.kind, subject.name))
        .collect();
    let end = shares::end(share).map_or_else(|| "never".to_owned(), |end| moment(end).text);
    layout.notes.push(note(
        Tone::Calm,
        format!("{}. It ends now: {end}.", names.join(", ")),
    ));
    let manager = context.app.index.manager_of(workspace);
    Edit {
        layout,
        form: end_form(context, of, manager.as_deref(), typed, wrong),
        ..Edit::default()
    }
}

/// The manager's bounds.
fn bounds(manager: Option<&WorkspaceManager>) -> Sharing {
    let authorization = manager.and_then(|manager| manager.spec.authorization.clone());
    authorization
        .and_then(|authorization| authorization.sharing)
        .unwrap_or_default()
}

fn choice(value: &str, label: &str) -> Choice {
    Choice {
        value: value.to_owned(),
        label: label.to_owned(),
    }
}

fn or(typed: &str, first: &str) -> String {
    if typed.is_empty() {
        first.to_owned()
    } else {
        typed.to_owned()
    }
}

/// With whom it may be shared.
fn kinds(sharing: &Sharing) -> Vec<Choice> {
    let mut kinds = vec![choice("User", "A user")];
    if sharing.allow_groups {
        kinds.push(choice("Group", "A group"));
    }
    kinds.push(choice("ServiceAccount", "A service account"));
    kinds
}

/// Until when. `age`: minutes since the share was made, which count against its longest time.
fn end_fields(sharing: &Sharing, age: i64, typed: &Typed, wrong: FieldErrors<'_>) -> [Field; 2] {
    let most = sharing.max_duration_minutes;
    let fits = |hours: i64| most.is_none_or(|most| age + hours * 60 <= most);
    let offered = ENDS.iter().filter(|(.., hours)| fits(*hours));
    let mut ends: Vec<_> = offered.map(|(value, label, _)| choice(value, label)).collect();
    ends.push(choice("date", "After the date below"));
    if most.is_none() {
        ends.push(choice("never", "Never: until the share is ended"));
    }
    let first = ends.first().map(|end| end.value.clone()).unwrap_or_default();
    let until = Input::Choice {
        value: or(&typed.until, &first),
        choices: ends,
    };
    [
        field("until", "Ends", until, wrong),
        Field {
            hint: "such as 2026-12-31, the whole day in UTC".to_owned(),
            ..field("date", "Date", Input::text(&typed.date), wrong)
        },
    ]
}

/// The form with what was typed and what is wrong with it.
fn form(
    context: &Context,
    workspace: &Workspace,
    manager: Option<&WorkspaceManager>,
    typed: &Typed,
    wrong: FieldErrors<'_>,
) -> Form {
    let sharing = bounds(manager);
    let with = Input::Choice {
        value: or(&typed.kind, "User"),
        choices: kinds(&sharing),
    };
    let prefixes = &context.app.parts.prefixes;
    let of = [("users", &*prefixes.users), ("groups", &*prefixes.groups)];
    let mut name = name_field("name", "Name", &typed.name, &of, wrong);
    name.help
        .push_str(" Of a service account: namespace and name, such as `ci:robot`.");
    let mut fields = vec![field("kind", "With", with, wrong), name];
    fields.extend(end_fields(&sharing, 0, typed, wrong));
    fields.push(field("reason", "Reason", Input::text(&typed.reason), wrong));
    let command = || {
        format!(
            "kubectl workspace share {} -n {} --user NAME --for 8h",
            workspace.name_any(),
            workspace.namespace().unwrap_or_default()
        )
    };
    let rendered = or(&typed.rendered, &rendered_at(context.now));
    Form {
        to: format!("{}/share", path(workspace)),
        hidden: vec![
            ("uid".to_owned(), workspace.uid().unwrap_or_default()),
            ("rendered".to_owned(), rendered),
        ],
        summary: summary(&fields, wrong),
        sections: section(fields),
        buttons: buttons(context, "Share"),
        cancel: path(workspace),
        command: context.command_instead(command),
        ..Form::default()
    }
}

/// The form of another end.
fn end_form(
    context: &Context,
    (workspace, share): (&Workspace, &WorkspaceShare),
    manager: Option<&WorkspaceManager>,
    typed: &Typed,
    wrong: FieldErrors<'_>,
) -> Form {
    let made = share.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let age = made.map_or(0, |made| context.now.duration_since(made).as_mins());
    let fields = end_fields(&bounds(manager), age.max(0), typed, wrong).to_vec();
    let before = shares::end(share).map(|end| end.to_string());
    Form {
        to: end_path(workspace, share),
        hidden: vec![
            ("uid".to_owned(), share.metadata.uid.clone().unwrap_or_default()),
            ("before".to_owned(), before.unwrap_or_default()),
        ],
        summary: summary(&fields, wrong),
        sections: section(fields),
        buttons: buttons(context, "Save"),
        cancel: format!("{}/share", path(workspace)),
        command: context.command_instead(|| change_command(share)),
        ..Form::default()
    }
}

/// The command that changes the end.
fn change_command(share: &WorkspaceShare) -> String {
    format!(
        "kubectl patch workspaceshare {} -n {} --type merge -p '{{\"spec\":{{\"expiresAt\":\"TIME\"}}}}'",
        share.name_any(),
        share.namespace().unwrap_or_default()
    )
}

/// Address of that form.
fn end_path(workspace: &Workspace, share: &WorkspaceShare) -> String {
    format!("{}/share/{}/until", path(workspace), share.name_any())
}
