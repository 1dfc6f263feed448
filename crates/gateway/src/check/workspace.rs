//! Namespace and template -> a workspace that became available, or why not, and its deletion (IO).

use std::time::{Duration, Instant};

use api::names::CREATED_BY;
use api::workspace::{Retain, Storage, WorkspaceSpec};
use api::{Workspace, condition};
use kit::api_error::for_users;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::runtime::conditions::is_deleted;
use kube::runtime::wait::{Condition, await_condition};
use kube::{Api, ResourceExt as _};
use tokio_util::sync::CancellationToken;

use super::MANAGER;

/// Time for the deletion: the pod's grace period, and the controllers.
const REMOVAL: Duration = Duration::from_mins(2);

/// The workspace that is created.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    /// Its name, always the same: rights are limited to it, and a later check finds what an earlier one left.
    pub(super) name: String,
    /// Its template.
    pub(super) template: Option<String>,
    /// Its owner, if no webhook records the user who creates it.
    pub(super) owner: Option<String>,
    /// Whether the template would keep its disk.
    pub(super) delete_disk: bool,
    /// Time in which it must become available.
    pub(super) timeout: Duration,
}

impl Trial {
    /// The workspace, with the defaults of its template.
    pub(super) fn workspace(&self) -> Workspace {
        let spec = WorkspaceSpec {
            display_name: "Check of the installation".to_owned(),
            template_ref: self.template.clone(),
            storage: self.delete_disk.then(|| Storage {
                retain: Some(Retain::Delete),
                ..Storage::default()
            }),
            ..WorkspaceSpec::default()
        };
        let mut workspace = Workspace::new(&self.name, spec);
        workspace.metadata.annotations = self
            .owner
            .clone()
            .map(|owner| [(CREATED_BY.to_owned(), owner)].into());
        workspace
    }
}

/// Creates the workspace and waits until it is available. What happened, or what is wrong.
pub(super) async fn start(
    api: &Api<Workspace>,
    trial: &Trial,
    end: &CancellationToken,
) -> Result<String, String> {
    let at = place(api, &trial.name);
    let params = PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    };
    let ended = || format!("the check was stopped by a signal before {at} was available");
    if end.is_cancelled() {
        return Err(ended());
    }
    let begin = Instant::now();
    api.create(&params, &trial.workspace())
        .await
        .map_err(|error| format!("{at} cannot be created: {}", for_users(&error)))?;
    let available = Box::pin(await_condition(api.clone(), &trial.name, is_available()));
    let problem = tokio::select! {
        available = tokio::time::timeout(trial.timeout, available) => match available {
            Ok(Ok(_)) => {
                let from = trial.template.as_ref().map(|name| format!(" from template {name}")).unwrap_or_default();
                return Ok(format!("{at}{from} was available after {} s", begin.elapsed().as_secs()));
            }
            Ok(Err(error)) => format!("{at} cannot be watched: {error}"),
            Err(_) => format!(
                "{at} is not available after {} s: {} (raise tests.timeoutSeconds if that is normal)",
                trial.timeout.as_secs(),
                state(api, &trial.name).await
            ),
        },
        () = end.cancelled() => ended(),
    };
    Err(problem)
}

/// Deletes the workspace, if there is one, and waits until it is gone with its pod and its disk.
pub(super) async fn remove(api: &Api<Workspace>, name: &str) -> Result<(), String> {
    let at = place(api, name);
    let failed =
        |error: &kube::Error| format!("{at} cannot be deleted: {}: delete it yourself", for_users(error));
    let Some(found) = api.get_opt(name).await.map_err(|error| failed(&error))? else {
        return Ok(());
    };
    let uid = found.uid().unwrap_or_default();
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(uid.clone()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    match api.delete(name, &params).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => {}
        Err(error) => return Err(failed(&error)),
    }
    let gone = Box::pin(await_condition(api.clone(), name, is_deleted(&uid)));
    match tokio::time::timeout(REMOVAL, gone).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("{at} cannot be watched: {error}")),
        Err(_) => Err(format!(
            "{at} is not gone {} s after its deletion: {}",
            REMOVAL.as_secs(),
            state(api, name).await
        )),
    }
}

fn place(api: &Api<Workspace>, name: &str) -> String {
    let namespace = api.namespace().unwrap_or_default();
    format!("workspace {namespace}/{name}")
}

fn is_available() -> impl Condition<Workspace> {
    |workspace: Option<&Workspace>| {
        workspace
            .and_then(|workspace| workspace.status.as_ref())
            .is_some_and(|status| condition::holds(&status.conditions, condition::AVAILABLE))
    }
}

