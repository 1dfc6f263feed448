//! A template's `volumeClaims` -> disks that no workspace could have, or mount (pure).
//!
//! Length of names, number of disks and of access modes are in the schema.

use api::names::is_own_volume;
use api::template::{VolumeClaim, VolumeClaimSpec, VolumeMode};
use api::{WorkspaceSpec, WorkspaceTemplateSpec};
use k8s_openapi::api::core::v1::PodSpec;

use super::pod::mounts;
use super::pod_template;
use crate::checks::{self, normal_path};
use crate::effective::Effective;
use crate::effective::options::exclude_each_other;
use crate::names;
use crate::objects::each_text;
use crate::violation::Violation;

/// Path of the field in a template.
const PATH: &str = "spec.volumeClaims";
/// The resource of a claim.
const STORAGE: &str = "storage";
/// The kind of a claim.
const CLAIM: &str = "PersistentVolumeClaim";

/// Checks the disks of a template, each on its own and with volumes of the template. Conditions are checked with those of options.
pub(super) fn of_template(spec: &WorkspaceTemplateSpec) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, disk) in spec.volume_claims.iter().enumerate() {
        let path = format!("{PATH}[{index}]");
        found.extend(name(&path, disk, spec));
        found.extend(place(&path, disk, &spec.volume_claims[..index], spec));
        found.extend(claim(&format!("{path}.spec"), &disk.spec));
        found.extend(unsaid_fate(&path, disk, spec));
        if disk.mount_path.is_none() && disk.read_only {
            let rule = "must not be set without mountPath: add mountPath, or set readOnly where a container of podTemplate mounts it";
            found.push(Violation::new(format!("{path}.readOnly"), "true", rule));
        }
    }
    found
}

/// Checks that no volume of a workspace is one of its disks.
pub(super) fn with_workspace(
    given: &WorkspaceSpec,
    effective: &Effective,
    workspace: &str,
) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, volume) in effective.volumes.iter().enumerate() {
        let path = format!("spec.volumes[{index}]");
        let is_disk = |disk: &VolumeClaim| disk.name == volume.name;
        if effective.volume_claims.iter().any(is_disk) {
            let rule = "is the name of a disk of the template's volumeClaims: choose another";
            found.push(Violation::new(format!("{path}.name"), &volume.name, rule));
        }
        let claim = &volume.persistent_volume_claim_name;
        found.extend(own_claim(
            &format!("{path}.persistentVolumeClaimName"),
            claim,
            workspace,
        ));
    }
    let storage = given.storage.as_ref();
    let claim = storage.and_then(|storage| storage.claim_name.as_ref());
    found.extend(claim.and_then(|claim| own_claim("spec.storage.claimName", claim, workspace)));
    found
}

fn own_claim(field: &str, claim: &str, workspace: &str) -> Option<Violation> {
    names::is_further_claim(claim, workspace).then(|| {
        let rule =
            "is the name of a further disk of this workspace, which its template mounts: name another claim";
        Violation::new(field, claim, rule)
    })
}

/// Where the application has volumes that only the template gives: each path with what is there.
pub(super) fn template_places(effective: &Effective) -> Vec<(String, String)> {
    let mut all = pod_template::places(effective.pod.pod_template.as_ref());
    all.extend(places(&effective.volume_claims));
    all
}

/// Where the application has disks of the template.
fn places(disks: &[VolumeClaim]) -> Vec<(String, String)> {
    let mounted = disks
        .iter()
        .filter_map(|disk| Some((disk, disk.mount_path.clone()?)));
    mounted.map(|(disk, path)| (path, what(disk))).collect()
}

/// Names of the disks that are volumes of the pod.
pub(super) fn volume_names(disks: &[VolumeClaim]) -> impl Iterator<Item = &str> {
    let mounted = disks.iter().filter(|disk| disk.mount_path.is_some());
    mounted.map(|disk| disk.name.as_str())
}

fn what(disk: &VolumeClaim) -> String {
    format!("the disk {:?} of volumeClaims", disk.name)
}

fn name(path: &str, disk: &VolumeClaim, spec: &WorkspaceTemplateSpec) -> Option<Violation> {
    let name = disk.name.as_str();
    let pod = spec
        .pod_template
        .as_ref()
        .and_then(|template| template.spec.as_ref());
    let is_volume = |pod: &PodSpec| pod.volumes.iter().flatten().any(|it| it.name == name);
    let rule = if is_own_volume(name) {
        "is the name of a volume of the operator: choose another"
    } else if name == "home" {
        "is the name of the home in variables, {pvcs.home}: choose another"
    } else if spec.default_volumes.iter().any(|volume| volume.name == name) {
        "is the name of a volume of spec.defaultVolumes: choose another"
    } else if pod.is_some_and(is_volume) {
        "is the name of a volume of spec.podTemplate: choose another"
    } else {
        return None;
    };
    Some(Violation::new(format!("{path}.name"), name, rule))
}

