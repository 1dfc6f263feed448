//! Ambiguous paths, through the real proxy.

use e2e::{
    Environment,
    http::{HttpSession, raw},
};
use reqwest::StatusCode;

use super::Site;

/// Paths after `/workspaces/<namespace>/`, and the expected answer: a status, or any refusal. Alice's own is `ws10`,
/// bob's `bobs`; she sends her tickets along with everything.
const PATHS: [(&str, Option<StatusCode>); 22] = [
    // The controls.
    ("ws10/", Some(StatusCode::OK)),
    ("ws10/a%20b/C%23%2050%25.ipynb?x=%2F..%2Fy", Some(StatusCode::OK)),
    ("ws10/files/a%2Fb", Some(StatusCode::OK)),
    // The proxy resolves these, and requests a decision for the resolved path.
    ("ws10/../bobs/", None),
    ("ws10/./../bobs/x", None),
    ("ws10/x/../../bobs/", None),
    ("ws10/%2e%2e/bobs/", None),
    ("ws10/%2E%2e/bobs/x", None),
    // These stay as they are, and are refused.
    ("ws10/..%2fbobs/", Some(StatusCode::BAD_REQUEST)),
    ("ws10/..%2Fbobs/x", Some(StatusCode::BAD_REQUEST)),
    ("ws10%2f..%2fbobs/", Some(StatusCode::BAD_REQUEST)),
    ("ws10/%252e%252e/bobs/", Some(StatusCode::BAD_REQUEST)),
    ("ws10/..%5cbobs/", Some(StatusCode::BAD_REQUEST)),
    ("ws10/..;/bobs/", Some(StatusCode::BAD_REQUEST)),
    ("ws10;/bobs/", Some(StatusCode::BAD_REQUEST)),
    ("ws10%00/", Some(StatusCode::BAD_REQUEST)),
    ("ws10/a%00", Some(StatusCode::BAD_REQUEST)),
    // Other workspaces by name, and an unknown one.
    ("ws1/", None),
    ("ws100/", None),
    ("%62obs/", None),
    ("WS10/", None),
    ("ws10x/", None),
];

pub(super) async fn have_one_interpretation(site: &Site, alice: &HttpSession) -> anyhow::Result<()> {
    let url = site.url("ws10")?;
    alice.enter(&url, "alice").await?;
    let cookies = alice.cookies(&url)?;
    let host = &Environment::get()?.base_domain;
    let headers = [("Cookie", cookies.as_str()), ("Sec-Fetch-Site", "same-origin")];
    let mut wrong = Vec::new();
    for (path, expected) in PATHS {
        let target = format!("/workspaces/{}/{path}", site.scratch.namespace);
        let status = raw::get(host, &target, &headers).await?;
        let is_right = expected.map_or_else(|| status.is_client_error(), |expected| status == expected);
        if !is_right {
            wrong.push(format!("{path}: {status}"));
        }
    }
    anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
