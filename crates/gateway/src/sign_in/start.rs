//! a person's wish to start a stopped workspace -> `spec.desiredStatus: Running`, once (IO).

use api::Workspace;
use api::workspace::{DesiredStatus, Phase};
use axum::response::Response;
use http::header::HeaderMap;
use http::{StatusCode, Uri};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::answers::{Failure, redirect};
use crate::index::Domain;
use crate::pages;
use crate::request::source_rule::Source;
use crate::request::{is_form, one_of, parameter};
use crate::sign_in::home;
use crate::site::Site;
use crate::verify::AppState;
use crate::verify::decision::Allow;

/// Largest body of the form, in bytes.
pub(super) const MAX_FORM: usize = 4 * 1024;
/// Most attempts while others change the workspace.
const ATTEMPTS: usize = 3;

/// Answers `GET https://auth.<base>/start?host=…`: the form.
pub(super) async fn form(app: &AppState, uri: &Uri, headers: &HeaderMap) -> Response {
    let answer = async {
        if Source::of(headers)?.is_embedded() {
            return Ok(crate::sign_in::enter::not_a_page());
        }
        let domain = app.domain()?;
        let host = parameter(uri, "host")?.unwrap_or_default();
        Ok(match asked(app, &domain, &host, headers).await? {
            Err(refusal) => refusal,
            Ok(allow) if allow.target().phase == Phase::Stopped => {
                pages::start_form(&domain, allow.target(), &allow.session().identity.user_name)
            }
            Ok(allow) => opened(&domain, &allow),
        })
    };
    answer.await.unwrap_or_else(Failure::answer)
}

/// Answers `POST https://auth.<base>/start`, the form's button. `body`: at most [`MAX_FORM`] bytes.
pub(super) async fn start(app: &AppState, headers: &HeaderMap, body: &[u8]) -> Response {
    let answer = async {
        let domain = app.domain()?;
        if !Source::of(headers)?.is_from(&domain.auth_origin()) {
            return Ok(crate::answers::wrong_source());
        }
        if !is_form(headers)? || body.len() > MAX_FORM {
            return Err(Failure::BadRequest);
        }
        let host = one_of(form_urlencoded::parse(body), "host")?.unwrap_or_default();
        match asked(app, &domain, &host, headers).await? {
            Err(refusal) => Ok(refusal),
            Ok(allow) => {
                run(app, &allow).await?;
                Ok(opened(&domain, &allow))
            }
        }
    };
    answer.await.unwrap_or_else(Failure::answer)
}

/// Whether the person at this browser may start the workspace of `host`; else the answer.
async fn asked(
    app: &AppState,
    domain: &Domain,
    host: &str,
    headers: &HeaderMap,
) -> Result<Result<Allow, Response>, Failure> {
    let site = Site::from(host);
    if !domain.has(&site) {
        return Err(Failure::BadRequest);
    }
    let Some(session) = app.signed_in(domain, headers).await? else {
        return Ok(Err(pages::message_with_link(
            StatusCode::UNAUTHORIZED,
            "You are not signed in",
            "You never were, or your session has ended. Open your workspace to sign in, then start it from there.",
            format!("{}/", domain.address(&site)),
            "Open the workspace",
        )));
    };
    Ok(match app.decide(&site, None, &session).await {
        Ok(allow) => Ok(allow),
        Err(refusal) => {
            let (_, sealed) = home::here(app, domain)?;
            Err(home::refuse(app, domain, (refusal, &session), headers, &sealed)?)
        }
    })
}

/// Back to the workspace, whose page shows how it starts.
fn opened(domain: &Domain, allow: &Allow) -> Response {
    redirect(
        StatusCode::SEE_OTHER,
        &format!("{}/", domain.address(&allow.target().site)),
    )
}

/// Writes `Running` over `Stopped`, and who asked for it. A workspace that is not stopped stays as it is.
async fn run(app: &AppState, allow: &Allow) -> Result<(), Failure> {
    let target = allow.target();
    let workspaces: Api<Workspace> = Api::namespaced(app.client.clone(), &target.namespace);
    let failed = |error: &dyn std::fmt::Display| {
        tracing::warn!(namespace = %target.namespace, workspace = %target.name, %error, "a workspace could not be started");
        Failure::Unavailable
    };
    for _ in 0..ATTEMPTS {
        let workspace = match workspaces.get_opt(&target.name).await {
            Ok(workspace) => workspace,
            Err(error) => return Err(failed(&error)),
        };
        let stopped = workspace.filter(|workspace| {
            workspace.metadata.uid.as_ref() == Some(&target.uid)
                && workspace.spec.desired_status == DesiredStatus::Stopped
        });
        let Some(workspace) = stopped else {
            return Ok(());
        };
        let params = PatchParams {
            field_manager: Some(api::names::GATEWAY.to_owned()),
            ..PatchParams::default()
        };
        let patch = patch(&workspace, &allow.session().identity.user_name).map_err(|error| failed(&error))?;
        match workspaces
            .patch(&target.name, &params, &Patch::<Workspace>::Json(patch))
            .await
        {
            Ok(_) => {
                tracing::info!(namespace = %target.namespace, workspace = %target.name, "a person started a workspace");
                app.audit.started(allow.session(), target, allow.rule());
                return Ok(());
            }
            // Somebody else changed it meanwhile: look again.
            Err(kube::Error::Api(status)) if matches!(status.code, 409 | 422) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    Err(failed(&"it keeps changing"))
}

/// Tests everything that the change rests on, so that it is refused rather than applied to something else.
fn patch(workspace: &Workspace, person: &str) -> Result<json_patch::Patch, serde_json::Error> {
    let pointer = api::names::STARTED_BY.replace('~', "~0").replace('/', "~1");
    let annotate = match &workspace.metadata.annotations {
        Some(_) => json!({"op": "add", "path": format!("/metadata/annotations/{pointer}"), "value": person}),
        None => {
            json!({"op": "add", "path": "/metadata/annotations", "value": {api::names::STARTED_BY: person}})
        }
    };
    serde_json::from_value(json!([
        {"op": "test", "path": "/metadata/resourceVersion", "value": workspace.resource_version()},
        {"op": "test", "path": "/spec/desiredStatus", "value": DesiredStatus::Stopped},
        {"op": "replace", "path": "/spec/desiredStatus", "value": DesiredStatus::Running},
        annotate,
    ]))
}
