//! Verdict, desired status and world -> which routes there ought to be (pure).

use api::workspace::DesiredStatus;
use rules::{
    ValidWorkspace, Violations,
    routes::{Route, Routes},
};

use crate::cache::observed::World;

/// Which routes a workspace ought to have.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish<'a> {
    /// Exactly these.
    These(&'a [Route]),
    /// Those that it has; why nobody knows better, if that is somebody's fault.
    AsTheyAre(Option<&'a Violations>),
    /// None at all.
    None,
}

/// Which routes a workspace ought to have. They appear when the pod is ready for the first time in a run, stay while it is
/// replaced, and go when a stop is asked for, whatever else is wrong. `has` is whether there are any.
pub fn wish<'a>(
    desired: DesiredStatus,
    valid: Option<&'a ValidWorkspace>,
    world: &World,
    has: bool,
) -> Wish<'a> {
    // A restart has a moment without pods; objects that a proxy or a certificate hangs on outlast it.
    let on = desired == DesiredStatus::Running && (has || world.wanted_pods() > 0);
    match valid.map(|valid| &valid.routes) {
        _ if !on => Wish::None,
        Some(Routes::Fed) => Wish::None,
        Some(Routes::Unknown(why)) => Wish::AsTheyAre(Some(why)),
        Some(Routes::Objects(routes)) if has || is_ready(world) => Wish::These(routes),
        Some(Routes::Objects(_)) | None => Wish::AsTheyAre(None),
    }
}

fn is_ready(world: &World) -> bool {
    let status = world.current_pod().and_then(|pod| pod.status.as_ref());
    let mut conditions = status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use DesiredStatus::{Running, Stopped};
    use rules::{Violation, routes::RouteKind};

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
        let of = |world: &World, has| wish(Running, Some(&valid), world, has);
        assert_eq!(of(&testing::started(), false), Wish::AsTheyAre(None));
        assert_eq!(of(&testing::running(), false), Wish::These(&routes()));
        assert_eq!(of(&testing::started(), true), Wish::These(&routes()));
        let restarting = testing::scaled_to_zero();
        assert_eq!(of(&restarting, true), Wish::These(&routes()));
        assert_eq!(of(&restarting, false), Wish::None);
    }

    #[test]
    fn a_stop_takes_them_away_whatever_else_is_wrong() {
        let sound = valid(Routes::Objects(routes()));
        let unknown = valid(Routes::Unknown(Violation::new("f", "", "r").into()));
        for valid in [Some(&sound), Some(&unknown), None] {
            assert_eq!(wish(Stopped, valid, &testing::running(), true), Wish::None);
        }
        assert_eq!(
            wish(Running, Some(&sound), &testing::world(), false),
            Wish::None,
            "no run is on"
        );
    }

    #[test]
    fn an_invalid_workspace_or_manager_leaves_them_as_they_are() {
        let why: Violations = Violation::new("f", "", "r").into();
        let unknown = valid(Routes::Unknown(why.clone()));
        let world = testing::running();
        assert_eq!(
            wish(Running, Some(&unknown), &world, true),
            Wish::AsTheyAre(Some(&why))
        );
        assert_eq!(wish(Running, None, &world, true), Wish::AsTheyAre(None));
    }

    #[test]
    fn a_manager_whose_proxy_is_fed_wants_none() {
        assert_eq!(
            wish(Running, Some(&valid(Routes::Fed)), &testing::running(), true),
            Wish::None
        );
    }
}
