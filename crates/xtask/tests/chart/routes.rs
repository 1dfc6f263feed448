//! rendered proxy and sign-in -> each request needs a decision, no secret in logs (IO: `helm`).

use serde_json::Value;

use crate::render::{EXTERNAL, LOCAL, argument, container, installations, named, of_kind, strings, template};

#[test]
fn the_proxy_asks_the_gateway_about_all_but_its_own_pages_and_sends_upgrades_to_the_relay() {
    let objects = template(&LOCAL).unwrap();
    let text = named(&objects, "ConfigMap", "jupyter-k8s-proxy")["data"]["routes.yaml"]
        .as_str()
        .unwrap();
    let configuration: Value = serde_saphyr::from_str(text).unwrap();
    let routers = &configuration["http"]["routers"];
    let workspaces =
        r"HostRegexp(`^[a-z0-9-]{1,63}\.workspaces\.localhost$`) && !Host(`auth.workspaces.localhost`)";
    assert_eq!(routers["gate"]["rule"], workspaces);
    assert_eq!(strings(&routers["gate"]["middlewares"]), ["gate", "answers"]);
    assert!(
        routers["gate"]["service"].is_null(),
        "only children of `gate` lead anywhere"
    );
    assert_eq!(
        routers["upgrade"]["rule"],
        format!("{workspaces} && HeaderRegexp(`Upgrade`, `.`)")
    );
    assert_eq!(routers["upgrade"]["service"], "gateway-relay");
    let priority = |router: &str| routers[router]["priority"].as_u64().unwrap();
    let order = ["upgrade", "workspace-callback", "auth", "gate", "gate-pages"];
    assert!(
        order.windows(2).all(|pair| priority(pair[0]) > priority(pair[1])),
        "{routers}"
    );
    let gate = &configuration["http"]["middlewares"]["gate"]["forwardAuth"];
    assert_eq!(
        gate["address"],
        "https://jupyter-k8s-gateway.jupyter-k8s-system.svc:8443/verify"
    );
    assert_eq!(gate["trustForwardHeader"], false);
    let replaced = ["Authorization", "Cookie", "Workspace-Assertion"];
    assert_eq!(strings(&gate["authResponseHeaders"]), replaced);
    let asked = strings(&gate["authRequestHeaders"]);
    assert!(
        asked.contains(&"Sec-Purpose") && asked.contains(&"Service-Worker"),
        "{asked:?}"
    );
    let gateway = &configuration["http"]["serversTransports"]["gateway"];
    assert_eq!(
        gateway["disableHTTP2"], true,
        "what cannot be read is answered in HTTP/1.1 alone"
    );
    assert_eq!(strings(&gate["addAuthCookiesToResponse"]), ["__Host-ws"]);
    assert!(
        gate["tls"]["cert"].is_string(),
        "the gateway demands a client certificate"
    );
}

