//! Dry runs and what fits -> parts of a page, while a user types (IO: reads and dry runs as the user).

use std::time::Instant;

use askama::Template as _;
use axum::Json;
use axum::response::{Html, IntoResponse as _, Response};
use futures::join;
use http::StatusCode;
use http::header::RETRY_AFTER;
use k8s_openapi::api::core::v1::{LimitRange, ResourceQuota};
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde::Serialize;

use super::quotas::{self, Asked, Known};
use crate::app::Context;
use crate::pages::answers::plain;
use crate::pages::summary;
use crate::views::{Field, Marks, Quotas, Running, Summary, Way};

/// Said where a dry run finds nothing.
pub(super) const GOOD: &str = "The API server would accept this.";

/// Parts of a page that a check replaces.
#[derive(Debug, Default, Serialize)]
pub(super) struct Parts {
    pub(super) summary: Option<Summary>,
    pub(super) marks: Option<Marks>,
    pub(super) fields: Vec<Field>,
    pub(super) quotas: Option<Quotas>,
}

impl Parts {
    pub(super) fn answer(&self, context: &Context) -> Response {
        if context.is_json {
            return Json(self).into_response();
        }
        let mut html = Vec::new();
        html.extend(self.summary.as_ref().map(Summary::render));
        html.extend(self.marks.as_ref().map(Marks::render));
        html.extend(self.fields.iter().map(Field::render));
        html.extend(self.quotas.as_ref().map(Quotas::render));
        match html.into_iter().collect::<Result<Vec<_>, _>>() {
            Ok(parts) => Html(parts.concat()).into_response(),
            Err(error) => {
                tracing::error!(%error, "parts of a page cannot be rendered");
                plain(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "The check cannot be shown. Tell an administrator.",
                )
            }
        }
    }
}

/// The refusal of a check that comes too soon after others.
pub(super) fn too_soon(context: &Context) -> Option<Response> {
    if context.app.checks.allows(&context.user.name, Instant::now()) {
        return None;
    }
    let text = "You checked more than five times in a second. The next change is checked again.";
    let mut response = plain(StatusCode::TOO_MANY_REQUESTS, text);
    response
        .headers_mut()
        .insert(RETRY_AFTER, http::HeaderValue::from_static("1"));
    Some(response)
}

/// What fits, with the user's own running workspaces where something does not. `except`: the workspace that is being changed.
pub(super) async fn quotas(
    context: &Context,
    namespace: &str,
    asked: Option<&Asked>,
    except: Option<&str>,
) -> Option<Quotas> {
    if context.read_only().is_some() {
        return None;
    }
    let as_user = context.as_user();
    let all = ListParams::default();
    let (quotas, ranges) = join!(
        as_user.list::<ResourceQuota>(namespace, &all),
        as_user.list::<LimitRange>(namespace, &all),
    );
    let known = Known {
        quotas: quotas.map_err(|failure| failure.to_string()),
        ranges: ranges.map_err(|failure| failure.to_string()),
    };
    let mut shown = quotas::quotas(namespace, &known, asked);
    if quotas::is_short(&shown) {
        shown.running = running(context, namespace, except);
    }
    Some(shown)
}

/// The user's own running workspaces in the namespace, which could be stopped.
fn running(context: &Context, namespace: &str, except: Option<&str>) -> Vec<Running> {
    let mut own = context.app.index.workspaces();
    own.retain(|workspace| {
        let is_own = api::names::owner(&workspace.metadata) == Some(&*context.user.name);
        let runs = workspace.spec.desired_status == api::workspace::DesiredStatus::Running;
        is_own
            && runs
            && workspace.namespace().as_deref() == Some(namespace)
            && except != Some(&*workspace.name_any())
    });
    own.sort_by_key(|workspace| workspace.name_any());
    let shown = own.iter().map(|workspace| {
        let to = summary::path(workspace);
        let stop = Way::Dialog {
            to: format!("{to}/stop"),
        };
        Running {
            name: workspace.spec.display_name.clone(),
            size: summary::size(workspace).join(", "),
            action: summary::button(context, workspace, "stop", stop),
            to,
        }
    });
    shown.collect()
}
