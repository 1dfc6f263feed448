//! What a status says -> the status of a template, an Event (IO).

use std::time::Duration;

use api::{
    WorkspaceTemplate,
    condition::{
        self, PREPARED,
        reason::{self, State},
    },
    names::OPERATOR_IMAGES,
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{Patch, PatchParams},
    runtime::events::EventType,
};
use serde_json::json;

use super::progress::Report;
use crate::{
    context::Context,
    controllers::attempt::{Attempt, attempt},
    status::{assess::condition_list::Conditions, events, transitions},
};

/// A write that takes longer is stuck. It is cancelled and retried.
const LIMIT: Duration = Duration::from_secs(15);
/// A status in which only numbers and texts changed is written at most this often.
const PAUSE: Duration = Duration::from_secs(10);

/// What came of a report.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The status says so already.
    Nothing,
    /// The status is written.
    Done,
    /// It has to be written after this time.
    Later(Duration),
}

/// Writes a status that differs; without a report, the template loses what an earlier one said. `since`: the time since the last write.
pub(super) async fn write(
    context: &Context,
    template: &WorkspaceTemplate,
    report: Option<&Report>,
    since: Option<Duration>,
) -> Written {
    let status = template.status.clone().unwrap_or_default();
    let now = (context.now)();
    let mut conditions = Conditions::new(&status.conditions, template.metadata.generation, now);
    if let Some(report) = report {
        conditions.set(PREPARED, report.holds(), report.reason, &report.message);
    }
    let conditions = conditions.finish();
    let (before, after) = (condition::find(&status.conditions, PREPARED), conditions.first());
    let pulled = report.and_then(|report| report.pulled.as_ref());
    if before == after && status.pulled.as_ref() == pulled {
        return Written::Nothing;
    }
    let is_same = before.map(|it| &it.reason) == after.map(|it| &it.reason);
    if let Some(left) = since
        .and_then(|since| PAUSE.checked_sub(since))
        .filter(|_| is_same)
    {
        return Written::Later(left);
    }
    let fields = match report {
        None => json!({}),
        Some(_) => json!({"pulled": pulled, "conditions": conditions}),
    };
    let what = Attempt {
        step: "images",
        key: format!("WorkspaceTemplate {}", template.name_any()),
        limit: LIMIT,
        complaint: "a status cannot be written",
    };
    match attempt(context, &what, send(context, template, fields)).await {
        Err(failed) => Written::Later(failed.again),
        Ok(version) => {
            if let Some(report) = report.filter(|_| !is_same) {
                publish(context, template, report, version).await;
            }
            Written::Done
        }
    }
}

/// Returns the version of the template after the write.
async fn send(
    context: &Context,
    template: &WorkspaceTemplate,
    mut fields: serde_json::Value,
) -> Result<Option<String>, kube::Error> {
    // An apply takes a field that is null for one that it should hold.
    if let Some(fields) = fields.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    let intent = json!({
        "apiVersion": WorkspaceTemplate::api_version(&()),
        "kind": WorkspaceTemplate::kind(&()),
        "metadata": {"name": template.name_any(), "uid": template.uid()},
        "status": context.definitions.fit("WorkspaceTemplate", fields),
    });
    let params = PatchParams::apply(OPERATOR_IMAGES).force();
    let templates = Api::<WorkspaceTemplate>::all(context.client.clone());
    let answer = templates
        .patch_status(&template.name_any(), &params, &Patch::Apply(&intent))
        .await;
    match answer {
        Ok(answer) => {
            context.metrics.write("images");
            Ok(answer.metadata.resource_version)
        }
        // The template is gone.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => {
            context.definitions.suspect(&error);
            Err(error)
        }
    }
}

/// The Event of a problem. The status says the same.
async fn publish(context: &Context, template: &WorkspaceTemplate, report: &Report, version: Option<String>) {
    let known = reason::find(report.reason);
    if known.is_none_or(|known| known.state != State::Wrong) {
        return;
    }
    let regarding = ObjectReference {
        resource_version: version,
        ..template.object_ref(&())
    };
    let event = transitions::event(EventType::Warning, "Prepare", report.reason, &report.message);
    events::publish(context, regarding, vec![event]).await;
}
