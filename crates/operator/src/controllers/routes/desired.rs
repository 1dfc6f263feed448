//! Validation result, desired status, observed state -> which routes should exist (pure).

use api::workspace::DesiredStatus;
use rules::{
    ValidWorkspace, Violations,
    routes::{Route, Routes},
};

use crate::cache::observed::{Observed, is_ready};

/// Which routes a workspace should have.
#[derive(Clone, Debug, PartialEq)]
pub enum Desired<'a> {
    /// Exactly these.
    These(&'a [Route]),
    /// The existing ones. The violations that prevent a better answer, if a user can fix them.
    AsTheyAre(Option<&'a Violations>),
    /// None at all.
    None,
}

/// Which routes a workspace should have. They are made when the pod is ready for the first time in a run. They stay while it is
/// replaced. They are removed when a stop is requested, even if other things are wrong. `has`: whether routes exist.
pub fn desired<'a>(
    desired: DesiredStatus,
    valid: Option<&'a ValidWorkspace>,
    observed: &Observed,
    has: bool,
) -> Desired<'a> {
    // During a restart there are no pods for a moment. Objects that a proxy or a certificate depends on must outlast it.
    let on = desired == DesiredStatus::Running && (has || observed.runs());
    match valid.map(|valid| &valid.routes) {
        _ if !on => Desired::None,
        Some(Routes::NoObjects | Routes::External) => Desired::None,
        Some(Routes::Unknown(why)) => Desired::AsTheyAre(Some(why)),
        Some(Routes::Objects(routes)) if has || observed.current_pod().is_some_and(is_ready) => {
            Desired::These(routes)
        }
        Some(Routes::Objects(_)) | None => Desired::AsTheyAre(None),
    }
}

#[cfg(test)]
mod tests {
    use DesiredStatus::Running;
    use rules::routes::RouteKind;

    use super::*;
    use crate::testing;

    fn valid(routes: Routes) -> ValidWorkspace {
        let mut valid = testing::valid();
        valid.routes = routes;
        valid
    }

    fn routes() -> Vec<Route> {
        vec![Route {
            kind: RouteKind {
                api_version: "networking.k8s.io/v1".to_owned(),
                kind: "Ingress".to_owned(),
            },
            name: "workspace-demo".to_owned(),
            labels: serde_json::Map::new(),
            annotations: serde_json::Map::new(),
            body: serde_json::Map::new(),
        }]
    }

    #[test]
    fn routes_come_with_the_first_ready_pod_and_survive_its_replacement() {
        let valid = valid(Routes::Objects(routes()));
        let of = |observed: &Observed, has| desired(Running, Some(&valid), observed, has);
        assert_eq!(of(&testing::started(), false), Desired::AsTheyAre(None));
        assert_eq!(of(&testing::running(), false), Desired::These(&routes()));
        assert_eq!(of(&testing::started(), true), Desired::These(&routes()));
        let restarting = testing::ending();
        assert_eq!(of(&restarting, true), Desired::These(&routes()));
        assert_eq!(of(&restarting, false), Desired::None);
        assert_eq!(of(&testing::observed(), false), Desired::None);
    }
}
