//! Workspace -> the stored Workspace and the API server's warnings (IO).

use anyhow::Context as _;
use api::Workspace;
use http_body_util::BodyExt as _;
use kube::api::PostParams;
use kube::client::Body;
use kube::core::{Request, Status};
use kube::{Client, Resource as _};
use serde_json::Value;

use crate::failure::Failure;
use crate::warning;

/// Creates `manifest` in `namespace`. It returns warnings also when the API server refuses.
///
/// The request is hand-written, because the typed interface does not return response headers.
pub(crate) async fn create(
    client: &Client,
    namespace: &str,
    manifest: &Value,
    dry_run: bool,
) -> (Vec<String>, Result<Workspace, Failure>) {
    let mut warnings = Vec::new();
    let outcome = send(client, namespace, manifest, dry_run, &mut warnings).await;
    (warnings, outcome)
}

async fn send(
    client: &Client,
    namespace: &str,
    manifest: &Value,
    dry_run: bool,
    warnings: &mut Vec<String>,
) -> Result<Workspace, Failure> {
    let params = PostParams {
        dry_run,
        field_manager: Some(api::names::CLI.to_owned()),
    };
    let bytes = manifest.to_string().into_bytes();
    let request = Request::new(Workspace::url_path(&(), Some(namespace)))
        .create(&params, bytes)
        .context("the request cannot be made")
        .map_err(Failure::Other)?;
    let response = client
        .send(request.map(Body::from))
        .await
        .map_err(|error| Failure::Unreachable {
            address: None,
            cause: error.into(),
        })?;
    warnings.extend(warning::texts(response.headers()));
    let code = response.status();
    let body = response
        .into_body()
        .collect()
        .await
        .context("the answer of the API server breaks off")
        .map_err(Failure::Other)?
        .to_bytes();
    if code.is_success() {
        return serde_json::from_slice(&body)
            .context("the answer of the API server is no Workspace")
            .map_err(Failure::Other);
    }
    let status = serde_json::from_slice(&body)
        .unwrap_or_else(|_| Status::failure(&String::from_utf8_lossy(&body), "").with_code(code.as_u16()));
    Err(Failure::Refused(Box::new(status)))
}
