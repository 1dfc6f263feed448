//! Desired content of a Secret -> content that all replicas agree on (IO).

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::kubernetes::{ABSENT, api_error};

/// Content of a Secret.
pub type Data = BTreeMap<String, Vec<u8>>;

/// Maximum number of attempts to agree with other replicas.
const ATTEMPTS: usize = 10;

/// Why the replicas agreed on no content.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused the request or did not answer.
    #[error("Secret {name:?}: {message}")]
    Api {
        /// Name of the Secret.
        name: String,
        /// Description of the error. The error itself is not kept, because it may contain the answer.
        message: String,
    },
    /// The content could not be created.
    #[error("Secret {name:?}: its content cannot be made: {reason}")]
    Make {
        /// Name of the Secret.
        name: String,
        /// Reason of the failure.
        reason: String,
    },
    /// In every attempt, another writer was faster.
    #[error("Secret {0:?}: other writers keep changing it")]
    Contended(String),
}

/// The Secret's name and all of its fields except the content.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Name of the Secret.
    pub name: String,
    /// Type of the Secret, `Opaque` or `kubernetes.io/tls`.
    pub type_: &'static str,
    /// Labels of the Secret.
    pub labels: BTreeMap<String, String>,
    /// Field manager of the write.
    pub manager: &'static str,
}

/// Reads the Secret and returns the content after `make` has checked it.
/// `make` gets the stored content, or `None` when the Secret is absent.
/// It returns `None` to keep the stored content, or the content to store instead.
/// Replicas that do this concurrently agree on one content: creation and replacement are conditional, and the loser reads again.
pub async fn agree<E: std::fmt::Display>(
    secrets: &Api<Secret>,
    spec: &Spec,
    make: impl Fn(Option<&Data>) -> Result<Option<Data>, E>,
) -> Result<Data, Error> {
    let api = |error| Error::Api {
        name: spec.name.clone(),
        message: api_error::message(&error),
    };
    for _ in 0..ATTEMPTS {
        let stored = secrets.get_opt(&spec.name).await.map_err(api)?;
        let (version, data) = match stored {
            Some(secret) => (secret.metadata.resource_version, Some(content(secret.data))),
            None => (None, None),
        };
        let wanted = make(data.as_ref()).map_err(|error| Error::Make {
            name: spec.name.clone(),
            reason: error.to_string(),
        })?;
        let Some(wanted) = wanted else {
            return Ok(data.unwrap_or_default());
        };
        let written = match version {
            None => create(secrets, spec, &wanted).await,
            Some(version) => replace(secrets, spec, &wanted, &version).await,
        };
        match written {
            Ok(()) => return Ok(wanted),
            // Another writer created, changed or deleted the Secret meanwhile. Check it again.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409 | 422) => {}
            Err(error) => return Err(api(error)),
        }
    }
    Err(Error::Contended(spec.name.clone()))
}

/// A server-side apply that must create the Secret. A `POST` names no object, so that no role could limit it to certain Secrets.
async fn create(secrets: &Api<Secret>, spec: &Spec, wanted: &Data) -> Result<(), kube::Error> {
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(spec.name.clone()),
            labels: Some(spec.labels.clone()),
            resource_version: Some(ABSENT.to_owned()),
            ..ObjectMeta::default()
        },
        type_: Some(spec.type_.to_owned()),
        data: Some(
            wanted
                .iter()
                .map(|(key, value)| (key.clone(), ByteString(value.clone())))
                .collect(),
        ),
        ..Secret::default()
    };
    let params = PatchParams::apply(spec.manager);
    secrets
        .patch(&spec.name, &params, &Patch::Apply(secret))
        .await
        .map(drop)
}

/// A JSON patch whose first step tests the version, so that it fails after a change by another writer.
async fn replace(
    secrets: &Api<Secret>,
    spec: &Spec,
    wanted: &Data,
    version: &str,
) -> Result<(), kube::Error> {
    let data: BTreeMap<_, _> = wanted
        .iter()
        .map(|(key, value)| (key.clone(), ByteString(value.clone())))
        .collect();
    let patch = json!([
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "add", "path": "/data", "value": data},
    ]);
    let patch: json_patch::Patch = serde_json::from_value(patch).map_err(kube::Error::SerdeError)?;
    let params = PatchParams {
        field_manager: Some(spec.manager.to_owned()),
        ..PatchParams::default()
    };
    secrets
        .patch(&spec.name, &params, &Patch::<Secret>::Json(patch))
        .await
        .map(drop)
}

