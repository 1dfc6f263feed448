//! Objects of a valid template -> those whose kind belongs to no namespace (IO).

use api::WorkspaceTemplateSpec;
use rules::Violation;
use rules::objects::kind_of;

use crate::lookups::{LookupError, Lookups};

/// Kinds of the cluster, which only discovery knows.
pub(super) async fn cluster_wide(
    spec: &WorkspaceTemplateSpec,
    lookups: &Lookups,
) -> Result<Vec<Violation>, LookupError> {
    let mut found = Vec::new();
    for (index, object) in spec.objects.iter().enumerate() {
        let Some(kind) = kind_of(&object.manifest) else {
            continue;
        };
        if lookups.is_cluster_wide(&kind).await? {
            let field = format!("spec.objects[{index}].manifest.kind");
            let rule = "is a kind of the cluster, and objects of workspaces are in their namespace: use a namespaced kind";
            found.push(Violation::new(field, kind.to_string(), rule));
        }
    }
    Ok(found)
}
