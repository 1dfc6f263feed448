//! The namespace of images -> its objects by name (pure).

use std::sync::Arc;

use api::names::APP_NAME_LABEL;
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    core::v1::{Event, Pod},
};
use kube::{Resource, ResourceExt as _};

/// What the caches show of the namespace.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// DaemonSets that pull images.
    pub daemon_sets: Vec<Arc<DaemonSet>>,
    /// Deployments of placeholders.
    pub deployments: Vec<Arc<Deployment>>,
    /// Pods that do not run yet.
    pub pods: Vec<Arc<Pod>>,
    /// Events of pods that are refused, about the DaemonSets.
    pub refused_pods: Vec<Arc<Event>>,
}

impl Live {
    pub(super) fn daemon_set(&self, name: &str) -> Option<&DaemonSet> {
        named(&self.daemon_sets, name)
    }

    pub(super) fn deployment(&self, name: &str) -> Option<&Deployment> {
        named(&self.deployments, name)
    }

    /// The pods of an object that do not run yet.
    pub(super) fn pending_pods(&self, name: &str) -> Vec<&Pod> {
        let is_own = |pod: &&Arc<Pod>| pod.labels().get(APP_NAME_LABEL).is_some_and(|it| it == name);
        self.pods.iter().filter(is_own).map(|pod| &**pod).collect()
    }
}

fn named<'a, K: Resource>(all: &'a [Arc<K>], name: &str) -> Option<&'a K> {
    let mut all = all.iter();
    all.find(|it| it.meta().name.as_deref() == Some(name))
        .map(|it| &**it)
}

#[cfg(test)]
pub(super) mod fixtures {
    use serde_json::{Value, json};
    use testkit::objects;

    use super::*;
    use crate::{
        controllers::images::desired::{Wanted, desired},
        testing,
    };

    /// A template with two images, and what its labels ask for.
    pub(in crate::controllers::images) fn wanted(labels: Value) -> Wanted {
        let mut template = objects::template("t");
        template.metadata.labels = serde_json::from_value(labels).unwrap();
        template.spec.allowed_images = vec!["uv".to_owned(), "r.example.com/b:1".to_owned()];
        let images = testing::images();
        desired(&[Arc::new(template)], &[], &testing::settings(), Some(&images))
            .templates
            .remove(0)
    }

    fn daemon_set(name: &str, done: i32, nodes: i32) -> Arc<DaemonSet> {
        let set = json!({
            "metadata": {"name": name, "uid": name, "generation": 2},
            "status": {
                "observedGeneration": 2, "numberReady": done, "desiredNumberScheduled": nodes,
                "currentNumberScheduled": nodes, "numberMisscheduled": 0,
            },
        });
        Arc::new(serde_json::from_value(set).unwrap())
    }

    /// Both DaemonSets: eight nodes have the first image, so many the second one.
    pub(in crate::controllers::images) fn live(wanted: &Wanted, second: i32) -> Live {
        let mut names = wanted.pulls.iter().map(|(_, name)| name);
        Live {
            daemon_sets: vec![
                daemon_set(names.next().unwrap(), 8, 8),
                daemon_set(names.next().unwrap(), second, 8),
            ],
            ..Live::default()
        }
    }
}
