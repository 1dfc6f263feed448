//! A write that kube's `Api` would parse more of than anybody looks at -> its answer, as much of it as is asked for (IO).

use kube::{Client, Error, api::PatchParams, core::request};
use serde::de::DeserializeOwned;

/// Sends a write. `verb`: as kube's own calls are named in traces.
pub(crate) async fn send<T: DeserializeOwned>(
    client: &Client,
    verb: &'static str,
    request: Result<http::Request<Vec<u8>>, request::Error>,
) -> Result<T, Error> {
    let mut request = request.map_err(Error::BuildRequest)?;
    request.extensions_mut().insert(verb);
    client.request(request).await
}

/// The API server is not to warn of fields that it does not know. For that it would parse every patch a second time, and nobody reads
/// the warning: what we send is made from types.
pub(crate) fn unchecked(params: PatchParams) -> PatchParams {
    params.validation_ignore()
}
