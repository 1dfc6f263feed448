//! Name of a script or style -> its content (pure).

use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, StatusCode};

use super::answers::plain;
use crate::assets;

/// Answers `GET /assets/<file>`. The name contains a hash of the content, so browsers keep it for ever.
pub(crate) async fn file(Path(file): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = assets::find(&format!("/assets/{file}")) else {
        return plain(
            StatusCode::NOT_FOUND,
            "There is no such file. Load the page again.",
        );
    };
    let accepted = headers.get_all(ACCEPT_ENCODING).iter();
    let takes_gzip = accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| coding.split(';').next().is_some_and(|name| name.trim() == "gzip"));
    let common = [
        (CONTENT_TYPE, asset.content_type),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (VARY, "accept-encoding"),
    ];
    if takes_gzip {
        return (common, [(CONTENT_ENCODING, "gzip")], &*asset.gzip).into_response();
    }
    (common, &*asset.bytes).into_response()
}
