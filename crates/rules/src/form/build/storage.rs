//! The home disk and further disks -> fields (pure).

use api::workspace::Retain;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;

use super::super::amounts::Range;
use super::super::choices;
use super::super::model::{By, Field, Group, Kind, Source};
use super::Builder;
use crate::effective::Home;
use crate::quantity::Quantity;

/// Most rows, by the schema.
const MAX_VOLUMES: usize = 16;

impl Builder<'_> {
    pub(super) fn storage(&self) -> Vec<Field> {
        let disk = self
            .template
            .and_then(|template| template.primary_storage.as_ref());
        let own = self
            .workspace
            .and_then(|workspace| workspace.status.as_ref()?.disk.as_ref()?.size.as_ref());
        let set = self
            .given
            .storage
            .as_ref()
            .and_then(|storage| storage.size.as_ref());
        let least = own.and_then(|own| Some(smaller(set?, own)));
        let range = Range::of_sizes()
            .at_least(disk.and_then(|disk| disk.min_size.as_ref()), &By::Template)
            .at_most(disk.and_then(|disk| disk.max_size.as_ref()), &By::Template)
            .at_least(least, &By::Field("status.disk.size".to_owned()));
        let (default, source) = match (&self.blank.home, disk.and_then(|disk| disk.default_size.as_ref())) {
            (Home::Ephemeral { .. }, _) => (None, Source::Installation),
            (_, Some(size)) => (Some(size.0.clone()), Source::Template),
            _ => (
                Some(self.offer.settings.default_storage.size.0.clone()),
                Source::Installation,
            ),
        };
        let text = |max_length, rule: &str| Kind::Text {
            max_length,
            rule: (!rule.is_empty()).then(|| rule.to_owned()),
        };
        let retain = disk.and_then(|disk| disk.retain).unwrap_or_default();
        let retain = if retain == Retain::Retain {
            "Retain"
        } else {
            "Delete"
        };
        let class = disk.and_then(|disk| disk.default_storage_class_name.clone());
        let mount_path = disk.and_then(|disk| disk.default_mount_path.clone());
        let mount_from = if mount_path.is_some() {
            Source::Template
        } else {
            Source::Installation
        };
        let mount_path = mount_path.unwrap_or_else(|| self.offer.settings.default_storage.mount_path.clone());
        let at = |name: &str, label: &str, kind| {
            self.field(Group::Storage, format!("spec.storage.{name}"), label, kind)
        };
        let size = at("size", "Home disk", range.bytes()).default(default.clone(), source);
        let size = if default.is_some() {
            size.required_without_default()
        } else {
            size
        };
        let mut fields = vec![
            if default.is_none() {
                size.help("Without a disk, a stop deletes the files.")
            } else {
                size.help("It can grow later, but not shrink.")
            },
            at("retain", "Disk after deletion", choices::retain())
                .default(Some(retain.to_owned()), Source::Template)
                .further(),
            at("storageClassName", "Storage class", text(253, ""))
                .default(class, Source::Template)
                .further(),
            at(
                "mountPath",
                "Path of the home",
                text(255, "an absolute path, such as /home/jovyan"),
            )
            .default(Some(mount_path), mount_from)
            .further(),
            at(
                "subPath",
                "Folder of the disk",
                text(255, "a relative path, such as data"),
            )
            .help("Empty: the whole disk.")
            .further(),
            at("claimName", "Existing claim as home", text(253, ""))
                .help("It replaces size, class and retention, and is never deleted with the workspace.")
                .further(),
        ];
        fields.extend(self.volumes());
        fields
    }

    fn volumes(&self) -> Option<Field> {
        if self
            .template
            .is_some_and(|template| !template.allow_secondary_storages)
        {
            return None;
        }
        let theirs = self
            .template
            .is_some_and(|template| !template.default_volumes.is_empty());
        let help = if theirs {
            "Existing claims. They replace the template's."
        } else {
            "Existing claims of this namespace."
        };
        let kind = Kind::Volumes { max: MAX_VOLUMES };
        Some(
            self.field(Group::Storage, "spec.volumes", "Further disks", kind)
                .help(help)
                .further(),
        )
    }
}

/// The minimum size of a disk, which cannot shrink: its request, or its actual size if that is smaller.
fn smaller<'a>(set: &'a RawQuantity, own: &'a RawQuantity) -> &'a RawQuantity {
    let value = |raw: &RawQuantity| Quantity::try_from(raw).ok();
    if value(own) < value(set) { own } else { set }
}
