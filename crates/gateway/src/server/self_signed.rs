//! Hosts -> the certificate that the proxy serves to browsers, signed by this installation (IO).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kit::pki::{Pair, Purpose};
use kube::Api;

use super::pairs::{CERTIFICATE, Error, secret_spec, shared_authority, shared_leaf, usable};

/// The Secret of the certificate: `<release>-proxy-self-signed`.
const LEAF: &str = "proxy-self-signed";

/// The certificate of the proxy, and its authority.
#[derive(Clone)]
pub(super) struct SelfSigned {
    pub(super) authority: Pair,
    pub(super) leaf: Pair,
}

/// Shares the certificate with the other replicas. `hosts` may begin with `*.`. Other hosts give a new certificate, and other domains a new
/// authority: who trusts it trusts it for these domains alone. `own`: the authority of a replica that runs. It is put back in place of one
/// for other domains, which a replica with other settings stored: browsers and the gateway itself trust it. One that was deleted does
/// not come back.
pub(super) async fn agree(
    secrets: &Api<Secret>,
    release: &str,
    hosts: &[String],
    own: Option<&Pair>,
    now: Timestamp,
) -> Result<SelfSigned, Error> {
    let domains = domains(hosts);
    let make = |stored: Option<Pair>| match own {
        Some(own) if stored.is_some() && usable(own, now) => Ok(own.clone()),
        _ => kit::pki::authority_of(&format!("{release} self-signed"), &domains, now),
    };
    let fits = |stored: &Pair| kit::pki::is_authority_of(&stored.certificate, &domains);
    // The authority is apart from the certificate, so that the proxy never holds its key.
    let spec = secret_spec(release, "proxy-ca", "Opaque");
    let authority = shared_authority(secrets, spec, fits, make, now).await?;
    let spec = secret_spec(release, LEAF, "kubernetes.io/tls");
    let leaf = shared_leaf(secrets, spec, &authority, (hosts, Purpose::Server), now).await?;
    Ok(SelfSigned { authority, leaf })
}

/// Whether a replica with other settings stored the certificate: it is for other hosts.
pub(super) async fn is_for_others(
    secrets: &Api<Secret>,
    release: &str,
    hosts: &[String],
) -> Result<bool, kube::Error> {
    let stored = secrets.get_opt(&format!("{release}-{LEAF}")).await?;
    let data = stored.and_then(|secret| secret.data).unwrap_or_default();
    let certificate = data.get(CERTIFICATE).and_then(|pem| str::from_utf8(&pem.0).ok());
    Ok(certificate.is_some_and(|pem| kit::pki::is_for_others(pem, hosts)))
}

