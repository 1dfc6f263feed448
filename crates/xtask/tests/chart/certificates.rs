//! `proxy.tls` -> a Secret, a Certificate of cert-manager, or the gateway's own (IO: runs `helm`).

use serde_json::{Value, json};

use crate::cluster::on;
use crate::render::{container, named, of_kind, refused, strings, with_values};

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
            vec![
                domain,
                "auth.workspaces.example.org",
                "portal.workspaces.example.org",
                "id.example.net",
            ],
        ),
    ] {
        let objects = with_values(issuer(values), &[]).unwrap();
        let spec = &named(&objects, "Certificate", "jupyter-k8s-proxy")["spec"];
        assert_eq!(spec["dnsNames"], json!(hosts));
        let expected = json!({"name": "our-ca", "kind": "ClusterIssuer", "group": "cert-manager.io"});
        assert_eq!(spec["issuerRef"], expected);
        assert_eq!(spec["secretName"], "jupyter-k8s-proxy-tls");
        assert_eq!(mounted(&objects), "jupyter-k8s-proxy-tls");
    }
    let mut values = issuer(json!({}));
    values["proxy"]["tls"]["certManager"]["issuerRef"]["kind"] = json!("Issuer");
    let objects = with_values(values, &[]).unwrap();
    let issuer = &named(&objects, "Certificate", "jupyter-k8s-proxy")["spec"]["issuerRef"];
    assert_eq!(issuer["kind"], "Issuer");
}

#[test]
fn an_issuer_without_a_kind_is_the_one_of_the_namespace_or_else_of_the_cluster() {
    let kind = |live: Vec<Value>, more: &[&str]| {
        let known = [
            "--api-versions=cert-manager.io/v1/Issuer",
            "--api-versions=cert-manager.io/v1/Certificate",
            "--set=proxy.tls.secretName=,proxy.tls.certManager.issuerRef.name=our-ca",
        ];
        let objects = on(live, &[&known, more].concat()).unwrap();
        named(&objects, "Certificate", "jupyter-k8s-proxy")["spec"]["issuerRef"]["kind"].clone()
    };
    let own = |name: &str| {
        let metadata = json!({"name": name, "namespace": "jupyter-k8s-system"});
        vec![json!({"kind": "Issuer", "apiVersion": "cert-manager.io/v1", "metadata": metadata})]
    };
    assert_eq!(kind(own("our-ca"), &[]), "Issuer");
    assert_eq!(kind(own("other"), &[]), "ClusterIssuer");
    let given = ["--set", "proxy.tls.certManager.issuerRef.kind=ClusterIssuer"];
    assert_eq!(kind(own("our-ca"), &given), "ClusterIssuer");
}

#[test]
fn a_secret_of_one_s_own_is_used_as_it_is() {
    let objects = with_values(json!({}), &[]).unwrap();
    assert!(of_kind(&objects, "Certificate").is_empty());
    assert_eq!(mounted(&objects), "tls");
}

/// Values by which the gateway makes the certificate.
fn self_signed(mut more: Value) -> Value {
    more["proxy"]["tls"] = json!({"secretName": "", "selfSigned": true});
    more
}

