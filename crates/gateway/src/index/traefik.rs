//! index -> the body that Traefik's HTTP provider fetches (pure; `held` waits for a change).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, json};
use tokio::sync::watch;

use crate::index::{Index, Snapshot, Target};
use crate::site::Site;

/// Maximum hold time of a poll. Traefik gives up after 10 s.
pub(crate) const HOLD: Duration = Duration::from_secs(8);

/// The parent router, whose forwardAuth runs before every child. Requests reach a child only through its parent.
const PARENT: &str = "gate@file";
/// The gateway's own pages, for requests without a workspace's route.
const PAGES: &str = "gateway-pages@file";
/// Traefik tries the highest priority first; the pages come last.
const WORKSPACE_PRIORITY: u32 = 10;
const PAGES_PRIORITY: u32 = 1;

/// One child router per workspace with a ready pod, and the pages. Equal snapshots give equal bytes.
///
/// The address is the pod's own, as the operator records it. Users who may write in the workspace's namespace could redirect a
/// Service or a DNS name.
pub(crate) fn body(snapshot: &Snapshot) -> Result<Bytes, serde_json::Error> {
    let router = |rule: String, priority: u32, service: &str| json!({"parentRefs": [PARENT], "rule": rule, "priority": priority, "service": service});
    let (mut routers, mut services) = (Map::new(), Map::new());
    for target in snapshot.targets() {
        let Some(endpoint) = target.endpoint else { continue };
        let name = format!("workspace-{}", name(target));
        routers.insert(
            name.clone(),
            router(rule(&target.site), WORKSPACE_PRIORITY, &name),
        );
        let servers = json!([{"url": format!("http://{endpoint}")}]);
        services.insert(name, json!({"loadBalancer": {"servers": servers}}));
    }
    routers.insert(
        "pages".into(),
        router("PathPrefix(`/`)".into(), PAGES_PRIORITY, PAGES),
    );
    let mut http = BTreeMap::from([("routers", routers)]);
    // Traefik refuses a map without content.
    if !services.is_empty() {
        http.insert("services", services);
    }
    serde_json::to_vec(&BTreeMap::from([("http", http)])).map(Bytes::from)
}

/// A unique name per workspace: no name of a namespace or workspace contains a dot.
fn name(target: &Target) -> String {
    match target.site.prefix() {
        "" => target
            .site
            .host()
            .split('.')
            .next()
            .unwrap_or_default()
            .to_owned(),
        _ => format!("{}.{}", target.namespace, target.name),
    }
}

/// A prefix that ends in `/` ends at a path segment. Traefik compares it with the path after it removed `.`, `..` and `//`, and
/// keeps escaped slashes.
fn rule(site: &Site) -> String {
    match site.prefix() {
        "" => format!("Host(`{}`)", site.host()),
        prefix => format!("Host(`{}`) && PathPrefix(`{prefix}/`)", site.host()),
    }
}

/// The current body, built once per change.
#[derive(Debug)]
pub struct Routes {
    current: watch::Sender<Option<Bytes>>,
}

impl Default for Routes {
    fn default() -> Self {
        Self {
            current: watch::Sender::new(None),
        }
    }
}

impl Routes {
    /// Follows the index until it is dropped, and replaces the body when its bytes differ.
    pub async fn follow(self: Arc<Self>, index: Arc<Index>) {
        let mut changes = index.subscribe();
        loop {
            if *changes.borrow_and_update() > 0 {
                self.take(&index.load());
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Publishes nothing before the domain is known: an empty set would remove every route.
    fn take(&self, snapshot: &Snapshot) {
        if snapshot.domain().is_none() {
            return;
        }
        let body = match body(snapshot) {
            Ok(body) => body,
            Err(error) => return tracing::error!(%error, "routes cannot be written; the last ones stay"),
        };
        self.current.send_if_modified(|current| {
            let differs = current.as_ref() != Some(&body);
            if differs {
                *current = Some(body);
            }
            differs
        });
    }

    /// A body other than `delivered`, or `delivered` itself once it has stayed current for `hold`; `None` while no body is known
    /// yet.
    pub async fn held(&self, delivered: Option<&Bytes>, hold: Duration) -> Option<Bytes> {
        let mut current = self.current.subscribe();
        // The sender lives in `self`, so the wait ends only by a match or a timeout.
        let differs = current.wait_for(|body| body.is_none() || body.as_ref() != delivered);
        match tokio::time::timeout(hold, differs).await {
            Ok(body) => body.ok().and_then(|body| body.clone()),
            Err(_) => delivered.cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Domain;

    fn target(label: &str, endpoint: Option<&str>) -> Target {
        Target {
            uid: label.into(),
            name: label.into(),
            site: format!("{label}.ws.example").into(),
            endpoint: endpoint.map(|address| address.parse().unwrap()),
            ..Target::lab()
        }
    }

    fn snapshot(targets: impl IntoIterator<Item = Target>) -> Snapshot {
        Snapshot::new(Some(Domain::new("ws.example", 443)), targets)
    }

    #[test]
    fn each_ready_workspace_is_a_child_of_the_gate_and_the_pages_come_last() {
        let body = body(&snapshot([target("b", Some("10.0.0.2:8888")), target("a", None)])).unwrap();
        let pages = json!({"parentRefs": ["gate@file"], "rule": "PathPrefix(`/`)", "priority": 1, "service": "gateway-pages@file"});
        let of_b = json!({"parentRefs": ["gate@file"], "rule": "Host(`b.ws.example`)", "priority": 10, "service": "workspace-b"});
        let service = json!({"loadBalancer": {"servers": [{"url": "http://10.0.0.2:8888"}]}});
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&body).unwrap(),
            json!({"http": {
                "routers": {"pages": pages, "workspace-b": of_b},
                "services": {"workspace-b": service},
            }})
        );
    }

    #[test]
    fn equal_state_gives_equal_bytes_in_whatever_order_it_became_known() {
        let names = ["a", "b", "c", "d", "e"];
        let make = |name: &&str| target(name, Some("[fd00::1]:8888"));
        let forward = body(&snapshot(names.iter().map(make))).unwrap();
        let backward = body(&snapshot(names.iter().rev().map(make))).unwrap();
        assert_eq!(forward, backward);
        assert!(String::from_utf8_lossy(&forward).contains("http://[fd00::1]:8888"));
    }
}
