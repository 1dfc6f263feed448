//! A valid answer of a provider -> one that repeats the request, or is broken (pure).

use http::{Method, Request, Response};
use serde_json::{Value, json};

/// What a provider answers to a question for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProviderAnswer {
    Usual,
    /// All that it was asked, in the error's description.
    Repeats(u16),
    /// The same as the error itself.
    RepeatsAsError(u16),
    /// The same, and nothing else.
    Babbles(u16),
    /// Its right answer, without the end.
    Breaks,
    /// Its right answer with tokens where a number, a kind of token and a text are to be.
    Confuses,
    /// No keys, but what it was asked.
    BreaksKeys,
}

pub(super) const FAULTY: [ProviderAnswer; 9] = [
    ProviderAnswer::Repeats(400),
    ProviderAnswer::Repeats(401),
    ProviderAnswer::Repeats(500),
    ProviderAnswer::RepeatsAsError(400),
    ProviderAnswer::Babbles(400),
    ProviderAnswer::Babbles(200),
    ProviderAnswer::Breaks,
    ProviderAnswer::Confuses,
    ProviderAnswer::BreaksKeys,
];

/// What arrives of an answer for tokens, or of keys.
pub(super) fn altered(
    mood: ProviderAnswer,
    request: &Request<Vec<u8>>,
    answer: Response<Vec<u8>>,
    right: &Value,
) -> Response<Vec<u8>> {
    let is_for_keys = request.method() == Method::GET;
    let asked = format!(
        "{:?} {}",
        request.headers(),
        String::from_utf8_lossy(request.body())
    );
    let with = |status, body: Vec<u8>| {
        let answer = Response::builder()
            .status(status)
            .header("content-type", "application/json");
        answer.body(body).unwrap()
    };
    let as_json = |status, body: Value| with(status, body.to_string().into_bytes());
    match mood {
        ProviderAnswer::BreaksKeys if is_for_keys => with(200, format!("{{\"keys\": {asked:?}").into_bytes()),
        _ if is_for_keys => answer,
        ProviderAnswer::Usual | ProviderAnswer::BreaksKeys => answer,
        ProviderAnswer::Repeats(status) => as_json(
            status,
            json!({"error": "invalid_grant", "error_description": asked, "error_uri": asked}),
        ),
        ProviderAnswer::RepeatsAsError(status) => as_json(status, json!({"error": code_of(request)})),
        ProviderAnswer::Babbles(status) => with(status, asked.into_bytes()),
        ProviderAnswer::Breaks => {
            let body = answer.body();
            with(200, body[..body.len() - 1].to_vec())
        }
        ProviderAnswer::Confuses => {
            let mut wrong = right.clone();
            wrong["expires_in"] = right["access_token"].clone();
            wrong["token_type"] = right["id_token"].clone();
            wrong["scope"] = json!([right["refresh_token"]]);
            as_json(200, wrong)
        }
    }
}

/// The code or refresh token that was sent.
fn code_of(request: &Request<Vec<u8>>) -> String {
    let mut fields = form_urlencoded::parse(request.body());
    let found = fields.find(|(name, _)| matches!(&**name, "code" | "refresh_token"));
    found.map(|(_, value)| value.into_owned()).unwrap_or_default()
}