#[test]
fn the_gateway_makes_a_certificate_for_all_hosts_and_may_write_it_by_name_alone() {
    let objects = with_values(self_signed(json!({})), &[]).unwrap();
    assert!(of_kind(&objects, "Certificate").is_empty());
    assert_eq!(mounted(&objects), "jupyter-k8s-proxy-self-signed");
    let hosts = |objects: &[Value]| -> Vec<String> {
        let flags = strings(&container(objects, "jupyter-k8s-gateway")["args"]);
        let hosts = flags
            .iter()
            .filter_map(|flag| flag.strip_prefix("--self-signed-hosts="));
        hosts.map(str::to_owned).collect()
    };
    assert_eq!(
        hosts(&objects),
        ["workspaces.example.org", "*.workspaces.example.org"]
    );
    let secrets = |objects: &[Value]| -> Vec<String> {
        let rules = named(objects, "Role", "jupyter-k8s-gateway")["rules"].clone();
        let rules = rules.as_array().unwrap().clone();
        let of_secrets = rules
            .into_iter()
            .filter(|rule| rule["resources"] == json!(["secrets"]));
        of_secrets
            .flat_map(|rule| {
                assert_eq!(rule["verbs"], json!(["get", "create", "patch"]));
                strings(&rule["resourceNames"])
                    .into_iter()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    let own = [
        "jupyter-k8s-gateway-ca",
        "jupyter-k8s-gateway-keys",
        "jupyter-k8s-proxy-client",
        "jupyter-k8s-portal-tls",
    ];
    let made = ["jupyter-k8s-proxy-ca", "jupyter-k8s-proxy-self-signed"];
    assert_eq!(secrets(&objects), [&own[..], &made].concat());

    let bundled = json!({"identity": {"enabled": true, "host": "id.example.net"}, "oidc": {"issuerUrl": ""}, "routing": {"mode": "Path"}});
    let objects = with_values(self_signed(bundled), &[]).unwrap();
    assert_eq!(
        hosts(&objects),
        [
            "workspaces.example.org",
            "auth.workspaces.example.org",
            "portal.workspaces.example.org",
            "id.example.net"
        ]
    );
    let elsewhere = with_values(json!({}), &[]).unwrap();
    assert!(hosts(&elsewhere).is_empty());
    assert_eq!(secrets(&elsewhere), own);
}

#[test]
fn the_check_trusts_the_self_signed_certificate_and_never_gets_its_key() {
    let pod = |values: Value| {
        let objects = with_values(values, &[]).unwrap();
        named(&objects, "Pod", "jupyter-k8s-tests")["spec"].clone()
    };
    let bundled = json!({"identity": {"enabled": true, "host": "id.example.net"}, "oidc": {"issuerUrl": ""}});
    for (values, trusts_provider) in [(json!({}), false), (bundled, true)] {
        let spec = pod(self_signed(values));
        let flags = strings(&spec["containers"][0]["args"]);
        assert!(
            flags.contains(&"--self-signed-ca-file=/etc/proxy-ca/ca.crt"),
            "{flags:?}"
        );
        assert_eq!(
            flags.contains(&"--oidc-ca-file=/etc/proxy-ca/ca.crt"),
            trusts_provider,
            "{flags:?}"
        );
        let volumes = spec["volumes"].as_array().unwrap();
        let volume = volumes
            .iter()
            .find(|volume| volume["name"] == "proxy-ca")
            .unwrap();
        let expected = json!({"secretName": "jupyter-k8s-proxy-self-signed", "items": [{"key": "ca.crt", "path": "ca.crt"}]});
        assert_eq!(volume["secret"], expected);
    }
    let spec = pod(json!({}));
    assert!(!spec.to_string().contains("proxy-ca"), "{spec}");
}

#[test]
fn two_sources_of_the_certificate_or_none_are_refused() {
    let both = refused(r#"proxy.tls.certManager={"issuerRef":{"name":"our-ca"}}"#);
    let message = r#"proxy.tls: secretName ("tls") and certManager.issuerRef.name ("our-ca") exclude each other: keep one of them"#;
    assert!(both.contains(message), "{both}");
    let both = refused("proxy.tls.selfSigned=true");
    let message =
        r#"proxy.tls: secretName ("tls") and selfSigned (true) exclude each other: keep one of them"#;
    assert!(both.contains(message), "{both}");
    let none = refused(r#"proxy.tls.secretName="""#);
    for message in [
        "proxy.tls: where the certificate for *.workspaces.example.org and workspaces.example.org comes from; set one of\n",
        "      proxy.tls.certManager.issuerRef.name: an issuer of cert-manager\n",
        "      proxy.tls.secretName: an existing Secret with tls.crt and tls.key\n",
        "      proxy.tls.selfSigned: true, ",
    ] {
        assert!(none.contains(message), "{message}: {none}");
    }
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
fn an_issuer_of_cert_manager_s_own_group_is_of_one_of_its_two_kinds() {
    let of = |kind: &str, group: &str| {
        let issuer = json!({"name": "our-ca", "kind": kind, "group": group});
        let tls = json!({"secretName": "", "certManager": {"issuerRef": issuer}});
        with_values(json!({"proxy": {"tls": tls}}), &[])
    };
    let reason = of("Clusterissuer", "cert-manager.io").unwrap_err();
    let message = r#"proxy.tls.certManager.issuerRef.kind: "Clusterissuer" is no kind of issuers of the group cert-manager.io: write Issuer or ClusterIssuer, or set proxy.tls.certManager.issuerRef.group to the group of that kind"#;
    assert!(reason.contains(message), "{reason}");
    let reason = of("", "awspca.cert-manager.io").unwrap_err();
    let message = r#"proxy.tls.certManager.issuerRef.kind: is empty, and only issuers of the group cert-manager.io are looked for: write the kind of "our-ca" in the group awspca.cert-manager.io"#;
    assert!(reason.contains(message), "{reason}");
    for (kind, group) in [
        ("", "cert-manager.io"),
        ("Issuer", "cert-manager.io"),
        ("ClusterIssuer", "cert-manager.io"),
        ("AWSPCAClusterIssuer", "awspca.cert-manager.io"),
    ] {
        of(kind, group).unwrap();
    }
}

#[test]
fn a_cluster_without_cert_manager_is_refused_with_a_remedy_and_without_a_cluster_nothing_is_checked() {
    // helm knows kinds of the cluster that it is connected to, and versions alone without one.
    let connected = ["--api-versions", "apps/v1/Deployment"];
    let reason = with_values(issuer(json!({})), &connected).unwrap_err();
    let message = r#"proxy.tls.certManager.issuerRef.name: "our-ca" needs cert-manager, and this cluster has no kind Certificate of cert-manager.io/v1: install cert-manager with its CRDs, or set proxy.tls.secretName or proxy.tls.selfSigned in its place"#;
    assert!(reason.contains(message), "{reason}");
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
