//! Secret -> the certificate and key in it that all replicas share (IO).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kit::pki::{Pair, Purpose};
use kit::shared_secret::{Data, Spec, agree};
use kube::Api;

/// Keys of the Secrets, as in Secrets of type `kubernetes.io/tls`.
pub(super) const CERTIFICATE: &str = "tls.crt";
pub(super) const KEY: &str = "tls.key";
pub(super) const AUTHORITY: &str = "ca.crt";

/// Why the listeners have no certificates.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A Secret could not be read or written.
    #[error(transparent)]
    Secret(#[from] kit::shared_secret::Error),
    /// Another replica stored unreadable content.
    #[error("Secret {0:?}: its certificate or key cannot be read")]
    Unreadable(String),
    /// The server certificate could not be made.
    #[error("server certificate: {0}")]
    Leaf(#[from] kit::pki::Error),
    /// The TLS settings could not be made.
    #[error("TLS settings: {0}")]
    Tls(#[from] kit::tls::Error),
}

/// The Secret `<release>-<suffix>`, apart from its content.
pub(crate) fn secret_spec(release: &str, suffix: &str, type_: &'static str) -> Spec {
    let labels = [
        (api::names::APP_NAME_LABEL, api::names::PRODUCT),
        (api::names::APP_COMPONENT_LABEL, "gateway"),
        (api::names::APP_PART_OF_LABEL, api::names::PRODUCT),
        (api::names::APP_MANAGED_BY_LABEL, api::names::GATEWAY),
    ];
    Spec {
        name: format!("{release}-{suffix}"),
        type_,
        labels: labels
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        manager: api::names::GATEWAY,
    }
}

/// The authority in this Secret that all replicas share. It is made anew if it can no longer sign, or does not fit. `make` gets the
/// stored one.
pub(super) async fn shared_authority(
    secrets: &Api<Secret>,
    spec: Spec,
    fits: impl Fn(&Pair) -> bool,
    make: impl Fn(Option<Pair>) -> Result<Pair, kit::pki::Error>,
    now: Timestamp,
) -> Result<Pair, Error> {
    let stored = agree(secrets, &spec, |stored| {
        let stored = stored.and_then(pair);
        let is_right = |stored: &Pair| fits(stored) && usable(stored, now);
        if stored.as_ref().is_some_and(is_right) {
            return Ok(None);
        }
        Ok::<_, kit::pki::Error>(Some(data(&make(stored)?, None)))
    })
    .await?;
    pair(&stored).ok_or(Error::Unreadable(spec.name))
}

/// The certificate in this Secret that all replicas share. It is made anew near its end, and if it has other names or another authority.
pub(super) async fn shared_leaf(
    secrets: &Api<Secret>,
    spec: Spec,
    authority: &Pair,
    (names, purpose): (&[String], Purpose),
    now: Timestamp,
) -> Result<Pair, Error> {
    let stored = agree(secrets, &spec, |stored| {
        let is_right = stored.is_some_and(|stored| {
            stored.get(AUTHORITY).map(Vec::as_slice) == Some(authority.certificate.as_bytes())
                && pair(stored).is_some_and(|stored| {
                    kit::pki::is_for(&stored.certificate, &authority.certificate, names)
                        && !kit::pki::needs_renewal(&stored.certificate, now)
                })
        });
        if is_right {
            return Ok(None);
        }
        let made = kit::pki::leaf(authority, &spec.name, names, purpose, now)?;
        Ok::<_, kit::pki::Error>(Some(data(&made, Some(&authority.certificate))))
    })
    .await?;
    pair(&stored).ok_or(Error::Unreadable(spec.name))
}

/// Whether the authority can still sign: its key matches, and its expiry is not near.
pub(super) fn usable(authority: &Pair, now: Timestamp) -> bool {
    kit::pki::leaf(authority, "probe", &[], Purpose::Client, now).is_ok()
        && !kit::pki::needs_renewal(&authority.certificate, now)
}

pub(super) fn pair(data: &Data) -> Option<Pair> {
    let text = |name: &str| String::from_utf8(data.get(name)?.clone()).ok();
    Some(Pair {
        certificate: text(CERTIFICATE)?,
        key: text(KEY)?,
    })
}

fn data(pair: &Pair, authority: Option<&str>) -> Data {
    let mut data = Data::from([
        (CERTIFICATE.to_owned(), pair.certificate.clone().into_bytes()),
        (KEY.to_owned(), pair.key.clone().into_bytes()),
    ]);
    if let Some(authority) = authority {
        data.insert(AUTHORITY.to_owned(), authority.as_bytes().to_vec());
    }
    data
}
