//! A write, the wanted part of the answer -> that part, parsed: less than kube's `Api` parses (IO).

use kube::{Client, Error, api::PatchParams, core::request};
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

/// Turns off the API server's warnings about unknown fields. For them it would parse every patch a second time. The operator needs no
/// such warning, because it builds patches from types.
pub(crate) fn unchecked(params: PatchParams) -> PatchParams {
    params.validation_ignore()
}