/// The domains of hosts, each once and without those below another one.
fn domains(hosts: &[String]) -> Vec<String> {
    let names = || hosts.iter().map(|host| host.trim_start_matches("*."));
    let is_below =
        |name: &str| names().any(|domain| name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')));
    let mut domains: Vec<String> = names()
        .filter(|name| !is_below(name))
        .map(str::to_owned)
        .collect();
    domains.sort_unstable();
    domains.dedup();
    domains
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use testkit::api_server::{ApiServer, Call};

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn start() -> (ApiServer, Api<Secret>) {
        let (server, client) = ApiServer::start();
        (server, Api::namespaced(client, "system"))
    }

    fn stored(server: &ApiServer, name: &str, key: &str) -> String {
        let secret: Secret = server.get(Some("system"), name).unwrap();
        String::from_utf8(secret.data.unwrap()[key].0.clone()).unwrap()
    }

    #[test]
    fn an_authority_is_for_domains_without_those_below_another() {
        for (hosts, expected) in [
            (&["ws.example", "*.ws.example"][..], &["ws.example"][..]),
            (
                &["ws.example", "auth.ws.example", "id.example"],
                &["id.example", "ws.example"],
            ),
            (&["a.example", "ba.example"], &["a.example", "ba.example"]),
        ] {
            assert_eq!(domains(&names(hosts)), names(expected), "{hosts:?}");
        }
    }

    #[tokio::test]
    async fn replicas_share_one_certificate_for_all_hosts_and_the_proxy_gets_no_key_of_the_authority() {
        let (server, secrets) = start();
        let (hosts, now) = (
            names(&["ws.example", "*.ws.example", "id.example"]),
            Timestamp::now(),
        );
        let replicas = (0..3).map(|_| agree(&secrets, "demo", &hosts, None, now));
        let made = futures::future::try_join_all(replicas).await.unwrap();
        let certificate = stored(&server, "demo-proxy-self-signed", "tls.crt");
        let authority = stored(&server, "demo-proxy-ca", "tls.crt");
        assert!(made.iter().all(|made| made.leaf.certificate == certificate));
        assert!(kit::pki::is_for(&certificate, &authority, &hosts));
        assert_eq!(stored(&server, "demo-proxy-self-signed", "ca.crt"), authority);
        let object: Secret = server.get(Some("system"), "demo-proxy-self-signed").unwrap();
        assert_eq!(object.type_.as_deref(), Some("kubernetes.io/tls"));
        assert_eq!(object.data.unwrap().len(), 3);
        let key = stored(&server, "demo-proxy-self-signed", "tls.key");
        assert_ne!(key, stored(&server, "demo-proxy-ca", "tls.key"));
    }

    #[tokio::test]
    async fn a_certificate_is_renewed_in_its_last_third_by_the_same_authority() {
        let (server, secrets) = start();
        let (hosts, now) = (names(&["ws.example", "*.ws.example"]), Timestamp::now());
        let first = agree(&secrets, "demo", &hosts, None, now).await.unwrap();
        server.take_calls();
        let early = now + kit::pki::LEAF_VALIDITY / 3 * 2 - SignedDuration::from_hours(1);
        let same = agree(&secrets, "demo", &hosts, Some(&first.authority), early)
            .await
            .unwrap();
        assert!(same.leaf == first.leaf && !server.take_calls().iter().any(Call::is_write));
        let late = now + kit::pki::LEAF_VALIDITY / 3 * 2 + SignedDuration::from_hours(1);
        let renewed = agree(&secrets, "demo", &hosts, Some(&first.authority), late)
            .await
            .unwrap();
        assert_ne!(renewed.leaf, first.leaf);
        assert_eq!(renewed.authority, first.authority);
        assert_eq!(
            stored(&server, "demo-proxy-self-signed", "tls.crt"),
            renewed.leaf.certificate
        );
    }

    #[tokio::test]
    async fn a_running_replica_puts_its_own_authority_back_and_makes_no_further_one() {
        let (server, secrets) = start();
        let now = Timestamp::now();
        let (hosts, others) = (names(&["ws.example"]), names(&["other.example"]));
        let first = agree(&secrets, "demo", &hosts, None, now).await.unwrap();
        agree(&secrets, "demo", &others, None, now).await.unwrap();
        let own = Some(&first.authority);
        let back = agree(&secrets, "demo", &hosts, own, now).await.unwrap();
        assert_eq!(back.authority, first.authority);
        let certificate = stored(&server, "demo-proxy-self-signed", "tls.crt");
        assert!(kit::pki::is_for(
            &certificate,
            &first.authority.certificate,
            &hosts
        ));
    }

    #[tokio::test]
    async fn an_authority_that_was_deleted_does_not_come_back() {
        let (server, secrets) = start();
        let (hosts, now) = (names(&["ws.example"]), Timestamp::now());
        let first = agree(&secrets, "demo", &hosts, None, now).await.unwrap();
        server.remove::<Secret>(Some("system"), "demo-proxy-ca");
        let next = agree(&secrets, "demo", &hosts, Some(&first.authority), now)
            .await
            .unwrap();
        assert_ne!(next.authority, first.authority);
        assert_eq!(
            stored(&server, "demo-proxy-self-signed", "ca.crt"),
            next.authority.certificate
        );
    }

    #[tokio::test]
    async fn other_hosts_give_a_new_certificate_and_other_domains_a_new_authority() {
        let (_server, secrets) = start();
        let now = Timestamp::now();
        let subdomain = names(&["ws.example", "*.ws.example"]);
        let first = agree(&secrets, "demo", &subdomain, None, now).await.unwrap();
        let path = names(&["ws.example", "auth.ws.example"]);
        let second = agree(&secrets, "demo", &path, None, now).await.unwrap();
        assert_eq!(second.authority, first.authority);
        assert!(kit::pki::is_for(
            &second.leaf.certificate,
            &second.authority.certificate,
            &path
        ));
        let moved = names(&["other.example", "*.other.example"]);
        let third = agree(&secrets, "demo", &moved, None, now).await.unwrap();
        assert_ne!(third.authority, first.authority);
        assert!(kit::pki::is_for(
            &third.leaf.certificate,
            &third.authority.certificate,
            &moved
        ));
    }
}
