//! rendered proxy and bundled provider -> limits, no forged headers, safe login (IO: runs `helm`).

use std::fs;

use serde_json::Value;

use crate::render::{EXTERNAL, LOCAL, argument, chart, container, named, refusal, strings, template};

/// Names of headers that reach no workspace, in an installation with these values: by the gateway's arguments, and the proxy's pattern.
fn stripped(more: &[&'static str]) -> (Vec<String>, Option<String>) {
    let values: Vec<_> = LOCAL.into_iter().chain(more.iter().copied()).collect();
    let objects = template(&values).unwrap();
    let gateway = container(&objects, "jupyter-k8s-gateway");
    let names = argument(gateway, "--header-strip").unwrap_or_default();
    let text = named(&objects, "ConfigMap", "jupyter-k8s-proxy")["data"]["routes.yaml"].clone();
    let routes: Value = serde_saphyr::from_str(text.as_str().unwrap()).unwrap();
    let pattern = &routes["http"]["middlewares"]["gate"]["forwardAuth"]["authResponseHeadersRegex"];
    (
        names.split(',').map(str::to_owned).collect(),
        pattern.as_str().map(str::to_owned),
    )
}

#[test]
fn identity_headers_are_the_same_list_in_proxy_and_gateway() {
    let (names, pattern) = stripped(&[]);
    assert!(names.len() > 40, "{names:?}");
    for name in [
        "X-Rstudio-Username",
        "Remote-User",
        "X-Pomerium-",
        "Tailscale-User-",
    ] {
        assert!(names.contains(&name.to_owned()), "{name}");
    }
    let each: Vec<String> = names
        .iter()
        .map(|name| {
            if name.ends_with('-') {
                format!("{name}.*")
            } else {
                name.clone()
            }
        })
        .collect();
    assert_eq!(pattern.unwrap(), format!("(?i)^({})$", each.join("|")));
    let (more, pattern) = stripped(&["--set=gateway.stripHeaders={X-Mine,X-Family-}"]);
    let added = ["X-Mine", "X-Family-"].map(str::to_owned);
    assert_eq!(
        more,
        [names, added.to_vec()].concat(),
        "a setting adds to the list"
    );
    let expected = format!("(?i)^({}|X-Mine|X-Family-.*)$", each.join("|"));
    assert_eq!(pattern, Some(expected));
    let wrong = template(&[&LOCAL[..], &["--set=gateway.stripHeaders={X.*}"]].concat()).unwrap_err();
    assert!(wrong.contains("is no name of a header"), "{wrong}");
}

#[test]
fn connections_and_requests_to_the_proxy_are_limited_in_time_and_size() {
    let of = |more: &[&'static str]| {
        let values: Vec<_> = EXTERNAL.into_iter().chain(more.iter().copied()).collect();
        let objects = template(&values).unwrap();
        let proxy = container(&objects, "jupyter-k8s-proxy");
        let flag = |flag: &str| {
            argument(proxy, &format!("--entrypoints.https.{flag}"))
                .unwrap()
                .to_owned()
        };
        let limit = proxy["env"]
            .as_array()
            .unwrap()
            .iter()
            .find(|variable| variable["name"] == "GOMEMLIMIT")
            .unwrap();
        [
            flag("http2.maxconcurrentstreams"),
            flag("http.maxheaderbytes"),
            flag("transport.respondingtimeouts.readtimeout"),
            flag("transport.respondingtimeouts.writetimeout"),
            limit["value"].as_str().unwrap().to_owned(),
            proxy["resources"]["limits"]["memory"]
                .as_str()
                .unwrap()
                .to_owned(),
        ]
    };
    assert_eq!(of(&[]), ["100", "81920", "60m", "60m", "858993459", "1Gi"]);
    let set = of(&[
        "--set=proxy.maxConcurrentStreams=50,proxy.maxHeaderBytes=131072,proxy.longestRequestMinutes=5",
        "--set=proxy.resources.limits.memory=500M",
    ]);
    assert_eq!(set, ["50", "131072", "5m", "5m", "400000000", "500M"]);
    for wrong in [
        "longestRequestMinutes=4",
        "longestRequestMinutes=241",
        "maxHeaderBytes=81919",
    ] {
        refusal(&EXTERNAL, &format!("proxy.{wrong}"));
    }
}

#[test]
fn tls_1_2_is_limited_to_authenticated_encryption() {
    let objects = template(&EXTERNAL).unwrap();
    let text = named(&objects, "ConfigMap", "jupyter-k8s-proxy")["data"]["routes.yaml"].clone();
    let routes: Value = serde_saphyr::from_str(text.as_str().unwrap()).unwrap();
    let options = &routes["tls"]["options"]["default"];
    assert_eq!(options["minVersion"], "VersionTLS12");
    let suites = strings(&options["cipherSuites"]);
    assert!(suites.len() == 6, "{suites:?}");
    for suite in suites {
        assert!(suite.contains("_GCM_") || suite.contains("CHACHA20"), "{suite}");
    }
}

#[test]
fn proxy_and_identity_provider_use_only_the_configured_dns() {
    let peers = |values: &[&str]| -> Vec<Value> {
        let objects = template(values).unwrap();
        ["jupyter-k8s-proxy", "jupyter-k8s-identity"]
            .map(|name| named(&objects, "NetworkPolicy", name)["spec"]["egress"][0].clone())
            .into()
    };
    for rule in peers(&LOCAL) {
        let namespace = &rule["to"][0]["namespaceSelector"]["matchLabels"];
        assert_eq!(namespace["kubernetes.io/metadata.name"], "kube-system", "{rule}");
        assert_eq!(rule["to"].as_array().map(Vec::len), Some(1));
        assert_eq!(rule["ports"][0]["port"], 53);
    }
}

/// All required actions of Keycloak 26.7.3, as its administration lists them: a list in the import replaces Keycloak's own.
const REQUIRED_ACTIONS: [&str; 15] = [
    "CONFIGURE_RECOVERY_AUTHN_CODES",
    "CONFIGURE_TOTP",
    "TERMS_AND_CONDITIONS",
    "UPDATE_EMAIL",
    "UPDATE_PASSWORD",
    "UPDATE_PROFILE",
    "VERIFY_EMAIL",
    "VERIFY_PROFILE",
    "delete_account",
    "delete_credential",
    "idp_link",
    "update_user_locale",
    "verifiable_credential_offer",
    "webauthn-register",
    "webauthn-register-passwordless",
];

#[test]
fn no_sign_in_at_the_bundled_provider_stops_at_a_required_action() {
    let objects = template(&LOCAL).unwrap();
    let realm = named(&objects, "ConfigMap", "jupyter-k8s-identity")["data"]["jupyter-realm.json"].clone();
    let realm: Value = serde_json::from_str(realm.as_str().unwrap()).unwrap();
    let actions = realm["requiredActions"].as_array().unwrap();
    let names: Vec<&str> = actions
        .iter()
        .filter_map(|action| action["alias"].as_str())
        .collect();
    assert_eq!(names, REQUIRED_ACTIONS);
    for action in actions {
        assert_eq!(action["enabled"], false, "{action}");
        assert_eq!(action["providerId"], action["alias"]);
    }
}

#[test]
fn the_bundled_provider_is_no_version_with_a_known_account_takeover() {
    let values = fs::read_to_string(chart().join("values.yaml")).unwrap();
    let values: Value = serde_saphyr::from_str(&values).unwrap();
    let tag = values["images"]["identity"]["tag"].as_str().unwrap();
    let version: Vec<u32> = tag.split('.').map(|part| part.parse().unwrap()).collect();
    assert!(version >= vec![26, 7, 3], "{tag}");
}
