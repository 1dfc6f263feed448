//! Settings, valid workspaces and observed states for unit tests (pure).

use std::sync::Arc;

use api::Workspace;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use rules::{References, Settings, ValidWorkspace};
use serde::Serialize;
use testkit::objects;

use crate::{
    cache::{
        observed::{Identity, Observed},
        stores::{Parsed, Trim},
    },
    plan::{self, Site},
};

pub(crate) fn settings() -> Settings {
    Settings::parse("{defaultImage: uv, imageAliases: {uv: 'localhost/jk8s-application-jupyter-uv:1'}}")
        .unwrap()
}

pub(crate) fn site() -> Site {
    Site::new(
        "jupyter-k8s-system".to_owned(),
        "jupyter-k8s".to_owned(),
        &settings(),
    )
}

pub(crate) fn admit(workspace: &Workspace) -> ValidWorkspace {
    rules::admit(
        workspace,
        &References::managed_by([&objects::manager("main")]),
        &settings(),
    )
    .unwrap()
}

pub(crate) fn valid() -> ValidWorkspace {
    admit(&objects::workspace("demo"))
}

pub(crate) fn identity() -> Identity {
    Identity::of(&objects::workspace("demo").metadata)
}

/// Observed state without any child.
pub(crate) fn observed() -> Observed {
    Observed::empty(identity())
}

/// What a watch keeps of an object.
pub(crate) fn partial<K: Trim>(object: &impl Serialize) -> Arc<K> {
    let text = serde_json::to_string(object).unwrap();
    serde_json::from_str::<Parsed<K>>(&text).unwrap().read().unwrap()
}

/// The Deployment of a started workspace.
pub(crate) fn deployment() -> Deployment {
    let mut deployment = plan::run(&valid(), &site(), "run1");
    deployment.metadata.uid = Some("uid-of-deployment".to_owned());
    deployment.metadata.generation = Some(1);
    deployment
}

/// A started workspace: the Deployment exists, its pod is pending.
pub(crate) fn started() -> Observed {
    let deployment = deployment();
    let replica_set = objects::replica_set_of(&deployment);
    let pod = objects::pod_of(&replica_set);
    let lasting = plan::lasting(&valid(), &site());
    Observed {
        claim: lasting.claim.map(Into::into),
        service: Some(lasting.service.into()),
        policy: lasting.policy.map(Into::into),
        deployment: Some(partial(&deployment)),
        replica_sets: vec![partial(&replica_set)],
        pods: vec![partial(&pod)],
        ..observed()
    }
}

/// A running workspace: its pod is ready.
pub(crate) fn running() -> Observed {
    let pod = objects::pod_of(&objects::replica_set_of(&deployment()));
    Observed {
        pods: vec![partial(&objects::ready(pod, "10.0.0.9"))],
        ..started()
    }
}

/// Scaled to zero and observed by all controllers; the pod still exists.
pub(crate) fn scaled_to_zero() -> Observed {
    let mut deployment = deployment();
    deployment.spec.as_mut().unwrap().replicas = Some(0);
    deployment.metadata.generation = Some(2);
    deployment.status = Some(DeploymentStatus {
        observed_generation: Some(2),
        ..DeploymentStatus::default()
    });
    let replica_set = objects::replica_set_of(&deployment);
    Observed {
        deployment: Some(partial(&deployment)),
        replica_sets: vec![partial(&replica_set)],
        ..running()
    }
}
