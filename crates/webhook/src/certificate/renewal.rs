//! Stored certificates and time -> certificates to store instead (pure except for randomness).

use std::collections::BTreeMap;

use jiff::Timestamp;
use kit::pki::{self, Pair, Purpose};
use kit::shared_secret::Data;
use kit::tls::Certificate;

const AUTHORITY: &str = "ca.crt";
const AUTHORITY_KEY: &str = "ca.key";
const PREVIOUS_AUTHORITY: &str = "previous-ca.crt";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// Content to store in place of `stored`; `None` if `stored` needs no change.
pub(super) fn renew(
    stored: Option<&Data>,
    dns_names: &[String],
    now: Timestamp,
) -> Result<Option<Data>, pki::Error> {
    let nothing = Data::new();
    let stored = stored.unwrap_or(&nothing);
    let authority = Pair {
        certificate: text(stored, AUTHORITY),
        key: text(stored, AUTHORITY_KEY),
    };
    let usable = |certificate: &str, authority: &str| {
        !pki::needs_renewal(certificate, now) && pki::is_for(certificate, authority, dns_names)
    };
    if !pki::needs_renewal(&authority.certificate, now) {
        let leaf = Pair {
            certificate: text(stored, CERTIFICATE),
            key: text(stored, KEY),
        };
        if usable(&leaf.certificate, &authority.certificate) && Certificate::default().set(&leaf).is_ok() {
            return Ok(None);
        }
        let leaf = pki::leaf(&authority, api::names::WEBHOOK, dns_names, Purpose::Server, now);
        // If the certificate does not match its authority, another key signed it.
        if let Ok(leaf) = leaf
            && usable(&leaf.certificate, &authority.certificate)
        {
            return Ok(Some(content(
                &authority,
                &text(stored, PREVIOUS_AUTHORITY),
                &leaf,
            )));
        }
    }
    let next = pki::authority("jupyter-k8s webhook", now)?;
    let leaf = pki::leaf(&next, api::names::WEBHOOK, dns_names, Purpose::Server, now)?;
    Ok(Some(content(&next, &authority.certificate, &leaf)))
}

fn content(authority: &Pair, previous: &str, leaf: &Pair) -> Data {
    let mut data: BTreeMap<&str, &str> = BTreeMap::from([
        (AUTHORITY, authority.certificate.as_str()),
        (AUTHORITY_KEY, authority.key.as_str()),
        (CERTIFICATE, leaf.certificate.as_str()),
        (KEY, leaf.key.as_str()),
    ]);
    // Unreadable text always needs renewal: the API server would refuse a bundle that contains it.
    if !pki::needs_renewal(previous, Timestamp::UNIX_EPOCH) {
        data.insert(PREVIOUS_AUTHORITY, previous);
    }
    data.into_iter()
        .map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()))
        .collect()
}

/// The authorities that the API server trusts: the current one and the previous one.
pub(super) fn bundle(data: &Data) -> String {
    text(data, AUTHORITY) + &text(data, PREVIOUS_AUTHORITY)
}

fn text(data: &Data, key: &str) -> String {
    data.get(key)
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .unwrap_or_default()
}

/// The current authority.
pub(super) fn authority(data: &Data) -> String {
    text(data, AUTHORITY)
}

/// The certificate to serve, with its key.
pub(super) fn serving(data: &Data) -> Pair {
    Pair {
        certificate: text(data, CERTIFICATE),
        key: text(data, KEY),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    #[test]
    fn a_new_authority_is_trusted_beside_the_old_one() {
        let names = ["a.svc".to_owned()];
        let first = renew(None, &names, now()).unwrap().unwrap();
        let years_later = now() + SignedDuration::from_hours(24 * 365 * 9);
        let second = renew(Some(&first), &names, years_later).unwrap().unwrap();
        assert_ne!(text(&second, AUTHORITY), text(&first, AUTHORITY));
        assert_eq!(
            bundle(&second),
            text(&second, AUTHORITY) + &text(&first, AUTHORITY)
        );
        assert_eq!(renew(Some(&second), &names, years_later).unwrap(), None);
    }

    #[test]
    fn other_names_and_damaged_content_are_replaced() {
        let names = ["a.svc".to_owned()];
        let good = renew(None, &names, now()).unwrap().unwrap();
        assert!(
            renew(Some(&good), &["b.svc".to_owned()], now())
                .unwrap()
                .is_some()
        );
        for key in [AUTHORITY, AUTHORITY_KEY, CERTIFICATE, KEY] {
            let mut damaged = good.clone();
            damaged.insert(key.to_owned(), b"nonsense".to_vec());
            let Some(repaired) = renew(Some(&damaged), &names, now()).unwrap() else {
                // The authority's key is only needed for the next certificate.
                assert_eq!(key, AUTHORITY_KEY);
                continue;
            };
            assert_eq!(renew(Some(&repaired), &names, now()).unwrap(), None, "{key}");
            assert!(!bundle(&repaired).contains("nonsense"));
        }
    }

    #[test]
    fn a_key_of_another_authority_leads_to_a_new_one() {
        let names = ["a.svc".to_owned()];
        let (mut ours, theirs) = (
            renew(None, &names, now()).unwrap().unwrap(),
            renew(None, &names, now()).unwrap().unwrap(),
        );
        ours.insert(AUTHORITY_KEY.to_owned(), theirs[AUTHORITY_KEY].clone());
        let later = now() + SignedDuration::from_hours(24 * 80);
        let repaired = renew(Some(&ours), &names, later).unwrap().unwrap();
        assert_eq!(renew(Some(&repaired), &names, later).unwrap(), None);
    }
}
