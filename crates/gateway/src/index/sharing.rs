//! WorkspaceShares -> who is meant by those of one workspace (pure).

use std::collections::HashMap;
use std::sync::Arc;

use api::condition::{self, ACTIVE};
use api::workspace::Phase;
use api::{WorkspaceManager, WorkspaceShare};
use jiff::Timestamp;
use rules::access::Shared;
use rules::shares;

use crate::index::Target;

/// What is kept of a share that the operator calls active. Whether it counts at this moment is judged here, because a
/// hand-over or a manager's new bound counts before the operator has written it down. So does an edit: admission has judged it, and
/// all else that the operator judges is judged here again; to wait for its word would end the sockets of all who stay.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ShareFacts {
    /// UID of the workspace that it is bound to.
    uid: String,
    /// Without status.
    pub(super) object: WorkspaceShare,
}

impl ShareFacts {
    /// `None` for a share that lets nobody in.
    pub(super) fn of(mut share: WorkspaceShare) -> Option<Self> {
        let status = share.status.as_ref()?;
        if !condition::holds(&status.conditions, ACTIVE) || share.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let uid = shares::bound(&share)?.to_owned();
        share.status = None;
        share.metadata.managed_fields = None;
        Some(Self { uid, object: share })
    }

    fn counts(&self, target: &Target, manager: &WorkspaceManager) -> bool {
        self.uid == target.uid
            && target.phase != Phase::Deleting
            && !target.owner.is_empty()
            && shares::sponsor(&self.object) == Some(&target.owner)
            && shares::within_bounds(&self.object, manager).is_ok()
    }
}

/// Shares by namespace and name of the workspace that they name.
pub(super) fn by_workspace<'a>(
    all: impl Iterator<Item = &'a Arc<ShareFacts>>,
) -> HashMap<(&'a str, &'a str), Vec<&'a Arc<ShareFacts>>> {
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    for share in all {
        let object = &share.object;
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let key = (namespace, object.spec.workspace_ref.as_str());
        found.entry(key).or_default().push(share);
    }
    found
}

/// Who is meant by those of `shares` that count for `target`.
pub(super) fn shared(shares: &[&Arc<ShareFacts>], target: &Target, manager: &WorkspaceManager) -> Shared {
    let mut guests = Shared::default();
    for share in shares.iter().filter(|share| share.counts(target, manager)) {
        let end = shares::end(&share.object).map(Timestamp::as_second);
        for subject in &share.object.spec.subjects {
            guests.add(subject, end);
        }
    }
    guests
}

/// What a [`Shared`] was made from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Source {
    shares: Vec<Arc<ShareFacts>>,
    manager: Arc<WorkspaceManager>,
}

impl Source {
    pub(super) fn new(shares: Vec<&Arc<ShareFacts>>, manager: &Arc<WorkspaceManager>) -> Self {
        Self {
            shares: shares.into_iter().cloned().collect(),
            manager: Arc::clone(manager),
        }
    }

    /// Whether it is these very objects.
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
