//! `proxy.tls` -> an existing Secret, or a Certificate of cert-manager, and exactly one of them (IO: runs `helm`).

use serde_json::{Value, json};

use crate::render::{named, of_kind, refused, with_values};

/// Values with an issuer in place of the Secret.
fn issuer(mut more: Value) -> Value {
    more["proxy"]["tls"] = json!({"secretName": "", "certManager": {"issuerRef": {"name": "our-ca"}}});
    more
}

/// The Secret that the proxy reads its certificate from.
fn mounted(objects: &[Value]) -> Value {
    let pod = &named(objects, "Deployment", "jupyter-k8s-proxy")["spec"]["template"]["spec"];
    let sources = pod["volumes"][0]["projected"]["sources"].as_array().unwrap();
    let of_tls = |source: &&Value| source["secret"]["items"][0]["path"] == "tls/tls.crt";
    sources.iter().find(of_tls).unwrap()["secret"]["name"].clone()
}

#[test]
fn an_issuer_gives_a_certificate_for_all_hosts_that_browsers_open() {
    let bundled = json!({"identity": {"enabled": true, "host": "id.example.net"}, "oidc": {"issuerUrl": ""}});
    let mut path = bundled.clone();
    path["routing"]["mode"] = json!("Path");
    let domain = "workspaces.example.org";
    for (values, hosts) in [
        (json!({}), vec![domain, "*.workspaces.example.org"]),
        (
            bundled,
            vec![domain, "*.workspaces.example.org", "id.example.net"],
        ),
        (
            path,
            vec![domain, "auth.workspaces.example.org", "id.example.net"],
        ),
    ] {
        let objects = with_values(issuer(values), &[]).unwrap();
        let spec = &named(&objects, "Certificate", "jupyter-k8s-proxy")["spec"];
        assert_eq!(spec["dnsNames"], json!(hosts));
        let expected = json!({"name": "our-ca", "kind": "Issuer", "group": "cert-manager.io"});
        assert_eq!(spec["issuerRef"], expected);
        assert_eq!(spec["secretName"], "jupyter-k8s-proxy-tls");
        assert_eq!(mounted(&objects), "jupyter-k8s-proxy-tls");
    }
    let mut values = issuer(json!({}));
    values["proxy"]["tls"]["certManager"]["issuerRef"]["kind"] = json!("ClusterIssuer");
    let objects = with_values(values, &[]).unwrap();
    let issuer = &named(&objects, "Certificate", "jupyter-k8s-proxy")["spec"]["issuerRef"];
    assert_eq!(issuer["kind"], "ClusterIssuer");
}

#[test]
fn a_secret_of_one_s_own_is_used_as_it_is() {
    let objects = with_values(json!({}), &[]).unwrap();
    assert!(of_kind(&objects, "Certificate").is_empty());
    assert_eq!(mounted(&objects), "tls");
}

#[test]
fn two_sources_of_the_certificate_or_none_are_refused() {
    let both = refused(r#"proxy.tls.certManager={"issuerRef":{"name":"our-ca"}}"#);
    let told = r#"proxy.tls.secretName: "tls" and proxy.tls.certManager.issuerRef.name ("our-ca") exclude each other: leave one of them empty"#;
    assert!(both.contains(told), "{both}");
    let none = refused(r#"proxy.tls.secretName="""#);
    assert!(
        none.contains("proxy.tls.secretName: an existing Secret"),
        "{none}"
    );
    assert!(
        none.contains("(or proxy.tls.certManager.issuerRef.name, an issuer of cert-manager)"),
        "{none}"
    );
    let wrong = refused(r#"proxy.tls.certManager={"issuerRef":{"name":"Our CA"}}"#);
    assert!(
        wrong.contains(r#"issuerRef.name: "Our CA" is no name of a Kubernetes object"#),
        "{wrong}"
    );
    let wrong = refused(r#"proxy.tls.certManager={"issuerRef":{"kind":"cluster issuer"}}"#);
    assert!(
        wrong.contains(r#"issuerRef.kind: "cluster issuer" is no kind"#),
        "{wrong}"
    );
}

#[test]
fn a_cluster_without_cert_manager_is_told_what_to_install_and_without_a_cluster_nothing_is_asked() {
    // helm knows kinds of the cluster that it is connected to, and versions alone without one.
    let connected = ["--api-versions", "apps/v1/Deployment"];
    let reason = with_values(issuer(json!({})), &connected).unwrap_err();
    let told = r#"proxy.tls.certManager.issuerRef.name: "our-ca" needs cert-manager, and this cluster has no kind Certificate of cert-manager.io/v1: install cert-manager with its CRDs, or set proxy.tls.secretName in its place"#;
    assert!(reason.contains(told), "{reason}");
    let with_it = [
        &connected[..],
        &["--api-versions", "cert-manager.io/v1/Certificate"],
    ]
    .concat();
    for arguments in [&[][..], &with_it[..]] {
        let objects = with_values(issuer(json!({})), arguments).unwrap();
        assert_eq!(of_kind(&objects, "Certificate").len(), 1);
    }
}
