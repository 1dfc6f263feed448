//! press of the start button -> `spec.desiredStatus: Running`, once (IO).

use std::time::Duration;

use api::request::set_desired_status;
use api::workspace::{DesiredStatus, Phase};
use api::{Workspace, names};
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::header::HeaderMap;
use http::{StatusCode, Uri};
use kube::Api;
use kube::api::{Patch, PatchParams};
use rules::access::Right;
use tokio::time::timeout;

use crate::index::{Domain, Target};
use crate::login::{App, home, link};
use crate::pages::{self, Failure, ONLY_OWNERS_START};
use crate::site::Site;
use crate::verify::AppState;
use crate::verify::answers::redirect;
use crate::verify::decision::Allow;
use crate::verify::request::source_rule::Source;
use crate::verify::request::{is_form, one_of, parameter};

/// Maximum size of the form, in bytes.
pub(super) const MAX_FORM: usize = 4 * 1024;
/// Longest wait for the first status of a start.
const START_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum number of attempts while other clients change the workspace.
const ATTEMPTS: usize = 3;
/// Audit rules of a refusal: the manager's `authorization.start`, and the right to `use` the template.
const NOT_A_STARTER: &str = "start";
const TEMPLATE: &str = "template";

/// Answers `GET https://auth.<base>/start?host=…`: the form.
pub(super) async fn form(State(app): App, uri: Uri, headers: HeaderMap) -> Result<Response, Failure> {
    let domain = app.domain()?;
    let host = parameter(&uri, "host")?.unwrap_or_default();
    Ok(match authorize(&app, &domain, &host, &headers).await? {
        Err(refusal) => refusal,
        Ok(allow) if allow.target().phase == Phase::Stopped => {
            let usable = match stopped_workspace(&app, allow.target()).await? {
                Some(workspace) => may_use_template(&app, &allow, &workspace).await?,
                None => true,
            };
            if usable {
                pages::start_form(&domain, allow.target(), &allow.session().identity.user_name)
            } else {
                not_your_template(&app, &domain, &allow)
            }
        }
        Ok(allow) => to_workspace(&domain, &allow),
    })
}

/// Answers `POST https://auth.<base>/start`, the form's button. `body`: at most [`MAX_FORM`] bytes.
pub(super) async fn start(State(app): App, headers: HeaderMap, body: Bytes) -> Result<Response, Failure> {
    let domain = app.domain()?;
    if !Source::from_headers(&headers)?.is_from(&domain.auth_origin()) {
        return Err(Failure::CrossOrigin);
    }
    if !is_form(&headers)? || body.len() > MAX_FORM {
        return Err(Failure::BadRequest);
    }
    let host = one_of(form_urlencoded::parse(&body), "host")?.unwrap_or_default();
    match authorize(&app, &domain, &host, &headers).await? {
        Err(refusal) => Ok(refusal),
        Ok(allow) => Ok(if run(&app, &allow).await? {
            // The page of a stopped workspace does not reload.
            let _ = timeout(START_TIMEOUT, wait_until_started(&app, &allow.target().site)).await;
            to_workspace(&domain, &allow)
        } else {
            not_your_template(&app, &domain, &allow)
        }),
    }
}

/// Whether the browser's user may start the workspace of `host`; else the answer.
async fn authorize(
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
    Ok(match app.check_workspace_access(&site, None, &session).await {
        Ok(allow) if allow.audience().may_start() => Ok(allow),
        Ok(allow) => Err(may_not(app, domain, &allow, NOT_A_STARTER, ONLY_OWNERS_START)),
        Err(refusal) => {
            let (_, sealed) = link::to_home(app, domain)?;
            Err(home::refuse(app, domain, (refusal, &session), headers, &sealed)?)
        }
    })
}

fn not_your_template(app: &AppState, domain: &Domain, allow: &Allow) -> Response {
    let why = "You may not use its template any more, so you cannot start it. Ask an administrator for the right to use the template.";
    may_not(app, domain, allow, TEMPLATE, why)
}

