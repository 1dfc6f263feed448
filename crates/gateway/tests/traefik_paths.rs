//! The contract with Traefik: odd paths reach a pod as they were sent, and nothing else by another spelling.

use api::manager::RoutingMode;

use crate::support::behind_traefik::{BehindTraefik, own_page};
use crate::support::proxy::PROVIDER;
use crate::traefik::site;

/// Odd paths of an application's own files.
const ODD: [&str; 8] = [
    "/files/data%5Creport.csv",
    "/api/contents/data%5Creport.csv?x=//",
    "/files//twice",
    "//files/x",
    "/files/./x",
    "/files/a/../x",
    "/files/%2e%2e/x",
    "/files/a%2F..%2Fx%3B",
];

/// A site, and cookies of alice at her workspace.
async fn signed_in(mode: RoutingMode) -> (BehindTraefik, String) {
    let site = BehindTraefik::start(mode).await;
    let jar = site.sign_in("alice", "ws1").await;
    let (host, path) = site.place("ws1");
    let cookie = jar.header(&host, &path).unwrap();
    site.opens("ws1", &own_page(&cookie)).await;
    (site, cookie)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_with_a_host_of_its_own_gets_each_path_as_it_was_sent() {
    let (site, cookie) = Box::pin(signed_in(RoutingMode::Subdomain)).await;
    for path in ODD {
        let (answer, reached) = site.watched(site.site.raw("ws1", path, &own_page(&cookie))).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        assert_eq!(reached, ["ws1"], "{path}");
        // An escaped dot is the same as a dot.
        let sent = path.replace("%2e", ".");
        let head = site.pod("ws1").last();
        assert!(
            head.starts_with(&format!("GET {sent} HTTP/1.1\r\n")),
            "{path}: {head}"
        );
        // Without a ticket none of them opens it.
        let (answer, reached) = site.watched(site.site.raw("ws1", path, &own_page("a=1"))).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{path}: {answer}");
        assert_eq!(reached, [""; 0], "{path}");
    }
    // This one ends names for some programs.
    let answer = site.site.raw("ws1", "/files/a%00.csv", &own_page(&cookie)).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_s_own_paths_reach_no_pod_in_any_spelling() {
    let (site, cookie) = Box::pin(signed_in(RoutingMode::Subdomain)).await;
    for path in [
        "/_workspace/other",
        "//_workspace/other",
        "/./_workspace/other",
        "/files/../_workspace/other",
        "/files/%2e%2e/_workspace/other",
        "/%5C_workspace/other",
        "/files%5C..%5C_workspace/other",
        "/_workspace/../_workspace/other",
        "/_workspace//other",
    ] {
        let (answer, reached) = site.watched(site.site.raw("ws1", path, &own_page(&cookie))).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
        assert_eq!(reached, [""; 0], "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_spelling_of_a_path_leads_out_of_the_bundled_provider_s_realm() {
    let (site, ..) = site().await;
    // The provider has no pod here, so its router answers that there is none.
    for path in [
        "/realms/jupyter/.well-known/openid-configuration",
        "/realms/jupyter/protocol/openid-connect/auth?redirect_uri=https%3A%2F%2Fx//..",
        "/resources/0a1b2/login/keycloak.v2/css/styles.css",
    ] {
        let answer = site.raw_at(PROVIDER, path, &[]).await;
        assert!(answer.starts_with("HTTP/1.1 502"), "{path}: {answer}");
    }
    for path in [
        "/realms/jupyter/../master/",
        "/realms/jupyter/x/../../master/",
        "/realms/jupyter/%2e%2e/master/",
        "/realms/jupyter/..%2Fmaster/",
        "/realms/jupyter/..;/master/",
        "/realms/jupyter/..%3B/master/",
        "/realms/jupyter/..%5Cmaster/",
        "/realms/jupyter//..//master/",
        "/resources/../admin/",
        "/resources/..",
        "/realms/master/",
        "//realms/jupyter/x",
    ] {
        let answer = site.raw_at(PROVIDER, path, &[]).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
}