/// What the operator says of the workspace.
async fn state(api: &Api<Workspace>, name: &str) -> String {
    let status = match api.get_opt(name).await {
        Ok(Some(workspace)) => workspace.status,
        Ok(None) => return "another user deleted it".to_owned(),
        Err(error) => return format!("it cannot be read: {}", for_users(&error)),
    };
    match status.map(|status| (status.reason, status.message)) {
        Some((Some(reason), Some(message))) => format!("{reason}: {message}"),
        Some((Some(reason), None)) => reason,
        _ => "the operator has written no status: look at its pods and their log".to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use http::Method;
    use kube::Client;
    use serde_json::{Value, json};
    use testkit::api_server::{ApiServer, Call, Fault};

    use super::*;

    pub(in crate::check) const NAMESPACE: &str = "team";
    const NAME: &str = "demo-tests";

    pub(in crate::check) fn trial() -> Trial {
        Trial {
            name: NAME.to_owned(),
            template: Some("jupyterlab".to_owned()),
            owner: None,
            delete_disk: false,
            timeout: Duration::from_mins(4),
        }
    }

    fn exists() -> impl Condition<Workspace> {
        |workspace: Option<&Workspace>| workspace.is_some()
    }

    /// Writes this status, and these finalizers, as soon as the workspace exists.
    fn operator(server: &ApiServer, client: &Client, status: Value, finalizers: Value) {
        let (server, api) = (
            server.clone(),
            Api::<Workspace>::namespaced(client.clone(), NAMESPACE),
        );
        tokio::spawn(async move {
            await_condition(api, NAME, exists()).await.unwrap();
            server.edit::<Workspace>(Some(NAMESPACE), NAME, |workspace| {
                workspace["status"] = status;
                workspace["metadata"]["finalizers"] = finalizers;
            });
        });
    }

    fn available() -> Value {
        json!({"conditions": [{
            "type": "Available", "status": "True", "reason": "Ready", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]})
    }

    #[tokio::test(start_paused = true)]
    async fn a_workspace_that_becomes_available_is_deleted_again() {
        let (server, client) = ApiServer::start();
        operator(&server, &client, available(), json!([]));
        let api = Api::namespaced(client, NAMESPACE);
        let text = start(&api, &trial(), &CancellationToken::new()).await.unwrap();
        assert_eq!(
            text,
            "workspace team/demo-tests from template jupyterlab was available after 0 s"
        );
        remove(&api, NAME).await.unwrap();
        assert!(server.all::<Workspace>().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_status_says_why_a_workspace_is_not_available_in_time() {
        for (status, part) in [
            (
                json!({"phase": "Starting", "reason": "Unschedulable", "message": "no node has 1 CPU left"}),
                "after 240 s: Unschedulable: no node has 1 CPU left (",
            ),
            (json!({}), "the operator has written no status"),
        ] {
            let (server, client) = ApiServer::start();
            operator(&server, &client, status, json!([]));
            let api = Api::namespaced(client, NAMESPACE);
            let problem = start(&api, &trial(), &CancellationToken::new())
                .await
                .unwrap_err();
            assert!(problem.contains(part), "{problem}");
            remove(&api, NAME).await.unwrap();
            assert!(server.all::<Workspace>().is_empty());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_to_end_ends_the_wait_and_then_nothing_is_created() {
        let (server, client) = ApiServer::start();
        let api = Api::<Workspace>::namespaced(client, NAMESPACE);
        let end = CancellationToken::new();
        let (cancel, exists) = (end.clone(), await_condition(api.clone(), NAME, exists()));
        tokio::spawn(async move {
            exists.await.unwrap();
            cancel.cancel();
        });
        let problem = start(&api, &trial(), &end).await.unwrap_err();
        assert!(
            problem.starts_with("the check was stopped by a signal"),
            "{problem}"
        );
        remove(&api, NAME).await.unwrap();
        server.take_calls();
        let problem = start(&api, &trial(), &end).await.unwrap_err();
        assert!(
            problem.starts_with("the check was stopped by a signal"),
            "{problem}"
        );
        assert!(!server.take_calls().iter().any(Call::is_write));
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_and_a_deletion_that_does_not_end_are_reported() {
        let (server, client) = ApiServer::start();
        let api = Api::namespaced(client.clone(), NAMESPACE);
        let refused = |method, times| Fault {
            message: "exceeded quota".to_owned(),
            ..Fault::internal(method, "/workspaces", times)
        };
        server.fail(refused(Method::POST, 1));
        let problem = start(&api, &trial(), &CancellationToken::new())
            .await
            .unwrap_err();
        assert!(
            problem.contains("workspace team/demo-tests cannot be created: ")
                && problem.contains("exceeded quota"),
            "{problem}"
        );
        operator(&server, &client, available(), json!(["example.org/held"]));
        start(&api, &trial(), &CancellationToken::new()).await.unwrap();
        server.fail(refused(Method::DELETE, 1));
        let problem = remove(&api, NAME).await.unwrap_err();
        assert!(
            problem.contains("cannot be deleted: ") && problem.ends_with(": delete it yourself"),
            "{problem}"
        );
        let problem = remove(&api, NAME).await.unwrap_err();
        assert!(
            problem.contains("is not gone 120 s after its deletion"),
            "{problem}"
        );
    }

    #[test]
    fn a_disk_is_asked_for_only_where_the_template_would_keep_it() {
        let mut trial = trial();
        assert_eq!(trial.workspace().spec.storage, None);
        trial.delete_disk = true;
        let storage = trial.workspace().spec.storage.unwrap();
        assert_eq!(storage.retain, Some(Retain::Delete));
        assert_eq!(storage.size, None);
    }
}
