//! Workspace -> what is stored of it, read as an administrator (IO).

use std::collections::BTreeMap;

use anyhow::Context as _;
use api::{Workspace, WorkspaceShare};
use e2e::cluster::Scratch;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};

/// Where it is stored.
pub(super) struct Stores {
    pub(super) workspaces: Api<Workspace>,
    pub(super) shares: Api<WorkspaceShare>,
}

/// A workspace and its shares, which actions on it change.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// `None`: it is gone.
    pub(super) workspace: Option<Workspace>,
    /// By name.
    pub(super) shares: BTreeMap<String, WorkspaceShare>,
}

impl Stores {
    pub(super) fn of(scratch: &Scratch) -> Self {
        Self {
            workspaces: scratch.api(),
            shares: scratch.api(),
        }
    }

    pub(super) async fn read(&self, name: &str) -> anyhow::Result<Stored> {
        let all = ListParams::default();
        let (workspace, shares) = futures::try_join!(self.workspaces.get_opt(name), self.shares.list(&all))?;
        let of_it = |share: &WorkspaceShare| {
            share.spec.workspace_ref == name && share.metadata.deletion_timestamp.is_none()
        };
        let shares = shares.items.into_iter().filter(of_it);
        Ok(Stored {
            workspace,
            shares: shares.map(|share| (share.name_any(), share)).collect(),
        })
    }
}

impl Stored {
    pub(super) fn workspace(&self) -> anyhow::Result<&Workspace> {
        self.workspace.as_ref().context("the workspace is gone")
    }

    /// Whether users changed nothing between the two. Only components of the product write the rest.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let parts = |stored: &Self| {
            let Workspace { metadata, spec, .. } = stored.workspace.clone()?;
            let leaving = metadata.deletion_timestamp;
            Some((spec, metadata.annotations, metadata.labels, leaving))
        };
        let specs = |stored: &Self| {
            let shares = stored.shares.iter();
            let specs = shares.map(|(name, share)| (name.clone(), share.spec.clone()));
            specs.collect::<BTreeMap<_, _>>()
        };
        parts(self).is_some() && parts(self) == parts(other) && specs(self) == specs(other)
    }
}
