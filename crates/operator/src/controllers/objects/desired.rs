//! Validation result, desired status, observed state -> which objects should exist (pure).

use api::workspace::DesiredStatus;
use rules::{
    ValidWorkspace, Violations,
    objects::{Objects, RenderedObject},
    routes::Routes,
};

use crate::cache::observed::{Observed, is_ready};

/// Which objects a workspace should have.
#[derive(Clone, Debug, PartialEq)]
pub enum Desired<'a> {
    /// Exactly these.
    These(&'a [RenderedObject]),
    /// The existing ones. The violations that prevent a better answer, if a user can fix them.
    AsTheyAre(Option<&'a Violations>),
    /// None at all.
    None,
}

/// Which routes a workspace should have. They are made when the pod is ready for the first time in a run. They stay while it is
/// replaced. They are removed when a stop is requested, even if other things are wrong. `has`: whether routes exist.
pub fn desired_routes<'a>(
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

/// Which objects of its template a workspace should have. They are made with the pod, which may wait for what they make, and stay and go
/// as routes do. `has`: whether such objects exist.
pub fn desired_objects<'a>(
    desired: DesiredStatus,
    valid: Option<&'a ValidWorkspace>,
    observed: &Observed,
    has: bool,
) -> Desired<'a> {
    if desired != DesiredStatus::Running || !(has || observed.runs()) {
        return Desired::None;
    }
    match valid.map(|valid| &valid.objects) {
        Some(Objects::These(objects)) => Desired::These(objects),
        Some(Objects::Unknown(why)) => Desired::AsTheyAre(Some(why)),
        None => Desired::AsTheyAre(None),
    }
}

#[cfg(test)]
mod tests {
    use DesiredStatus::Running;
    use rules::objects::ObjectKind;

    use super::*;
    use crate::testing;

    fn valid(routes: Routes) -> ValidWorkspace {
        let mut valid = testing::valid();
        valid.routes = routes;
        valid
    }

    fn routes() -> Vec<RenderedObject> {
        vec![RenderedObject {
            kind: ObjectKind {
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
        let of = |observed: &Observed, has| desired_routes(Running, Some(&valid), observed, has);
        assert_eq!(of(&testing::started(), false), Desired::AsTheyAre(None));
        assert_eq!(of(&testing::running(), false), Desired::These(&routes()));
        assert_eq!(of(&testing::started(), true), Desired::These(&routes()));
        let restarting = testing::ending();
        assert_eq!(of(&restarting, true), Desired::These(&routes()));
        assert_eq!(of(&restarting, false), Desired::None);
        assert_eq!(of(&testing::observed(), false), Desired::None);
    }
}