/// Checks that the template says what becomes of a disk whose stopped workspace it has deleted: no workspace may say it.
fn unsaid_fate(path: &str, disk: &VolumeClaim, spec: &WorkspaceTemplateSpec) -> Option<Violation> {
    let limits = spec.default_limits.as_ref();
    let is_unsaid = disk.retain.is_none();
    limits.and_then(|limits| limits.stopped_retention_days).filter(|_| is_unsaid).map(|days| {
        let rule = format!(
            "must be set where spec.defaultLimits.stoppedRetentionDays is ({days}): write Retain to keep the disk, or Delete to delete its \
             files with the workspace"
        );
        Violation::new(format!("{path}.retain"), "", rule)
    })
}

/// Checks the path in the application. Places of the home and of `defaultVolumes` are checked with those of all volumes.
fn place(
    path: &str,
    disk: &VolumeClaim,
    before: &[VolumeClaim],
    spec: &WorkspaceTemplateSpec,
) -> Vec<Violation> {
    let Some(at) = &disk.mount_path else {
        return Vec::new();
    };
    let field = format!("{path}.mountPath");
    if disk.spec.volume_mode == Some(VolumeMode::Block) {
        let rule = "must not be set for a volumeMode without file system: leave it out, and give a container of podTemplate a volumeDevice";
        return vec![Violation::new(field, at, rule)];
    }
    if at.contains(['{', '}']) {
        let rule = "must be fixed text, because variables are not replaced here: write the path";
        return vec![Violation::new(field, at, rule)];
    }
    if let Some(fault) = checks::mount_path(&field, at) {
        return vec![fault];
    }
    let mut taken = mounts::ours();
    let together = before
        .iter()
        .filter(|other| !exclude_each_other(&other.when, &disk.when))
        .cloned();
    let others = places(&together.collect::<Vec<_>>());
    let others = others
        .into_iter()
        .chain(pod_template::places(spec.pod_template.as_ref()));
    taken.extend(others.map(|(path, what)| (normal_path(&path), what)));
    mounts::same_places(taken, [(field, at.clone(), what(disk))])
}

fn claim(path: &str, spec: &VolumeClaimSpec) -> Vec<Violation> {
    let mut found = Vec::new();
    let json = serde_json::to_value(spec).unwrap_or_default();
    each_text(path, &json, &mut |path, text| {
        // Nobody but the template's author chooses what a claim is made of.
        if text.contains(['{', '}']) {
            let rule = "must be fixed text, because variables are not replaced here: write the value";
            found.push(Violation::new(path, text, rule));
        }
    });
    let resources = &spec.resources;
    for (list, amounts) in [("requests", &resources.requests), ("limits", &resources.limits)] {
        for (name, amount) in amounts.iter().flatten() {
            let field = format!("{path}.resources.{list}[{}]", name.escape_debug());
            found.extend(if name == STORAGE {
                checks::size(&field, amount)
            } else {
                let rule = "is not a resource of a claim: leave it out, a claim has storage alone";
                Some(Violation::new(field, name, rule))
            });
        }
    }
    let requests = resources.requests.as_ref();
    if requests.is_none_or(|requests| !requests.contains_key(STORAGE)) {
        let rule = "must be set: write the size of the disk, such as 5Gi";
        found.push(Violation::new(
            format!("{path}.resources.requests.{STORAGE}"),
            "",
            rule,
        ));
    }
    let source = spec.data_source_ref.as_ref();
    let copied = source.filter(|source| source.kind == CLAIM && names::is_disk_name(&source.name));
    found.extend(copied.map(|source| {
        let rule = "is named as the disk of a workspace, which is never copied: name another claim, or a VolumeSnapshot";
        Violation::new(format!("{path}.dataSourceRef.name"), &source.name, rule)
    }));
    if let Some(namespace) = source.and_then(|source| source.namespace.as_ref()) {
        let rule = "must not be set: name an object of the workspace's own namespace";
        found.push(Violation::new(
            format!("{path}.dataSourceRef.namespace"),
            namespace,
            rule,
        ));
    }
    found
}

#[cfg(test)]
mod tests;
