//! What a client wants -> a request or patch that the API server applies to nothing else (pure).

use json_patch::jsonptr::PointerBuf;
use kube::{ResourceExt as _, core::request::Error};
use serde_json::{Value, json};

use crate::{Workspace, names, workspace::DesiredStatus};

/// Asks the API server to refuse unknown and repeated fields of a new object. `PostParams` of kube cannot say so.
///
/// A request that cannot be changed is an error: it is never sent without this check.
pub fn strict(request: http::Request<Vec<u8>>) -> Result<http::Request<Vec<u8>>, Error> {
    let (mut head, body) = request.into_parts();
    let separator = if head.uri.query().is_some() { '&' } else { '?' };
    let uri = format!("{}{separator}fieldValidation=Strict", head.uri);
    head.uri = uri
        .parse()
        .map_err(|error: http::uri::InvalidUri| Error::BuildRequest(error.into()))?;
    Ok(http::Request::from_parts(head, body))
}

/// JSON patch that starts or stops a workspace, and records who or what did, if there is room for an annotation. It fails if the workspace
/// has changed since it was read. `add` also sets a `desiredStatus` that the stored spec leaves out.
pub fn set_desired_status(workspace: &Workspace, status: DesiredStatus, record: (&str, &str)) -> Value {
    let (key, value) = record;
    let mut steps = vec![
        json!({"op": "test", "path": "/metadata/resourceVersion", "value": workspace.resource_version()}),
        json!({"op": "add", "path": "/spec/desiredStatus", "value": status}),
    ];
    if names::takes_records(&workspace.metadata) {
        steps.push(if workspace.metadata.annotations.is_some() {
            let path = PointerBuf::from_tokens(["metadata", "annotations", key]);
            json!({"op": "add", "path": path, "value": value})
        } else {
            json!({"op": "add", "path": "/metadata/annotations", "value": {key: value}})
        });
    }
    steps.into()
}

#[cfg(test)]
mod tests {
    use kube::api::PostParams;
    use kube::core::Request;

    use super::*;

    fn create(path: &str, params: &PostParams) -> http::Request<Vec<u8>> {
        Request::new(path).create(params, b"{}".to_vec()).unwrap()
    }

    #[test]
    fn the_parameter_stands_beside_others() {
        let dry_run = PostParams {
            dry_run: true,
            field_manager: None,
        };
        for (request, expected) in [
            (
                create("/apis/a", &dry_run),
                "/apis/a?&dryRun=All&fieldValidation=Strict",
            ),
            (
                create("/apis/a", &PostParams::default()),
                "/apis/a?&fieldValidation=Strict",
            ),
            (
                http::Request::post("/apis/a").body(b"{}".to_vec()).unwrap(),
                "/apis/a?fieldValidation=Strict",
            ),
        ] {
            let strict = strict(request).unwrap();
            assert_eq!(strict.uri().to_string(), expected);
            assert_eq!(
                (strict.method(), strict.body().as_slice()),
                (&http::Method::POST, &b"{}"[..])
            );
        }
    }

    #[test]
    fn an_address_that_gets_too_long_is_an_error() {
        let longest = usize::from(u16::MAX) - 2;
        let request = create(&format!("/{}", "a".repeat(longest - 2)), &PostParams::default());
        assert!(matches!(strict(request), Err(Error::BuildRequest(_))));
    }
}