/// Refuses a user who may connect but not start the workspace.
fn may_not(app: &AppState, domain: &Domain, allow: &Allow, rule: &'static str, why: &str) -> Response {
    let target = allow.target();
    app.audit
        .record_denial(allow.session(), target.site.as_str(), Some(target), rule);
    pages::message_with_link(
        StatusCode::FORBIDDEN,
        &format!("{} is stopped", target.called()),
        why,
        format!("{}/", domain.address(&target.site)),
        "Back to the workspace",
    )
}

/// Whether the user may `use` the workspace's template, as a start by kubectl would require.
async fn may_use_template(app: &AppState, allow: &Allow, workspace: &Workspace) -> Result<bool, Failure> {
    let Some(template) = &workspace.spec.template_ref else {
        return Ok(true);
    };
    let namespace = &allow.target().namespace;
    match app.rights.may_use(allow.session(), namespace, template).await {
        Right::Granted => Ok(true),
        Right::Missing => Ok(false),
        Right::Unknown | Right::Unanswered => Err(Failure::Unavailable),
    }
}

/// The stored workspace, if it is the same one and its spec says that it is stopped.
async fn stopped_workspace(app: &AppState, target: &Target) -> Result<Option<Workspace>, Failure> {
    let workspaces: Api<Workspace> = Api::namespaced(app.client.clone(), &target.namespace);
    let workspace = workspaces.get_opt(&target.name).await;
    let workspace = workspace.map_err(|error| failure(target, &error))?;
    Ok(workspace.filter(|workspace| {
        workspace.metadata.uid.as_ref() == Some(&target.uid)
            && workspace.spec.desired_status == DesiredStatus::Stopped
    }))
}

fn failure(target: &Target, error: &dyn std::fmt::Display) -> Failure {
    tracing::warn!(namespace = %target.namespace, workspace = %target.name, %error, "a workspace could not be started");
    Failure::Unavailable
}

/// Waits until this replica knows that the workspace of `site` is no longer stopped.
async fn wait_until_started(app: &AppState, site: &Site) {
    let is_stopped = || {
        let index = app.index.load();
        let target = index.target(site);
        target.is_some_and(|target| target.phase == Phase::Stopped)
    };
    let mut changes = app.index.subscribe();
    while is_stopped() && changes.changed().await.is_ok() {}
}

/// Redirects to the workspace, whose page shows the start.
fn to_workspace(domain: &Domain, allow: &Allow) -> Response {
    redirect(
        StatusCode::SEE_OTHER,
        &format!("{}/", domain.address(&allow.target().site)),
    )
}

/// Changes `Stopped` to `Running`, and records the user who requested it. A workspace that is not stopped does not change.
/// `false`: the user may not use its template.
async fn run(app: &AppState, allow: &Allow) -> Result<bool, Failure> {
    let target = allow.target();
    let workspaces: Api<Workspace> = Api::namespaced(app.client.clone(), &target.namespace);
    for _ in 0..ATTEMPTS {
        let Some(workspace) = stopped_workspace(app, target).await? else {
            return Ok(true);
        };
        if !may_use_template(app, allow, &workspace).await? {
            return Ok(false);
        }
        let params = PatchParams {
            field_manager: Some(names::GATEWAY.to_owned()),
            ..PatchParams::default()
        };
        let record = (names::STARTED_BY, &*allow.session().identity.user_name);
        let patch = set_desired_status(&workspace, DesiredStatus::Running, record);
        let patch = serde_json::from_value(patch).map_err(|error| failure(target, &error))?;
        match workspaces
            .patch(&target.name, &params, &Patch::<Workspace>::Json(patch))
            .await
        {
            Ok(_) => {
                tracing::info!(namespace = %target.namespace, workspace = %target.name, "a user started a workspace");
                app.audit.record_start(allow.session(), target, allow.rule());
                return Ok(true);
            }
            // Another client changed it meanwhile: read it again.
            Err(kube::Error::Api(status)) if matches!(status.code, 409 | 422) => {}
            Err(error) => return Err(failure(target, &error)),
        }
    }
    Err(failure(target, &"it keeps changing"))
}
