//! Hosts of the installation -> whether they lead to the proxy's Service (IO by what is handed in).

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustls::pki_types::CertificateDer;

use super::report::Outcome;
use super::site::Site;
use crate::tokens::random::random;

/// Timeout of a look-up.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How names are resolved, and how certificates are fetched.
pub(super) struct Answers<L, C, F> {
    /// Host -> its addresses.
    pub(super) look_up: L,
    /// Address and host -> the certificate that is served there.
    pub(super) certificate: C,
    /// Another certificate and a host -> whether a load balancer in front may serve it.
    pub(super) may_be_in_front: F,
}

/// Addresses of a host, as pods see them.
pub(super) async fn look_up(host: String, port: u16) -> Result<Vec<SocketAddr>, String> {
    match tokio::time::timeout(TIMEOUT, tokio::net::lookup_host((host, port))).await {
        Ok(found) => found.map(Iterator::collect).map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
    }
}

/// Checks that the sign-in host and hosts of workspaces lead to a server with the certificate that the Service serves. `target`
/// names the Service.
pub(super) async fn check<L, C, F>(
    site: &Site,
    target: &str,
    served: &CertificateDer<'_>,
    answers: Answers<L, C, F>,
) -> Outcome
where
    L: AsyncFn(String) -> Result<Vec<SocketAddr>, String>,
    C: AsyncFn(SocketAddr, String) -> Result<CertificateDer<'static>, String>,
    F: Fn(&CertificateDer<'_>, &str) -> bool,
{
    let mut reached = Reached::default();
    let mut shown = vec![site.domain().auth_host(), site.workspace_host()];
    shown.extend(site.portal_host());
    let mut problems = Vec::new();
    for shown in &shown {
        let host = match any_label() {
            Ok(label) => shown.replacen('*', &label, 1),
            Err(error) => return Outcome::Fail(error),
        };
        if let Err(problem) = follow(shown, &host, served, &answers, &mut reached).await {
            problems.push(problem);
        }
    }
    if !problems.is_empty() {
        let cure = format!("let its DNS record lead to the address of {target}");
        let or = match list(&reached.other) {
            none if none.is_empty() => none,
            some => format!(
                ". Or, if {some} is the address of a front that ends TLS: set proxy.tls.selfSigned, with which any valid certificate of the \
                 front passes, or let front and proxy (proxy.tls) use the same Secret"
            ),
        };
        return Outcome::Fail(format!("{}: {cure}{or}", problems.join("; ")));
    }
    let silent = match list(&reached.silent) {
        none if none.is_empty() => none,
        some => format!("; from pods, {some} does not answer"),
    };
    let in_front = match list(&reached.in_front) {
        none if none.is_empty() => none,
        some => format!("; {some} serves a certificate of its own, as a load balancer in front does"),
    };
    Outcome::Ok(format!(
        "{} lead to {target} ({}){in_front}{silent}",
        shown.join(" and "),
        list(&reached.same)
    ))
}

/// Addresses of all hosts.
#[derive(Default)]
struct Reached {
    same: BTreeSet<IpAddr>,
    in_front: BTreeSet<IpAddr>,
    other: BTreeSet<IpAddr>,
    silent: BTreeSet<IpAddr>,
}

async fn follow<L, C, F>(
    shown: &str,
    host: &str,
    served: &CertificateDer<'_>,
    answers: &Answers<L, C, F>,
    reached: &mut Reached,
) -> Result<(), String>
where
    L: AsyncFn(String) -> Result<Vec<SocketAddr>, String>,
    C: AsyncFn(SocketAddr, String) -> Result<CertificateDer<'static>, String>,
    F: Fn(&CertificateDer<'_>, &str) -> bool,
{
    let asked = if shown == host {
        String::new()
    } else {
        format!(" (asked for {host})")
    };
    let addresses = match (answers.look_up)(host.to_owned()).await {
        Ok(addresses) if addresses.is_empty() => Err("no address".to_owned()),
        addresses => addresses,
    };
    let addresses =
        addresses.map_err(|error| format!("{shown}{asked} does not resolve in pods ({error})"))?;
    let (mut same, mut other, mut silent) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut why = String::new();
    for address in addresses {
        match (answers.certificate)(address, host.to_owned()).await {
            Ok(found) if found == *served => same.insert(address.ip()),
            Ok(found) if (answers.may_be_in_front)(&found, host) => {
                reached.in_front.insert(address.ip());
                same.insert(address.ip())
            }
            Ok(_) => other.insert(address.ip()),
            Err(error) => {
                why = error;
                silent.insert(address.ip())
            }
        };
    }
    if !other.is_empty() {
        let problem = format!(
            "{shown}{asked} leads to {}, where another certificate is served",
            list(&other)
        );
        reached.other.append(&mut other);
        return Err(problem);
    }
    if same.is_empty() {
        return Err(format!(
            "{shown}{asked} leads to {}, which does not answer ({why})",
            list(&silent)
        ));
    }
    reached.same.append(&mut same);
    reached.silent.append(&mut silent);
    Ok(())
}

/// A label that no workspace has.
fn any_label() -> Result<String, String> {
    let bytes = random::<4>().map_err(|error| error.to_string())?;
    Ok(format!("check-{:08x}", u32::from_be_bytes(bytes)))
}

fn list(addresses: &BTreeSet<IpAddr>) -> String {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(", ")
}

#[cfg(test)]
mod tests {
    use api::manager::RoutingMode;

    use super::*;
    use crate::check::site::example;

    fn certificate(content: &'static [u8]) -> CertificateDer<'static> {
        CertificateDer::from(content)
    }

    /// The outcome where each host has these addresses. 192.0.2.1 is the Service, 192.0.2.2 another server, the others are silent.
    async fn outcome(mode: RoutingMode, addresses: impl Fn(&str) -> Vec<&'static str>) -> Outcome {
        let answers = Answers {
            look_up: async |host: String| -> Result<Vec<SocketAddr>, String> {
                let found = addresses(&host);
                Ok(found.iter().map(|address| address.parse().unwrap()).collect())
            },
            certificate: async |address: SocketAddr, _| match address.to_string().as_str() {
                "192.0.2.1:8443" => Ok(certificate(b"ours")),
                "192.0.2.2:8443" => Ok(certificate(b"theirs")),
                "192.0.2.4:8443" => Ok(certificate(b"load balancer")),
                _ => Err("refused".to_owned()),
            },
            may_be_in_front: |found: &CertificateDer<'_>, _: &str| found.as_ref() == b"load balancer",
        };
        check(
            &example(mode),
            "Service jupyter-k8s-proxy",
            &certificate(b"ours"),
            answers,
        )
        .await
    }

    const OURS: &str = "192.0.2.1:8443";

    type Addresses<'a> = &'a dyn Fn(&str) -> Vec<&'static str>;

    #[tokio::test]
    async fn names_that_lead_to_the_service_pass_with_their_addresses() {
        assert_eq!(
            outcome(RoutingMode::Subdomain, |_| vec![OURS]).await,
            Outcome::Ok(
                "auth.ws.example and *.ws.example lead to Service jupyter-k8s-proxy (192.0.2.1)".into()
            )
        );
        let also_silent = outcome(RoutingMode::Path, |host| {
            assert!(["auth.ws.example", "ws.example"].contains(&host), "{host}");
            vec![OURS, "[2001:db8::1]:8443"]
        });
        assert_eq!(
            also_silent.await,
            Outcome::Ok(
                "auth.ws.example and ws.example lead to Service jupyter-k8s-proxy (192.0.2.1); from pods, 2001:db8::1 does not answer"
                    .into()
            )
        );
    }

    #[tokio::test]
    async fn a_load_balancer_in_front_may_serve_a_certificate_of_its_own() {
        let outcome = outcome(RoutingMode::Path, |_| vec!["192.0.2.4:8443"]).await;
        let text = "auth.ws.example and ws.example lead to Service jupyter-k8s-proxy (192.0.2.4); 192.0.2.4 serves a certificate of its \
                    own, as a load balancer in front does";
        assert_eq!(outcome, Outcome::Ok(text.into()));
    }

    #[tokio::test]
    async fn each_name_must_resolve_and_lead_to_the_service_alone() {
        let only_auth = |host: &str| {
            if host.starts_with("auth.") {
                vec![OURS]
            } else {
                Vec::new()
            }
        };
        let table: [(Addresses<'_>, &str); 4] = [
            (&only_auth, ".ws.example) does not resolve in pods (no address): "),
            (
                &|_| vec![OURS, "192.0.2.2:8443"],
                "auth.ws.example leads to 192.0.2.2, where another certificate is served; ",
            ),
            (
                &|_| vec!["192.0.2.3:8443"],
                "auth.ws.example leads to 192.0.2.3, which does not answer (refused); ",
            ),
            (&|_| Vec::new(), "auth.ws.example does not resolve in pods"),
        ];
        for (addresses, part) in table {
            let Outcome::Fail(text) = outcome(RoutingMode::Subdomain, addresses).await else {
                panic!("{part}")
            };
            assert!(text.contains(part), "{text}");
            let cure = ": let its DNS record lead to the address of Service jupyter-k8s-proxy";
            let front = ". Or, if 192.0.2.2 is the address of a front that ends TLS: set proxy.tls.selfSigned, with which any valid certificate of \
                         the front passes, or let front and proxy (proxy.tls) use the same Secret";
            let is_other = part.contains("another certificate");
            let end = format!("{cure}{}", if is_other { front } else { "" });
            assert!(text.ends_with(&end), "{text}");
        }
    }
}
