//! Hosts -> the certificate that the proxy serves to browsers, signed by this installation (IO).

use std::convert::Infallible;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kit::pki::{Pair, Purpose};
use kit::shared_secret::{self, Spec};
use kube::Api;
use tracing::info;

use super::pairs::{Error, pair, secret_spec, shared_authority, shared_leaf, usable};

/// The certificate of the proxy, and its authority.
#[derive(Clone)]
pub(super) struct SelfSigned {
    pub(super) authority: Pair,
    pub(super) leaf: Pair,
    /// Whether the Secrets were for other hosts at the last look, and were left so.
    pub(super) gave_way: bool,
}

/// Shares the certificate with the other replicas, at the start of this one. `hosts` may begin with `*.`. Other hosts give a new certificate, and other domains
/// a new authority: who trusts it trusts it for these domains alone.
pub(super) async fn agree(
    secrets: &Api<Secret>,
    release: &str,
    hosts: &[String],
    now: Timestamp,
) -> Result<SelfSigned, Error> {
    agree_on(secrets, release, hosts, None, now).await
}

/// As [`agree`], for a replica that runs: renews what is near its end. A certificate for other hosts is of a replica with other settings,
/// which started later, or earlier and then again. The first look leaves it. If the next one finds it too, that replica should have ended
/// or prevailed, and this one's authority is put back: browsers and the gateway itself trust it.
pub(super) async fn look_after(
    secrets: &Api<Secret>,
    release: &str,
    hosts: &[String],
    before: &SelfSigned,
    now: Timestamp,
) -> Result<SelfSigned, Error> {
    let is_for_others = is_for_others(secrets, release, hosts).await?;
    if is_for_others && !before.gave_way {
        info!("the certificate for browsers is for other hosts; it is left to the replica that made it");
        return Ok(SelfSigned {
            gave_way: true,
            ..before.clone()
        });
    }
    let own = is_for_others.then_some(&before.authority);
    agree_on(secrets, release, hosts, own, now).await
}

/// `own`: the authority to be stored if the stored one does not fit.
async fn agree_on(
    secrets: &Api<Secret>,
    release: &str,
    hosts: &[String],
    own: Option<&Pair>,
    now: Timestamp,
) -> Result<SelfSigned, Error> {
    let domains = domains(hosts);
    let make = || match own {
        Some(own) if usable(own, now) => Ok(own.clone()),
        _ => kit::pki::authority_of(&format!("{release} self-signed"), &domains, now),
    };
    let fits = |stored: &Pair| kit::pki::is_authority_of(&stored.certificate, &domains);
    let authority = shared_authority(secrets, authority_spec(release), fits, make, now).await?;
    let leaf = (hosts, Purpose::Server);
    let leaf = shared_leaf(secrets, leaf_spec(release), &authority, leaf, now).await?;
    Ok(SelfSigned {
        authority,
        leaf,
        gave_way: false,
    })
}

/// Whether the stored authority or certificate is for other hosts. Absent and unreadable ones are for no host.
async fn is_for_others(secrets: &Api<Secret>, release: &str, hosts: &[String]) -> Result<bool, Error> {
    let stored = async |spec| {
        let keep = |_: Option<&_>| Ok::<_, Infallible>(None);
        let data = shared_secret::agree(secrets, &spec, keep).await?;
        Ok::<_, Error>(pair(&data).map(|pair| pair.certificate))
    };
    let authority = stored(authority_spec(release)).await?;
    let leaf = stored(leaf_spec(release)).await?;
    Ok(
        authority.is_some_and(|pem| kit::pki::is_authority_of_others(&pem, &domains(hosts)))
            || leaf.is_some_and(|pem| kit::pki::is_for_others(&pem, hosts)),
    )
}

/// The authority is apart from the certificate, so that the proxy never holds its key.
fn authority_spec(release: &str) -> Spec {
    secret_spec(release, "proxy-ca", "Opaque")
}

fn leaf_spec(release: &str) -> Spec {
    secret_spec(release, "proxy-self-signed", "kubernetes.io/tls")
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
        let replicas = (0..3).map(|_| agree(&secrets, "demo", &hosts, now));
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
        let first = agree(&secrets, "demo", &hosts, now).await.unwrap();
        server.take_calls();
        let early = now + kit::pki::LEAF_VALIDITY / 3 * 2 - SignedDuration::from_hours(1);
        let same = look_after(&secrets, "demo", &hosts, &first, early).await.unwrap();
        assert!(same.leaf == first.leaf && !server.take_calls().iter().any(Call::is_write));
        let late = now + kit::pki::LEAF_VALIDITY / 3 * 2 + SignedDuration::from_hours(1);
        let renewed = look_after(&secrets, "demo", &hosts, &first, late).await.unwrap();
        assert_ne!(renewed.leaf, first.leaf);
        assert_eq!(renewed.authority, first.authority);
        assert_eq!(
            stored(&server, "demo-proxy-self-signed", "tls.crt"),
            renewed.leaf.certificate
        );
    }

    #[tokio::test]
    async fn a_running_replica_leaves_the_certificate_of_one_that_started_later() {
        let now = Timestamp::now();
        let earlier = names(&["ws.example", "*.ws.example"]);
        for later in [
            names(&["other.example", "*.other.example"]),
            // By the same authority.
            names(&["ws.example", "auth.ws.example"]),
        ] {
            let (server, secrets) = start();
            let old = agree(&secrets, "demo", &earlier, now).await.unwrap();
            let new = agree(&secrets, "demo", &later, now).await.unwrap();
            server.take_calls();
            let old = look_after(&secrets, "demo", &earlier, &old, now).await.unwrap();
            let new_again = look_after(&secrets, "demo", &later, &new, now).await.unwrap();
            assert!(!server.take_calls().iter().any(Call::is_write), "{later:?}");
            assert!(old.gave_way && !new_again.gave_way, "{later:?}");
            assert!(new_again.authority == new.authority && new_again.leaf == new.leaf);
        }
    }

    #[tokio::test]
    async fn a_replica_puts_its_authority_back_when_the_one_with_other_hosts_should_have_ended() {
        let (server, secrets) = start();
        let now = Timestamp::now();
        let (hosts, earlier) = (names(&["ws.example"]), names(&["old.example"]));
        let first = agree(&secrets, "demo", &hosts, now).await.unwrap();
        // A replica with earlier settings starts once more before it ends.
        agree(&secrets, "demo", &earlier, now).await.unwrap();
        let left = look_after(&secrets, "demo", &hosts, &first, now).await.unwrap();
        assert!(left.gave_way);
        let back = look_after(&secrets, "demo", &hosts, &left, now).await.unwrap();
        assert!(back.authority == first.authority && !back.gave_way);
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
        let first = agree(&secrets, "demo", &hosts, now).await.unwrap();
        server.remove::<Secret>(Some("system"), "demo-proxy-ca");
        let next = look_after(&secrets, "demo", &hosts, &first, now).await.unwrap();
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
        let first = agree(&secrets, "demo", &subdomain, now).await.unwrap();
        let path = names(&["ws.example", "auth.ws.example"]);
        let second = agree(&secrets, "demo", &path, now).await.unwrap();
        assert_eq!(second.authority, first.authority);
        assert!(kit::pki::is_for(
            &second.leaf.certificate,
            &second.authority.certificate,
            &path
        ));
        let moved = names(&["other.example", "*.other.example"]);
        let third = agree(&secrets, "demo", &moved, now).await.unwrap();
        assert_ne!(third.authority, first.authority);
        assert!(kit::pki::is_for(
            &third.leaf.certificate,
            &third.authority.certificate,
            &moved
        ));
    }
}
