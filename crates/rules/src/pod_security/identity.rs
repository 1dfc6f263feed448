//! Pod -> service account and tokens that no execution profile gives (pure).

use k8s_openapi::api::core::v1::ServiceAccountTokenProjection;

use super::{Judged, Stage};
use crate::effective::profile::ExecutionProfile;
use crate::violation::Violation;

/// Checks that the pod runs as the service account of its profile.
pub(super) fn service_account(judged: &Judged<'_>) -> Vec<Violation> {
    let profile = profile(judged.stage);
    let granted = profile.and_then(|profile| profile.service_account.as_deref());
    let spec = judged.pod.spec;
    // The second is an older name of the first.
    let fields = [
        ("serviceAccountName", &spec.service_account_name),
        ("serviceAccount", &spec.service_account),
    ];
    let given = fields
        .into_iter()
        .filter_map(|(field, name)| Some((field, name.as_deref().filter(|name| !name.is_empty())?)));
    given
        .filter(|(_, name)| granted != Some(*name))
        .map(|(field, name)| {
            let rule = "is given by execution profiles: leave it out, and use spec.serviceAccount of one";
            Violation::new(judged.field(field), name, rule)
        })
        .collect()
}

/// Checks that the pod gets no token of the Kubernetes API but by its profile. Without the field it would get one.
pub(super) fn automounted_token(judged: &Judged<'_>) -> Vec<Violation> {
    let given = judged.pod.spec.automount_service_account_token;
    let is_granted = profile(judged.stage)
        .is_some_and(|profile| profile.service_account.is_some() && profile.spec.automount_token);
    let mounts = match judged.stage {
        Stage::Template => given == Some(true),
        Stage::Finished(_) => given != Some(false),
    };
    let rule = "is given by execution profiles: set it to false, and use spec.automountToken of one";
    let value = if given.is_some() { "true" } else { "" };
    let field = || judged.field("automountServiceAccountToken");
    (mounts && !is_granted)
        .then(|| Violation::new(field(), value, rule))
        .into_iter()
        .collect()
}

/// Checks that volumes have no tokens but those of the profile.
pub(super) fn projected_tokens(judged: &Judged<'_>) -> Vec<Violation> {
    let profile = profile(judged.stage);
    let mut found = Vec::new();
    for (index, volume) in judged.pod.spec.volumes.iter().flatten().enumerate() {
        let sources = volume.projected.iter().flat_map(|it| it.sources.iter().flatten());
        for (source, projection) in sources.enumerate() {
            let token = projection.service_account_token.as_ref();
            if let Some(token) = token.filter(|token| !is_granted(token, profile)) {
                let field = format!("volumes[{index}].projected.sources[{source}].serviceAccountToken");
                let audience = token.audience.clone().unwrap_or_default();
                let rule =
                    "is given by execution profiles: leave it out, and use spec.projectedTokens of one";
                found.push(Violation::new(judged.field(&field), audience, rule));
            }
        }
    }
    found
}

/// Whether the profile gives this token. A volume holds the files of one folder.
fn is_granted(token: &ServiceAccountTokenProjection, profile: Option<&ExecutionProfile>) -> bool {
    let mut granted = profile.iter().flat_map(|profile| &profile.spec.projected_tokens);
    granted.any(|granted| {
        let file = granted.path.rsplit('/').next();
        token.audience.as_ref() == Some(&granted.audience) && file == Some(token.path.as_str())
    })
}

fn profile(stage: Stage<'_>) -> Option<&ExecutionProfile> {
    match stage {
        Stage::Template => None,
        Stage::Finished(grants) => grants.profile,
    }
}
