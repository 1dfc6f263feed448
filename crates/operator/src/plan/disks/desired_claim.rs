//! Planned disk, live claim -> whether and how to write it (pure).

use api::names;
use k8s_openapi::api::{
    core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec},
    storage::v1::StorageClass,
};
use kube::ResourceExt as _;
use rules::Quantity;

use crate::cache::observed::meta_covers;

/// Whether a claim can grow to the planned size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growth {
    /// It is large enough.
    None,
    /// It can grow now.
    Now,
    /// It can grow once it has a volume: the API server refuses it before.
    Later,
    /// Its storage class cannot grow disks. Nothing is written, so that no failed write is repeated.
    Never,
}

/// Whether `live` can grow to the size of `planned`.
pub(crate) fn growth<'a>(
    planned: &PersistentVolumeClaim,
    live: &PersistentVolumeClaim,
    classes: impl IntoIterator<Item = &'a StorageClass>,
) -> Growth {
    match (requested_size(planned), requested_size(live)) {
        (Some(planned), Some(live)) if planned > live => {}
        _ => return Growth::None,
    }
    let bound = live.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
    if !bound {
        return Growth::Later;
    }
    let class = class_of(live).unwrap_or_default();
    let mut classes = classes.into_iter().peekable();
    // If no class is known here, let the API server decide.
    let known = classes.peek().is_some();
    match classes.find(|it| it.name_any() == class) {
        Some(class) if class.allow_volume_expansion == Some(true) => Growth::Now,
        None if !known => Growth::Now,
        _ => Growth::Never,
    }
}

/// The value of [`names::MADE_FOR`] of a claim that is made as planned: class and size, and what a home never has.
pub(crate) fn made_for(planned: &PersistentVolumeClaim) -> String {
    let (class, size) = (class_of(planned), size(planned));
    let mut made_for = format!("{}/{}", class.unwrap_or_default(), size.unwrap_or_default());
    let rest = PersistentVolumeClaimSpec {
        storage_class_name: None,
        resources: None,
        ..planned.spec.clone().unwrap_or_default()
    };
    let of_home = PersistentVolumeClaimSpec {
        access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
        ..PersistentVolumeClaimSpec::default()
    };
    if rest != of_home {
        made_for.push('/');
        made_for.push_str(&serde_json::to_string(&rest).unwrap_or_default());
    }
    made_for
}

/// Whether `live` has no volume, and the operator made it for another class or size than planned, or for another spec of a further disk. One
/// that somebody else made may be filled from a snapshot.
pub(crate) fn is_to_be_made_anew(planned: &PersistentVolumeClaim, live: &PersistentVolumeClaim) -> bool {
    let earlier = live.annotations().get(names::MADE_FOR);
    earlier.is_some_and(|earlier| *earlier != made_for(planned) && !rules::claims::has_volume(live))
}

/// What to write to an existing claim: the plan, but with every immutable value of `live`, and with its size unless it can grow now.
/// `None` if nothing differs.
pub(crate) fn update(
    planned: &PersistentVolumeClaim,
    live: &PersistentVolumeClaim,
    growth: Growth,
) -> Option<PersistentVolumeClaim> {
    if growth != Growth::Now && meta_covers(&live.metadata, &planned.metadata) {
        return None;
    }
    let mut intent = planned.clone();
    if let Some(made_for) = live.annotations().get(names::MADE_FOR) {
        let annotations = intent.annotations_mut();
        annotations.insert(names::MADE_FOR.to_owned(), made_for.clone());
    }
    if let (Some(intent), Some(live)) = (&mut intent.spec, &live.spec) {
        intent.access_modes.clone_from(&live.access_modes);
        intent.storage_class_name.clone_from(&live.storage_class_name);
        intent.volume_mode.clone_from(&live.volume_mode);
        intent.selector.clone_from(&live.selector);
        intent.data_source.clone_from(&live.data_source);
        intent.data_source_ref.clone_from(&live.data_source_ref);
        if growth != Growth::Now {
            intent.resources.clone_from(&live.resources);
        }
    }
    Some(intent)
}

/// Requested size of a claim, as written.
pub(crate) fn size(claim: &PersistentVolumeClaim) -> Option<&str> {
    let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    requests.get("storage").map(|size| size.0.as_str())
}

/// Storage class that a claim names.
pub(crate) fn class_of(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.spec.as_ref()?.storage_class_name.as_deref()
}

