//! Namespace and template -> a workspace that became available, or why not, and its deletion (IO).

use std::time::{Duration, Instant};

use api::names::CREATED_BY;
use api::workspace::{Retain, Storage, WorkspaceSpec};
use api::{Workspace, condition};
use kit::api_error::for_users;
use kube::api::{DeleteParams, PostParams};
use kube::runtime::conditions::is_deleted;
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt as _};
use tokio::time::timeout;
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
    let created = api.create(&params, &trial.workspace()).await;
    created.map_err(|error| format!("{at} cannot be created: {}", for_users(&error)))?;
    let available = timeout(
        trial.timeout,
        await_condition(api.clone(), &trial.name, is_available),
    );
    let from = match &trial.template {
        Some(name) => format!(" from template {name}"),
        None => String::new(),
    };
    match end.run_until_cancelled(Box::pin(available)).await {
        None => Err(ended()),
        Some(Ok(Ok(_))) => Ok(format!(
            "{at}{from} was available after {} s",
            begin.elapsed().as_secs()
        )),
        Some(Ok(Err(error))) => Err(format!("{at} cannot be watched: {error}")),
        Some(Err(_)) => Err(format!(
            "{at} is not available after {} s: {} (raise tests.timeoutSeconds if that is normal)",
            trial.timeout.as_secs(),
            state(api, &trial.name).await
        )),
    }
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
    match api.delete(name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        deleted => drop(deleted.map_err(|error| failed(&error))?),
    }
    let gone = Box::pin(await_condition(api.clone(), name, is_deleted(&uid)));
    match timeout(REMOVAL, gone).await {
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

fn is_available(workspace: Option<&Workspace>) -> bool {
    let status = workspace.and_then(|workspace| workspace.status.as_ref());
    status.is_some_and(|status| condition::holds(&status.conditions, condition::AVAILABLE))
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
mod tests {
    use http::Method;
    use serde_json::{Value, json};
    use testkit::api_server::{ApiServer, Fault};

    use super::*;

    const NAME: &str = "demo-tests";

    fn trial(owner: Option<&str>) -> Trial {
        Trial {
            name: NAME.to_owned(),
            template: Some("jupyterlab".to_owned()),
            owner: owner.map(str::to_owned),
            delete_disk: true,
            timeout: Duration::from_mins(4),
        }
    }

    /// The results of `start` and `remove` where the operator writes this status and these finalizers once the workspace exists.
    async fn results(status: Value, finalizers: Value) -> (Result<String, String>, Result<(), String>) {
        let (server, client) = ApiServer::start();
        let api = Api::<Workspace>::namespaced(client, "team");
        let exists = |workspace: Option<&Workspace>| workspace.is_some();
        let (created, operator) = (await_condition(api.clone(), NAME, exists), server.clone());
        tokio::spawn(async move {
            created.await.unwrap();
            operator.edit::<Workspace>(Some("team"), NAME, |workspace| {
                workspace["status"] = status;
                workspace["metadata"]["finalizers"] = finalizers;
            });
        });
        let started = start(&api, &trial(None), &CancellationToken::new()).await;
        let removed = remove(&api, NAME).await;
        assert_eq!(server.all::<Workspace>().is_empty(), removed.is_ok());
        (started, removed)
    }

    #[tokio::test(start_paused = true)]
    async fn a_workspace_that_becomes_available_is_deleted_again_or_its_status_says_why_not() {
        let available = json!({"conditions": [{
            "type": "Available", "status": "True", "reason": "Ready", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]});
        let (started, removed) = results(available.clone(), json!([])).await;
        let text = "workspace team/demo-tests from template jupyterlab was available after 0 s";
        assert_eq!((started, removed), (Ok(text.to_owned()), Ok(())));
        let (_, held) = results(available, json!(["example.org/held"])).await;
        let problem = held.unwrap_err();
        assert!(
            problem.contains("is not gone 120 s after its deletion"),
            "{problem}"
        );
        let stuck =
            json!({"phase": "Starting", "reason": "Unschedulable", "message": "no node has 1 CPU left"});
        for (status, part) in [
            (stuck, "after 240 s: Unschedulable: no node has 1 CPU left ("),
            (json!({}), "the operator has written no status"),
        ] {
            let problem = results(status, json!([])).await.0.unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[tokio::test]
    async fn a_refusal_is_reported_and_after_a_signal_nothing_is_created() {
        let (server, client) = ApiServer::start();
        let api = Api::<Workspace>::namespaced(client, "team");
        let end = CancellationToken::new();
        server.fail(Fault {
            message: "exceeded quota".to_owned(),
            ..Fault::internal(Method::POST, "/workspaces", 1)
        });
        let problem = start(&api, &trial(Some("robot")), &end).await.unwrap_err();
        assert!(
            problem.contains("cannot be created: ") && problem.contains("exceeded quota"),
            "{problem}"
        );
        let workspace = &server.take_calls()[0].body;
        assert_eq!(workspace["metadata"]["annotations"][CREATED_BY], "robot");
        assert_eq!(workspace["spec"]["storage"]["retain"], "Delete");
        end.cancel();
        let problem = start(&api, &trial(None), &end).await.unwrap_err();
        assert!(
            problem.starts_with("the check was stopped by a signal"),
            "{problem}"
        );
        assert!(server.take_calls().is_empty());
    }
}