/// What tokens of scripts need, in an installation with these values: whether the proxy forwards them, the gateway's arguments, and its
/// permissions for token reviews.
fn tokens(more: &[&'static str]) -> (bool, Vec<String>, Vec<String>) {
    let values: Vec<_> = LOCAL.into_iter().chain(more.iter().copied()).collect();
    let objects = template(&values).unwrap();
    let text = named(&objects, "ConfigMap", "jupyter-k8s-proxy")["data"]["routes.yaml"].clone();
    let routes: Value = serde_saphyr::from_str(text.as_str().unwrap()).unwrap();
    let asked = &routes["http"]["middlewares"]["gate"]["forwardAuth"]["authRequestHeaders"];
    let gateway = container(&objects, "jupyter-k8s-gateway");
    let arguments = strings(&gateway["args"]).into_iter();
    let rights: Vec<String> = of_kind(&objects, "ClusterRole")
        .into_iter()
        .chain(of_kind(&objects, "Role"))
        .flat_map(|role| role["rules"].as_array().cloned().unwrap_or_default())
        .filter(|rule| strings(&rule["resources"]).contains(&"tokenreviews"))
        .flat_map(|rule| {
            strings(&rule["verbs"])
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    (
        strings(asked).contains(&"Authorization"),
        arguments
            .filter(|text| text.starts_with("--bearer"))
            .map(str::to_owned)
            .collect(),
        rights,
    )
}

#[test]
fn tokens_are_neither_forwarded_nor_reviewed_until_they_are_enabled() {
    assert_eq!(tokens(&[]), (false, vec![], vec![]));
    let (travels, arguments, rights) = tokens(&[
        "--set=gateway.bearer.enabled=true",
        "--set=gateway.bearer.audiences={scripts,robots}",
        "--set=gateway.bearer.issuers={https://cluster.example}",
    ]);
    assert!(travels);
    assert_eq!(rights, ["create"]);
    assert_eq!(
        arguments,
        [
            "--bearer-enabled",
            "--bearer-audiences=scripts",
            "--bearer-audiences=robots",
            "--bearer-issuers=https://cluster.example",
        ]
    );
}

#[test]
fn the_gateway_answers_no_other_proxy_than_the_charts_own_unless_it_is_named() {
    let foreign = |more: &[&'static str]| -> Vec<String> {
        let values: Vec<_> = LOCAL.into_iter().chain(more.iter().copied()).collect();
        let objects = template(&values).unwrap();
        let gateway = container(&objects, "jupyter-k8s-gateway");
        let arguments = strings(&gateway["args"]).into_iter();
        arguments
            .filter_map(|text| text.strip_prefix("--foreign-proxies="))
            .map(str::to_owned)
            .collect()
    };
    assert!(foreign(&[]).is_empty());
    assert_eq!(
        foreign(&["--set=gateway.foreignProxies={nginx,envoy}"]),
        ["nginx", "envoy"]
    );
    let values: Vec<_> = LOCAL
        .into_iter()
        .chain(["--set=gateway.foreignProxies={traefik}"])
        .collect();
    assert!(template(&values).is_err());
}

#[test]
fn in_path_mode_the_same_routes_exist_for_the_one_host() {
    // With the portal, its host is a second one: `portal.rs`.
    let path = ["--set=routing.mode=Path,portal.enabled=false"];
    let values: Vec<_> = LOCAL.into_iter().chain(path).collect();
    let objects = template(&values).unwrap();
    let text = named(&objects, "ConfigMap", "jupyter-k8s-proxy")["data"]["routes.yaml"]
        .as_str()
        .unwrap();
    let configuration: Value = serde_saphyr::from_str(text).unwrap();
    let routers = &configuration["http"]["routers"];
    let host = "Host(`workspaces.localhost`)";
    assert_eq!(routers["gate"]["rule"], host);
    assert_eq!(
        routers["upgrade"]["rule"],
        format!("{host} && HeaderRegexp(`Upgrade`, `.`)")
    );
    assert_eq!(
        routers["workspace-callback"]["rule"],
        format!("{host} && PathRegexp(`^/workspaces/[a-z0-9-]+/[a-z0-9-]+/_workspace/`)")
    );
    let gate = &configuration["http"]["middlewares"]["gate"]["forwardAuth"];
    assert_eq!(strings(&gate["addAuthCookiesToResponse"]), ["__Secure-ws"]);
    let manager = &of_kind(&objects, "WorkspaceManager")[0]["spec"]["routing"];
    assert_eq!(
        (&manager["mode"], &manager["pathModeSharing"]),
        (&"Path".into(), &"Refuse".into())
    );
}

#[test]
fn the_internal_entry_points_of_the_proxy_have_no_other_routes() {
    let objects = template(&EXTERNAL).unwrap();
    let proxy = container(&objects, "jupyter-k8s-proxy");
    assert_eq!(argument(proxy, "--entrypoints.https.asdefault"), Some("true"));
    let own = argument(proxy, "--entrypoints.routes.address").unwrap();
    assert!(own.starts_with("127.0.0.1:"), "{own}");
    assert_eq!(
        argument(proxy, "--providers.http.endpoint").unwrap(),
        format!("http://{own}/traefik/config")
    );
}

#[test]
fn no_query_reaches_the_access_log() {
    let objects = template(&EXTERNAL).unwrap();
    let proxy = container(&objects, "jupyter-k8s-proxy");
    assert_eq!(
        argument(proxy, "--accesslog.fields.queryparameters.defaultmode"),
        Some("drop")
    );
    assert_eq!(
        argument(proxy, "--accesslog.fields.headers.defaultmode"),
        Some("drop")
    );
}

#[test]
fn secrets_are_only_ever_referred_to() {
    for objects in installations() {
        assert!(of_kind(&objects, "Secret").is_empty());
    }
    let objects = template(&LOCAL).unwrap();
    let realm = named(&objects, "ConfigMap", "jupyter-k8s-identity")["data"]["jupyter-realm.json"]
        .as_str()
        .unwrap();
    let realm: Value = serde_json::from_str(realm).unwrap();
    assert_eq!(realm["clients"][0]["secret"], "${OIDC_CLIENT_SECRET}");
    for user in realm["users"].as_array().unwrap() {
        let password = user["credentials"][0]["value"].as_str().unwrap();
        assert!(
            password.starts_with("${ACCOUNT_") && password.ends_with("_PASSWORD}"),
            "{password}"
        );
    }
}

#[test]
fn the_bundled_provider_accepts_the_gateways_callback_alone_and_only_with_pkce() {
    let objects = template(&LOCAL).unwrap();
    let realm = named(&objects, "ConfigMap", "jupyter-k8s-identity")["data"]["jupyter-realm.json"]
        .as_str()
        .unwrap();
    let realm: Value = serde_json::from_str(realm).unwrap();
    let client = &realm["clients"][0];
    assert_eq!(
        strings(&client["redirectUris"]),
        ["https://auth.workspaces.localhost:8443/callback"]
    );
    assert_eq!(client["attributes"]["pkce.code.challenge.method"], "S256");
    assert_eq!(client["publicClient"], false);
    for client in realm["clients"].as_array().unwrap() {
        assert_eq!(
            client["directAccessGrantsEnabled"], false,
            "{}",
            client["clientId"]
        );
    }
    let public: Vec<&Value> = realm["clients"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|client| client["publicClient"] == true)
        .map(|client| &client["clientId"])
        .collect();
    assert_eq!(public, ["kubectl", "admin-cli"]);
    let kubectl = &realm["clients"][1];
    assert_eq!(kubectl["attributes"]["pkce.code.challenge.method"], "S256");
    let loopback = ["http://localhost:8000", "http://localhost:18000"];
    assert_eq!(strings(&kubectl["redirectUris"]), loopback);
    let gateway = container(&objects, "jupyter-k8s-gateway");
    let issuer = "https://identity.localhost:8443/realms/jupyter";
    assert_eq!(argument(gateway, "--oidc-issuer-url"), Some(issuer));
    assert_eq!(
        argument(gateway, "--oidc-connect-to"),
        Some("jupyter-k8s-proxy.jupyter-k8s-system.svc:8443")
    );
    assert!(
        of_kind(&template(&EXTERNAL).unwrap(), "Deployment").len() < of_kind(&objects, "Deployment").len()
    );
}