fn requested_size(claim: &PersistentVolumeClaim) -> Option<Quantity> {
    size(claim)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{
        api::core::v1::PersistentVolumeClaimStatus, apimachinery::pkg::api::resource::Quantity as RawQuantity,
    };

    use super::*;
    use crate::{plan, testing};

    /// A claim that requests 1Gi.
    fn planned() -> PersistentVolumeClaim {
        plan::lasting(&testing::valid()).claim.unwrap()
    }

    fn live(size: &str, phase: &str, class: &str) -> PersistentVolumeClaim {
        let mut claim = planned();
        let spec = claim.spec.as_mut().unwrap();
        spec.storage_class_name = Some(class.to_owned());
        spec.volume_name = Some("pv-1".to_owned());
        let size = [("storage".to_owned(), RawQuantity(size.to_owned()))];
        spec.resources.as_mut().unwrap().requests = Some(size.into());
        claim.status = Some(PersistentVolumeClaimStatus {
            phase: Some(phase.to_owned()),
            ..PersistentVolumeClaimStatus::default()
        });
        claim
    }

    fn class(name: &str, expandable: Option<bool>) -> StorageClass {
        let mut class = StorageClass {
            allow_volume_expansion: expandable,
            ..StorageClass::default()
        };
        class.metadata.name = Some(name.to_owned());
        class
    }

    #[test]
    fn a_disk_grows_once_it_has_a_volume_and_if_its_class_can() {
        let classes = [class("fast", Some(true)), class("plain", None)];
        for (size, phase, name, expected) in [
            ("1Gi", "Bound", "fast", Growth::None),
            ("1024Mi", "Bound", "fast", Growth::None),
            ("2Gi", "Bound", "fast", Growth::None),
            ("512Mi", "Bound", "fast", Growth::Now),
            ("512Mi", "Pending", "fast", Growth::Later),
            ("512Mi", "Bound", "plain", Growth::Never),
            ("512Mi", "Bound", "gone", Growth::Never),
        ] {
            let growth = growth(&planned(), &live(size, phase, name), &classes);
            assert_eq!(growth, expected, "{size} {phase} {name}");
        }
        let unknown = growth(&planned(), &live("512Mi", "Bound", "fast"), &[]);
        assert_eq!(unknown, Growth::Now);
    }

    #[test]
    fn a_disk_without_a_volume_is_made_anew_when_class_or_size_change() {
        let asked = |class: Option<&str>, size: &str| {
            let mut claim = live(size, "Pending", "");
            let spec = claim.spec.as_mut().unwrap();
            spec.storage_class_name = class.map(str::to_owned);
            spec.volume_name = None;
            claim
        };
        let made = |class: Option<&str>, size: &str| {
            let mut claim = asked(class, size);
            let value = made_for(&claim);
            claim.annotations_mut().insert(names::MADE_FOR.to_owned(), value);
            claim
        };
        let is_anew = is_to_be_made_anew;
        let nope = made(Some("nope"), "1Gi");
        assert!(!is_anew(&asked(Some("nope"), "1Gi"), &nope));
        for changed in [
            asked(Some("fast"), "1Gi"),
            asked(Some("nope"), "2Gi"),
            asked(None, "1Gi"),
        ] {
            assert!(is_anew(&changed, &nope), "{changed:?}");
            let mut bound = nope.clone();
            bound.spec.as_mut().unwrap().volume_name = Some("pv-1".to_owned());
            assert!(!is_anew(&changed, &bound), "{changed:?}");
        }
        // The cluster chose the class, or another webhook rounded the size: no loop.
        let mut changed = made(None, "1Gi");
        changed.spec = asked(Some("standard"), "8Gi").spec;
        assert!(!is_anew(&asked(None, "1Gi"), &changed));
        // An administrator made it, from a snapshot.
        assert!(!is_anew(
            &asked(Some("fast"), "2Gi"),
            &asked(Some("standard"), "1Gi")
        ));
        // Another write keeps what it was made for.
        let mut labelled = asked(Some("nope"), "1Gi");
        labelled.labels_mut().insert("team".to_owned(), "a".to_owned());
        let written = update(&labelled, &nope, Growth::None).unwrap();
        assert!(is_anew(&asked(Some("fast"), "1Gi"), &written));
    }

    #[test]
    fn a_disk_that_is_as_planned_is_not_written() {
        assert_eq!(
            update(&planned(), &live("2Gi", "Bound", "fast"), Growth::None),
            None
        );
        assert_eq!(
            update(&planned(), &live("512Mi", "Bound", "plain"), Growth::Never),
            None
        );
    }

    #[test]
    fn what_can_never_change_is_written_as_it_is() {
        let mut strange = live("512Mi", "Bound", "fast");
        strange.spec.as_mut().unwrap().access_modes = Some(vec!["ReadWriteMany".to_owned()]);
        let grown = update(&planned(), &strange, Growth::Now).unwrap();
        assert_eq!((size(&grown), class_of(&grown)), (Some("1Gi"), Some("fast")));
        assert_eq!(grown.spec.unwrap().access_modes.unwrap(), ["ReadWriteMany"]);
        strange.metadata.labels = None;
        let mended = update(&planned(), &strange, Growth::Later).unwrap();
        assert_eq!(size(&mended), Some("512Mi"), "its size stays until it can grow");
        assert!(mended.metadata.labels.is_some());
    }
}
