//! A write, the wanted part of the answer -> that part, parsed: less than kube's `Api` parses (IO).

use kube::{
    Client, Error,
    api::{DeleteParams, PatchParams, Preconditions},
    core::request,
};
use serde::de::DeserializeOwned;

/// Sends a write. `verb`: the name of the call in traces, as in kube.
pub(crate) async fn send<T: DeserializeOwned>(
    client: &Client,
    verb: &'static str,
    request: Result<http::Request<Vec<u8>>, request::Error>,
) -> Result<T, Error> {
    let mut request = request.map_err(Error::BuildRequest)?;
    request.extensions_mut().insert(verb);
    client.request(request).await
}

/// Parameters of a patch of this field manager.
pub(crate) fn patch_as(manager: &str) -> PatchParams {
    PatchParams {
        field_manager: Some(manager.to_owned()),
        ..PatchParams::default()
    }
}

/// Parameters of a deletion of the object with this UID, and of no other object of its name.
pub(crate) fn delete_uid(uid: Option<String>) -> DeleteParams {
    DeleteParams::default().preconditions(Preconditions {
        uid,
        resource_version: None,
    })
}

/// Turns off the API server's warnings about unknown fields. For them it would parse every patch a second time. The operator needs no
/// such warning, because it builds patches from types.
pub(crate) fn without_validation(params: PatchParams) -> PatchParams {
    params.validation_ignore()
}
