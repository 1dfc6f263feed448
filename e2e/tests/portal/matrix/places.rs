//! Six workspaces that differ in what rights depend on, and shares of them (pure).

use api::names::CREATED_BY;
use api::share::{Subject, SubjectKind, WorkspaceShareSpec};
use api::{Workspace, WorkspaceShare};
use serde_json::{Value, json};

use super::users::{Kind, Team};

/// A label that no node has, so that no pod takes time.
pub(super) const NO_NODE: &str = "e2e.test/no-such-node";
/// A workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Of the user who acts: each has one.
    Own,
    /// The owner's, with a disk.
    Private,
    /// The owner's, with `ownershipType: Public` and `accessType: Public`.
    Public,
    /// The owner's, shared with a user.
    ByName,
    /// The owner's, shared with a group, of a template that its owner may not use any more.
    ByGroup,
    /// The owner's, without a disk, in a namespace in which the others have no role.
    Elsewhere,
}

impl Place {
    pub(super) const ALL: [Self; 6] = [
        Self::Own,
        Self::Private,
        Self::Public,
        Self::ByName,
        Self::ByGroup,
        Self::Elsewhere,
    ];

    /// Whose users act there.
    pub(super) fn is_of_first_team(self) -> bool {
        matches!(self, Self::Own | Self::Private | Self::Public)
    }

    /// Whether a user of that kind acts there.
    pub(super) fn is_for(self, kind: Kind) -> bool {
        (self, kind) != (Self::Own, Kind::Owner)
    }

    /// Name of the workspace on which a user acts.
    pub(super) fn name(self, kind: Kind) -> String {
        match self {
            Self::Own => format!("own-{}", kind.label()),
            _ => format!("{self:?}").to_lowercase(),
        }
    }

    /// The workspace, which runs. `home`: the team in whose namespace it is.
    pub(super) fn workspace(self, name: &str, owner: &str, home: &Team) -> anyhow::Result<Workspace> {
        let template = if self == Self::ByGroup {
            home.restricted()
        } else {
            home.template().to_owned()
        };
        let mut spec =
            json!({"displayName": name, "templateRef": template, "nodeSelector": {NO_NODE: "true"}});
        for (field, value) in self.fields().as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        Ok(serde_json::from_value(json!({
            "metadata": {"name": name, "annotations": {CREATED_BY: owner}},
            "spec": spec,
        }))?)
    }

    fn fields(self) -> Value {
        match self {
            Self::Private => json!({"storage": {"size": "64Mi"}}),
            Self::Public => json!({"ownershipType": "Public", "accessType": "Public"}),
            Self::Elsewhere => json!({"storage": {"ephemeral": true}}),
            Self::Own | Self::ByName | Self::ByGroup => json!({}),
        }
    }

    /// With whom it is shared from the start.
    pub(super) fn guest(self, team: &Team) -> anyhow::Result<Option<Subject>> {
        let (kind, name) = match self {
            Self::ByName => (
                SubjectKind::User,
                team.member(Kind::GuestByName)?.user.name.clone(),
            ),
            Self::ByGroup => (SubjectKind::Group, team.group()),
            _ => return Ok(None),
        };
        Ok(Some(Subject {
            kind,
            name,
            ..Subject::default()
        }))
    }
}

/// A share of this workspace, without end.
pub(super) fn share(name: &str, workspace: &str, with: Subject) -> WorkspaceShare {
    let spec = WorkspaceShareSpec {
        workspace_ref: workspace.to_owned(),
        subjects: vec![with],
        workspace_uid: None,
        role: api::share::ShareRole::Connect,
        expires_at: None,
        reason: None,
    };
    WorkspaceShare::new(name, spec)
}

/// A user of that name.
pub(super) fn user(name: &str) -> Subject {
    Subject {
        name: name.to_owned(),
        ..Subject::default()
    }
}
