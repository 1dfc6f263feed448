//! Address and form of a request -> their values, or a page that says what is wrong (IO).

use std::collections::HashSet;
use std::slice::from_ref;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::app::{App, Context};
use crate::limits::MAX_FORM;

/// Maximum size of a parameter, in bytes.
const MAX_PARAMETER: usize = 256;
/// Most bytes of what was sent that a message repeats.
const MAX_QUOTED: usize = 64;

/// Names and values in the order in which they were sent.
pub(super) type Pairs = Vec<(String, String)>;

/// Parts of the path.
pub(crate) struct Path<T>(pub(super) T);

/// Parameters of the address. Each field of `T` has a default.
pub(crate) struct Query<T>(pub(super) T);

/// A form whose fields are known. Each field of `T` has a default.
pub(crate) struct TypedForm<T>(pub(super) T);

/// A form whose fields the page knows.
pub(crate) struct Fields(pub(super) Pairs);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<App>> for Path<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        if let Ok(path) = axum::extract::Path::<T>::from_request_parts(parts, app).await {
            return Ok(Self(path.0));
        }
        let Ok(context) = Context::from_request_parts(parts, app).await;
        let why = "A name in the address must be text: an escape such as `%20` is broken.";
        Err(context.bad_request(why, "Correct the address, or start from the list.", "/"))
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<App>> for Query<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let pairs = pairs(parts.uri.query().unwrap_or_default());
        match too_long(&pairs).map_or_else(|| parse("parameter", &pairs), Err) {
            Ok(values) => Ok(Self(values)),
            Err(why) => {
                let Ok(context) = Context::from_request_parts(parts, app).await;
                Err(context.bad_request(&why, "Open the page again without it.", context.page_path()))
            }
        }
    }
}

impl<T: DeserializeOwned + Send> FromRequest<Arc<App>> for TypedForm<T> {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        let (context, fields) = read(request, app).await?;
        parse("field", &fields)
            .map(Self)
            .map_err(|why| context.wrong_form(&why))
    }
}

impl FromRequest<Arc<App>> for Fields {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        Ok(Self(read(request, app).await?.1))
    }
}

async fn read(request: Request, app: &Arc<App>) -> Result<(Context, Pairs), Response> {
    let (mut parts, body) = request.into_parts();
    let Ok(context) = Context::from_request_parts(&mut parts, app).await;
    match axum::Form::from_request(Request::from_parts(parts, body), app).await {
        Ok(axum::Form(fields)) => Ok((context, fields)),
        Err(rejection) => Err(context.unreadable(rejection.status())),
    }
}

/// Names and values of a query.
pub(super) fn pairs(query: &str) -> Pairs {
    serde_urlencoded::from_str(query).unwrap_or_default()
}

/// What is wrong with parameters that are too long.
pub(super) fn too_long(pairs: &[(String, String)]) -> Option<String> {
    let (name, value) = pairs.iter().find(|(_, value)| value.len() > MAX_PARAMETER)?;
    let (name, bytes) = (quote(name), value.len());
    Some(format!(
        "The parameter {name} has {bytes} bytes: it must have at most {MAX_PARAMETER}."
    ))
}

/// What was sent, as a message repeats it: in quotes, and not longer than a name.
pub(super) fn quote(text: &str) -> String {
    let begin = &text[..text.floor_char_boundary(MAX_QUOTED)];
    let rest = if begin.len() < text.len() { "…" } else { "" };
    format!("{begin:?}{rest}")
}

/// The values, if each name is known and comes once.
fn parse<T: DeserializeOwned + Send>(what: &str, pairs: &[(String, String)]) -> Result<T, String> {
    let read = |pairs: &[(String, String)]| {
        let query = serde_urlencoded::to_string(pairs).ok()?;
        serde_urlencoded::from_str::<T>(&query).ok()
    };
    if let Some(name) = repetition(pairs.iter().map(|(name, _)| &**name)) {
        return Err(sent_twice(what, name));
    }
    read(pairs).ok_or_else(
        || match pairs.iter().find(|pair| read(from_ref(*pair)).is_none()) {
            Some((name, value)) => format!(
                "This page has no {what} {} with the value {}.",
                quote(name),
                quote(value)
            ),
            None => format!("This page does not take these {what}s together."),
        },
    )
}

/// A name that comes more than once.
pub(super) fn repetition<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut before = HashSet::new();
    names.into_iter().find(|name| !before.insert(*name))
}

pub(super) fn sent_twice(what: &str, name: &str) -> String {
    format!("The {what} {} was sent more than once.", quote(name))
}

impl Context {
    /// Path of the page that the request belongs to, which leads back.
    pub(super) fn page_path(&self) -> &str {
        let path = self.address.split('?').next().unwrap_or_default();
        match path.strip_suffix("/check").unwrap_or(path) {
            // Without parameters this page has nothing to ask.
            "/stop" => "/",
            path => path,
        }
    }

    /// The answer to a form with fields that it does not have, or that it has twice.
    pub(super) fn wrong_form(&self, why: &str) -> Response {
        self.bad_request(why, "Open the form again.", self.page_path())
    }

    /// The answer to a form that cannot be read.
    fn unreadable(&self, status: StatusCode) -> Response {
        let too_large = format!("A form may have {} KiB. Nothing was changed.", MAX_FORM / 1024);
        let unreadable = ("This form cannot be read", "Bad request");
        let (title, text) = match status {
            StatusCode::PAYLOAD_TOO_LARGE => (
                ("This form is too large", "Too large"),
                (
                    too_large.as_str(),
                    "Go back and write less, or use `kubectl apply`.",
                ),
            ),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => (
                unreadable,
                (
                    "Its content type is not `application/x-www-form-urlencoded`. Nothing was changed.",
                    "Send it from the page of the portal.",
                ),
            ),
            _ => (
                unreadable,
                (
                    "It did not arrive whole. Nothing was changed.",
                    "Go back and send it again.",
                ),
            ),
        };
        self.refusal(status, title, text, self.page_path())
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Eq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Address {
        name: String,
        page: usize,
    }

    #[test]
    fn the_parameter_that_is_wrong_is_named() {
        let read = |query: &str| parse::<Address>("parameter", &pairs(query));
        let expected = Address {
            name: "a b".to_owned(),
            page: 2,
        };
        assert_eq!(read("name=a+b&page=2").unwrap(), expected);
        for (query, part) in [
            ("name=a&page=2&name=b", "\"name\" was sent more than once"),
            ("name=a&nmae=b", "no parameter \"nmae\" with the value \"b\""),
            ("name=a&page=two", "no parameter \"page\" with the value \"two\""),
        ] {
            let why = read(query).unwrap_err();
            assert!(why.contains(part), "{query}: {why}");
        }
    }

    #[test]
    fn what_was_sent_is_repeated_in_part() {
        assert_eq!(quote("a\"b"), "\"a\\\"b\"");
        let name = "ä".repeat(100);
        let why = parse::<Address>("parameter", &[(name.clone(), name.clone())]).unwrap_err();
        let part = format!("\"{}\"…", "ä".repeat(MAX_QUOTED / 2));
        assert_eq!(
            why,
            format!("This page has no parameter {part} with the value {part}.")
        );
        assert!(sent_twice("field", &name).contains(&part));
    }
}
