//! Objects of a valid template -> those whose kind belongs to no namespace (IO).

use std::collections::BTreeSet;

use api::WorkspaceTemplateSpec;
use rules::Violation;
use rules::objects::{kind_of, kinds_of};

use crate::lookups::{LookupError, Lookups};

/// Kinds of the cluster, which only discovery knows. It is asked once for each kind.
pub(super) async fn cluster_wide(
    spec: &WorkspaceTemplateSpec,
    lookups: &Lookups,
) -> Result<Vec<Violation>, LookupError> {
    let mut cluster_wide = BTreeSet::new();
    for kind in kinds_of(spec) {
        if lookups.is_cluster_wide(&kind).await? {
            cluster_wide.insert(kind);
        }
    }
    let objects = spec.objects.iter().enumerate();
    let of_cluster = objects.filter_map(|(index, object)| {
        let kind = kind_of(&object.manifest).filter(|kind| cluster_wide.contains(kind))?;
        let field = format!("spec.objects[{index}].manifest.kind");
        let rule = "is a kind of the cluster, and objects of workspaces are in their namespace: use a namespaced kind";
        Some(Violation::new(field, kind.to_string(), rule))
    });
    Ok(of_cluster.collect())
}
