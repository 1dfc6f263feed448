//! WorkspaceShares -> the subjects of one workspace (pure).

use std::collections::HashMap;
use std::sync::Arc;

use api::condition::{self, ACTIVE};
use api::share::Subject;
use api::workspace::Phase;
use api::{WorkspaceManager, WorkspaceShare};
use jiff::Timestamp;
use rules::access::Shared;
use rules::shares::{self, Extent};

use crate::index::Target;
use crate::index::partial::Projection;

/// The facts of a share that the operator reports as active. Whether it is valid at this moment is evaluated here, because a new
/// owner or a manager's new limit takes effect before the operator has recorded it. An edit takes effect at once, too: admission
/// has validated it, and all other rules of the operator are evaluated here again. Waiting for the operator would close the sockets
/// of all remaining users.
///
/// Not the share itself: ten thousand of them took 15 MiB more, most of it for empty fields.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ShareFacts {
    namespace: String,
    /// Name of the workspace.
    workspace: String,
    /// UID of the workspace that it is bound to.
    uid: String,
    /// The workspace's owner when the share was made.
    sponsor: String,
    subjects: Box<[Subject]>,
    /// Creation time of the share.
    begin: Option<Timestamp>,
    end: Option<Timestamp>,
}

impl Projection for Arc<ShareFacts> {
    type Object = WorkspaceShare;

    /// `None` for a share that admits no one.
    fn from_object(share: WorkspaceShare) -> Option<Self> {
        let status = share.status.as_ref()?;
        if !condition::holds(&status.conditions, ACTIVE) || share.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let Extent { begin, end, .. } = Extent::from_share(&share);
        Some(Self::new(ShareFacts {
            uid: shares::bound(&share)?.to_owned(),
            sponsor: shares::sponsor(&share)?.to_owned(),
            namespace: share.metadata.namespace.unwrap_or_default(),
            workspace: share.spec.workspace_ref,
            subjects: share.spec.subjects.into_iter().map(without_api_group).collect(),
            begin,
            end,
        }))
    }
}

/// A subject without the fields that are never compared.
fn without_api_group(subject: Subject) -> Subject {
    Subject {
        api_group: None,
        ..subject
    }
}

impl ShareFacts {
    fn counts(&self, target: &Target, manager: &WorkspaceManager) -> bool {
        let extent = Extent {
            subjects: &self.subjects,
            begin: self.begin,
            end: self.end,
        };
        self.uid == target.uid
            && target.phase != Phase::Deleting
            && !target.owner.is_empty()
            && self.sponsor == target.owner
            && extent.within(manager).is_ok()
    }
}

/// Shares by namespace and name of their workspace.
pub(super) fn by_workspace<'a>(
    all: impl Iterator<Item = &'a Arc<ShareFacts>>,
) -> HashMap<(&'a str, &'a str), Vec<&'a Arc<ShareFacts>>> {
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    for share in all {
        let key = (share.namespace.as_str(), share.workspace.as_str());
        found.entry(key).or_default().push(share);
    }
    found
}

/// The subjects of those `shares` that are valid for `target`.
pub(super) fn valid_subjects(
    shares: &[&Arc<ShareFacts>],
    target: &Target,
    manager: &WorkspaceManager,
) -> Shared {
    let mut subjects = Shared::default();
    for share in shares.iter().filter(|share| share.counts(target, manager)) {
        let end = share.end.map(Timestamp::as_second);
        for subject in &*share.subjects {
            subjects.add(subject, end);
        }
    }
    subjects
}

/// The inputs of a [`Shared`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ShareInputs {
    shares: Vec<Arc<ShareFacts>>,
    manager: Arc<WorkspaceManager>,
}

impl ShareInputs {
    pub(super) fn new(shares: Vec<&Arc<ShareFacts>>, manager: &Arc<WorkspaceManager>) -> Self {
        Self {
            shares: shares.into_iter().cloned().collect(),
            manager: Arc::clone(manager),
        }
    }

    /// Whether the inputs are these very objects.
    pub(super) fn is(&self, shares: &[&Arc<ShareFacts>], manager: &Arc<WorkspaceManager>) -> bool {
        Arc::ptr_eq(&self.manager, manager)
            && self.shares.len() == shares.len()
            && self
                .shares
                .iter()
                .zip(shares)
                .all(|(ours, theirs)| Arc::ptr_eq(ours, theirs))
    }
}