fn content(data: Option<BTreeMap<String, ByteString>>) -> Data {
    data.unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, value.0))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::Method;
    use testkit::api_server::{ApiServer, Call, Fault};

    use super::*;

    const NAME: &str = "r-keys";

    fn spec() -> Spec {
        Spec {
            name: NAME.to_owned(),
            type_: "Opaque",
            labels: [("app".to_owned(), "r".to_owned())].into(),
            manager: "tester",
        }
    }

    fn data(value: &str) -> Data {
        [("key".to_owned(), value.as_bytes().to_vec())].into()
    }

    fn start() -> (ApiServer, Api<Secret>) {
        let (server, client) = ApiServer::start();
        (server, Api::namespaced(client, "sys"))
    }

    fn stored(server: &ApiServer) -> Secret {
        server.get(Some("sys"), NAME).unwrap()
    }

    fn fault(method: Method, code: u16, times: usize) -> Fault {
        Fault {
            method,
            path_part: "secrets",
            code,
            reason: "Refused",
            message: "not now".to_owned(),
            times,
        }
    }

    /// Accepts any stored content. Stores `value` if there is none.
    async fn first_wins(secrets: &Api<Secret>, value: &str) -> Result<Data, Error> {
        let make = |stored: Option<&Data>| Ok::<_, Infallible>(stored.is_none().then(|| data(value)));
        agree(secrets, &spec(), make).await
    }

    #[tokio::test]
    async fn an_absent_secret_is_made_and_then_kept() {
        let (server, secrets) = start();
        assert_eq!(first_wins(&secrets, "one").await.unwrap(), data("one"));
        let secret = stored(&server);
        assert_eq!(secret.type_.as_deref(), Some("Opaque"));
        assert_eq!(secret.metadata.labels, Some(spec().labels));
        server.take_calls();
        assert_eq!(first_wins(&secrets, "two").await.unwrap(), data("one"));
        assert!(!server.take_calls().iter().any(Call::is_write));
    }

    #[tokio::test]
    async fn invalid_content_is_replaced() {
        let (server, secrets) = start();
        first_wins(&secrets, "old").await.unwrap();
        let renew =
            |stored: Option<&Data>| Ok::<_, Infallible>((stored == Some(&data("old"))).then(|| data("new")));
        assert_eq!(agree(&secrets, &spec(), renew).await.unwrap(), data("new"));
        assert_eq!(content(stored(&server).data), data("new"));
    }

    #[tokio::test]
    async fn replicas_that_start_at_once_agree() {
        let (server, secrets) = start();
        let (a, b, c) = tokio::join!(
            first_wins(&secrets, "a"),
            first_wins(&secrets, "b"),
            first_wins(&secrets, "c")
        );
        let agreed = content(stored(&server).data);
        for outcome in [a, b, c] {
            assert_eq!(outcome.unwrap(), agreed);
        }
    }

    #[tokio::test]
    async fn a_replica_that_loses_the_replace_reads_again() {
        let (server, secrets) = start();
        first_wins(&secrets, "old").await.unwrap();
        let renew = |stored: Option<&Data>| {
            // Another replica replaces the content once, between our read and our write.
            if stored == Some(&data("old")) {
                server.edit::<Secret>(Some("sys"), NAME, |secret| {
                    secret["data"]["key"] = json!(ByteString(b"theirs".to_vec()));
                });
                return Ok::<_, Infallible>(Some(data("ours")));
            }
            Ok(None)
        };
        assert_eq!(agree(&secrets, &spec(), renew).await.unwrap(), data("theirs"));
        assert_eq!(content(stored(&server).data), data("theirs"));
    }

    #[tokio::test]
    async fn a_replica_that_always_loses_the_replace_gives_up() {
        let (server, secrets) = start();
        server.fail(fault(Method::PATCH, 409, ATTEMPTS));
        let error = first_wins(&secrets, "one").await.unwrap_err();
        assert!(
            matches!(&error, Error::Contended(name) if name == NAME),
            "{error}"
        );
    }

    #[tokio::test]
    async fn failures_name_the_secret_and_not_its_content() {
        let (server, secrets) = start();
        server.fail(fault(Method::PATCH, 403, 1));
        let refused = first_wins(&secrets, "hush").await.unwrap_err();
        assert!(matches!(refused, Error::Api { .. }), "{refused}");
        let unmade = agree(&secrets, &spec(), |_| Err::<Option<Data>, _>("no randomness"))
            .await
            .unwrap_err();
        assert!(matches!(unmade, Error::Make { .. }), "{unmade}");
        for text in [refused.to_string(), unmade.to_string()] {
            assert!(text.contains(NAME) && !text.contains("hush"), "{text}");
        }
    }
}
