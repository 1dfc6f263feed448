//! Claim under the name of a workspace's disk -> its relation to that workspace (pure).
//!
//! A disk holds its owner's files. So a new workspace gets a retained disk in only two ways:
//!
//! - The owner makes a workspace of the same name again, and admission attests that the creator is this owner.
//! - A user who may update the claim writes the new workspace's UID on it.

use api::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::cache::observed::{Identity, controller_uid};

/// The relation of a claim to a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// The workspace's disk.
    Ours,
    /// It is being deleted, whatever its owner: wait.
    Terminating,
    /// Retained from an earlier workspace of this name and owner: to be taken over.
    Adoptable,
    /// Retained from an earlier workspace of this name, and not to be taken over.
    Withheld(Withheld),
    /// Not a disk of a workspace.
    Foreign,
}

/// Why a retained disk is not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// It belongs to another owner, or its owner is unknown.
    OtherOwner,
    /// The owner's name is the same, but no admission webhook attests the owner of the workspace.
    Unattested,
    /// The owner is the same, but was set by another user, who chose what runs in the workspace.
    Assigned,
}

/// The owner of a workspace, and how reliable that is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claimant<'a> {
    /// The owner that the workspace names.
    pub owner: Option<&'a str>,
    /// Whether admission checked that owner.
    pub attested: bool,
    /// Whether another user set the owner.
    pub assigned: bool,
}

/// The relation of `claim` to the workspace.
pub(crate) fn ownership(identity: &Identity, claimant: Claimant<'_>, claim: &ObjectMeta) -> Ownership {
    if claim.deletion_timestamp.is_some() {
        return Ownership::Terminating;
    }
    if identity.owns(claim) {
        return Ownership::Ours;
    }
    let was_a_disk = claim
        .annotations
        .as_ref()
        .is_some_and(|all| all.contains_key(names::WORKSPACE_UID));
    if controller_uid(claim).is_some() || !was_a_disk {
        return Ownership::Foreign;
    }
    let is_the_same = claimant.owner.is_some() && claimant.owner == names::owner(claim);
    match (is_the_same, claimant.attested, claimant.assigned) {
        (false, ..) => Ownership::Withheld(Withheld::OtherOwner),
        (true, false, _) => Ownership::Withheld(Withheld::Unattested),
        (true, true, true) => Ownership::Withheld(Withheld::Assigned),
        (true, true, false) => Ownership::Adoptable,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    /// A claim without controller, with these annotations.
    fn kept(uid: &str, owner: Option<&str>) -> ObjectMeta {
        let uid = Some((names::WORKSPACE_UID.to_owned(), uid.to_owned()));
        let owner = owner.map(|owner| (names::CREATED_BY.to_owned(), owner.to_owned()));
        ObjectMeta {
            annotations: Some(uid.into_iter().chain(owner).collect()),
            ..ObjectMeta::default()
        }
    }

    fn by(owner: Option<&str>, attested: bool) -> Claimant<'_> {
        Claimant {
            owner,
            attested,
            assigned: false,
        }
    }

    fn ownership_by_alice(claim: &ObjectMeta) -> Ownership {
        ownership(&testing::identity(), by(Some("alice"), true), claim)
    }

    #[test]
    fn an_assigned_owner_gets_a_retained_disk_only_by_the_uid_on_the_claim() {
        let (identity, assigned) = (
            testing::identity(),
            Claimant {
                assigned: true,
                ..by(Some("alice"), true)
            },
        );
        let claim = kept("earlier", Some("alice"));
        let judged = ownership(&identity, assigned, &claim);
        assert_eq!(judged, Ownership::Withheld(Withheld::Assigned));
        let handed = kept(&identity.uid, Some("alice"));
        assert_eq!(ownership(&identity, assigned, &handed), Ownership::Ours);
    }

    #[test]
    fn only_the_owner_of_a_retained_disk_gets_it_back() {
        assert_eq!(
            ownership_by_alice(&kept("earlier", Some("alice"))),
            Ownership::Adoptable
        );
        for other in [Some("bob"), Some("Alice"), Some(""), None] {
            let claim = kept("earlier", other);
            assert_eq!(
                ownership_by_alice(&claim),
                Ownership::Withheld(Withheld::OtherOwner),
                "{other:?}"
            );
        }
        for none in [None, Some("")] {
            let workspace = ownership(&testing::identity(), by(none, true), &kept("earlier", Some("")));
            assert_eq!(workspace, Ownership::Withheld(Withheld::OtherOwner));
        }
    }

    #[test]
    fn without_admission_a_name_proves_nothing_and_the_new_uid_on_the_claim_does() {
        let (identity, claim) = (testing::identity(), kept("earlier", Some("alice")));
        let unvouched = ownership(&identity, by(Some("alice"), false), &claim);
        assert_eq!(unvouched, Ownership::Withheld(Withheld::Unattested));
        let named = kept(&identity.uid, Some("bob"));
        assert_eq!(
            ownership(&identity, by(Some("alice"), false), &named),
            Ownership::Ours
        );
    }

    #[test]
    fn a_claim_without_our_marks_or_with_another_controller_is_foreign() {
        assert_eq!(ownership_by_alice(&ObjectMeta::default()), Ownership::Foreign);
        let mut owner_only = kept("earlier", Some("alice"));
        owner_only
            .annotations
            .as_mut()
            .unwrap()
            .remove(names::WORKSPACE_UID);
        assert_eq!(ownership_by_alice(&owner_only), Ownership::Foreign);
        let mut controlled = kept(&testing::identity().uid, Some("alice"));
        let mut other = testing::identity().owner_reference();
        other.uid = "another".to_owned();
        controlled.owner_references = Some(vec![other]);
        assert_eq!(ownership_by_alice(&controlled), Ownership::Foreign);
    }

    proptest! {
        #[test]
        fn no_claim_of_another_owner_is_ever_taken(
            uid in "[a-z0-9]{1,8}", kept_for in proptest::option::of("[a-z]{0,5}"), owner in proptest::option::of("[a-z]{0,5}"),
            attested: bool, assigned: bool,
        ) {
            let identity = testing::identity();
            prop_assume!(uid != identity.uid);
            let claimant = Claimant { assigned, ..by(owner.as_deref(), attested) };
            let judged = ownership(&identity, claimant, &kept(&uid, kept_for.as_deref()));
            let same = owner.is_some() && owner == kept_for && owner.as_deref() != Some("");
            prop_assert_eq!(judged == Ownership::Adoptable, attested && !assigned && same);
            prop_assert_ne!(judged, Ownership::Ours);
        }
    }
}
