//! values -> what the chart renders, or why it refuses (IO: runs `helm`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kube::CustomResourceExt as _;
use serde_json::Value;

/// An installation with a provider of its own: the least that must be set.
const EXTERNAL: [&str; 8] = [
    "--set",
    "image.registry=registry.example.com/jupyter-k8s",
    "--set",
    "routing.baseDomain=workspaces.example.org",
    "--set",
    "proxy.tls.secretName=tls",
    "--set",
    "oidc.issuerUrl=https://id.example.com/realm",
];
/// The cluster on this machine, with the bundled provider.
const LOCAL: [&str; 2] = ["-f", "values-local.yaml"];

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/jupyter-k8s")
}

/// `$HELM`, else helm in the cache folder of the tool, else helm on the path.
fn helm() -> PathBuf {
    if let Some(helm) = std::env::var_os("HELM") {
        return helm.into();
    }
    let cache = std::env::var_os("JUPYTER_K8S_CACHE")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/jupyter-k8s")));
    cache
        .into_iter()
        .flat_map(|cache| [cache.join("helm/bin/helm"), cache.join("bin/helm")])
        .find(|helm| helm.is_file())
        .unwrap_or_else(|| "helm".into())
}

fn run(arguments: &[&str]) -> Output {
    let helm = helm();
    Command::new(&helm)
        .current_dir(chart())
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; `./justw images` puts helm in place", helm.display()))
}

fn template(values: &[&str]) -> Result<Vec<Value>, String> {
    let arguments = [
        &[
            "template",
            "jupyter-k8s",
            ".",
            "--namespace",
            "jupyter-k8s-system",
        ],
        values,
    ]
    .concat();
    let output = run(&arguments);
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    Ok(objects.into_iter().filter(|object| !object.is_null()).collect())
}

/// What a good installation renders, both ways of signing in.
fn installations() -> [Vec<Value>; 2] {
    [template(&EXTERNAL).unwrap(), template(&LOCAL).unwrap()]
}

/// Renders with one more setting, which must be refused; the reason.
fn refusal(values: &[&str], setting: &str) -> String {
    template(&[values, &["--set", setting]].concat()).expect_err(setting)
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    of_kind(objects, kind)
        .into_iter()
        .find(|object| object["metadata"]["name"] == name)
        .unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn pods(objects: &[Value]) -> Vec<(&str, &Value)> {
    of_kind(objects, "Deployment")
        .into_iter()
        .map(|deployment| {
            let name = deployment["metadata"]["name"].as_str().unwrap();
            (name, &deployment["spec"]["template"]["spec"])
        })
        .collect()
}

fn containers(objects: &[Value]) -> Vec<(&str, &Value)> {
    pods(objects)
        .into_iter()
        .flat_map(|(name, pod)| {
            pod["containers"]
                .as_array()
                .unwrap()
                .iter()
                .map(move |container| (name, container))
        })
        .collect()
}

fn strings(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .map(|items| items.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}

fn argument<'a>(container: &'a Value, flag: &str) -> Option<&'a str> {
    strings(&container["args"])
        .into_iter()
        .find_map(|argument| argument.strip_prefix(flag)?.strip_prefix('='))
}

#[test]
fn lint_is_content_with_every_way_of_installing() {
    for values in [&EXTERNAL[..], &LOCAL[..], &[]] {
        let output = run(&[&["lint", "--strict", "."], values].concat());
        assert!(
            output.status.success(),
            "{values:?}: {}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

#[test]
fn a_misspelt_key_is_refused_by_name_at_every_level() {
    for (setting, key) in [
        ("gatewey.replicas=1", "gatewey"),
        ("gateway.replica=1", "replica"),
        ("oidc.issuerURL=https://id.example.com", "issuerURL"),
        ("proxy.tls.secret=tls", "secret"),
        ("settings.defaultStorage.path=/home", "path"),
        ("templates.small.displayname=Small", "displayname"),
        ("userNamespaces[0].namespace=team", "namespace"),
    ] {
        let reason = refusal(&EXTERNAL, setting);
        assert!(
            reason.contains(&format!("Additional property {key} is not allowed")),
            "{setting}: {reason}"
        );
    }
}

#[test]
fn what_is_missing_is_named_all_at_once() {
    let reason = template(&[]).unwrap_err();
    for setting in [
        "image.registry",
        "routing.baseDomain",
        "proxy.tls.secretName",
        "oidc.issuerUrl",
    ] {
        assert!(reason.contains(setting), "{setting}: {reason}");
    }
    let reason = template(&EXTERNAL[..6]).unwrap_err();
    assert!(
        reason.contains("oidc.issuerUrl") && !reason.contains("image.registry"),
        "{reason}"
    );
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let under = refusal(
        &EXTERNAL,
        "oidc.issuerUrl=https://login.Workspaces.example.org:8443/x",
    );
    assert!(
        under.contains("oidc.issuerUrl") && under.contains("outside routing.baseDomain"),
        "{under}"
    );
    let under = refusal(&LOCAL, "identity.host=id.workspaces.localhost");
    assert!(under.contains("identity.host"), "{under}");
    let both = refusal(&LOCAL, "oidc.issuerUrl=https://id.example.com");
    assert!(both.contains("identity.enabled"), "{both}");
    let both = refusal(&LOCAL, "oidc.caConfigMapName=ca");
    assert!(
        both.contains("oidc.caSecretName") && both.contains("oidc.caConfigMapName"),
        "{both}"
    );
}

#[test]
fn every_pod_fits_pod_security_restricted_and_is_bounded() {
    for objects in installations() {
        for (name, pod) in pods(&objects) {
            let security = &pod["securityContext"];
            assert_eq!(security["runAsNonRoot"], true, "{name}");
            assert!(security["runAsUser"].as_u64().unwrap() > 0, "{name}");
            assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault", "{name}");
            for field in ["hostNetwork", "hostPID", "hostIPC"] {
                assert!(pod[field].is_null(), "{name}: {field}");
            }
            for volume in pod["volumes"].as_array().unwrap() {
                let allowed = ["configMap", "secret", "projected", "emptyDir"];
                assert!(
                    allowed.iter().any(|kind| !volume[kind].is_null()),
                    "{name}: {volume}"
                );
            }
            let spread = &pod["topologySpreadConstraints"][0];
            assert_eq!(spread["topologyKey"], "kubernetes.io/hostname", "{name}");
        }
        for (name, container) in containers(&objects) {
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(strings(&security["capabilities"]["drop"]), ["ALL"], "{name}");
            assert!(security["capabilities"]["add"].is_null(), "{name}");
            for (bound, resource) in [
                ("requests", "cpu"),
                ("requests", "memory"),
                ("limits", "cpu"),
                ("limits", "memory"),
            ] {
                assert!(
                    !container["resources"][bound][resource].is_null(),
                    "{name}: {bound}.{resource}"
                );
            }
            for probe in ["readinessProbe", "livenessProbe"] {
                assert!(container[probe].is_object(), "{name}: {probe}");
            }
            for port in container["ports"].as_array().unwrap() {
                assert!(port["hostPort"].is_null(), "{name}: {port}");
            }
        }
    }
}

#[test]
fn every_image_has_a_registry_and_a_fixed_tag() {
    for objects in installations() {
        for (name, container) in containers(&objects) {
            let image = container["image"].as_str().unwrap();
            let (repository, tag) = image.rsplit_once(':').unwrap();
            assert!(
                repository.contains('/') && !tag.is_empty() && tag != "latest",
                "{name}: {image}"
            );
        }
    }
}

#[test]
fn roles_name_their_verbs_and_objects_one_by_one() {
    for objects in installations() {
        for role in [of_kind(&objects, "ClusterRole"), of_kind(&objects, "Role")].concat() {
            for rule in role["rules"].as_array().unwrap() {
                let parts = [&rule["apiGroups"], &rule["resources"], &rule["verbs"]];
                assert!(
                    parts.iter().all(|part| !part.to_string().contains('*')),
                    "{}: {rule}",
                    role["metadata"]["name"]
                );
                if strings(&rule["resources"]).contains(&"secrets") {
                    assert_eq!(role["kind"], "Role", "{rule}");
                    let by_name = !strings(&rule["resourceNames"]).is_empty();
                    assert!(by_name || strings(&rule["verbs"]) == ["create"], "{rule}");
                }
            }
        }
    }
}

#[test]
fn people_get_workspaces_of_their_namespace_and_a_view_of_the_catalogue() {
    let objects = template(&LOCAL).unwrap();
    let user = named(&objects, "ClusterRole", "jupyter-k8s-workspace-user");
    let verbs = ["get", "list", "watch", "create", "update", "patch", "delete"];
    assert_eq!(user["rules"].as_array().unwrap().len(), 1);
    assert_eq!(strings(&user["rules"][0]["resources"]), ["workspaces"]);
    assert_eq!(strings(&user["rules"][0]["verbs"]), verbs);
    let binding = named(&objects, "RoleBinding", "jupyter-k8s-workspace-user");
    assert_eq!(binding["metadata"]["namespace"], "team-demo");
    assert_eq!(binding["subjects"][0]["name"], "alice");
    let viewers = named(&objects, "ClusterRoleBinding", "jupyter-k8s-catalog-viewer");
    assert_eq!(viewers["subjects"], binding["subjects"]);
    let namespace = named(&objects, "Namespace", "team-demo");
    assert_eq!(
        namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"],
        "restricted"
    );
    assert_eq!(
        namespace["metadata"]["annotations"]["helm.sh/resource-policy"],
        "keep"
    );
}

#[test]
fn the_proxy_holds_no_kubernetes_credentials() {
    for objects in installations() {
        let pods = pods(&objects);
        let (_, proxy) = pods
            .iter()
            .find(|(name, _)| *name == "jupyter-k8s-proxy")
            .unwrap();
        assert_eq!(proxy["automountServiceAccountToken"], false);
        assert!(!proxy["volumes"].to_string().contains("serviceAccountToken"));
        let account = &proxy["serviceAccountName"];
        for binding in [
            of_kind(&objects, "RoleBinding"),
            of_kind(&objects, "ClusterRoleBinding"),
        ]
        .concat()
        {
            let subjects = binding["subjects"].as_array().unwrap();
            assert!(
                subjects.iter().all(|subject| subject["name"] != *account),
                "{binding}"
            );
        }
    }
}

#[test]
fn the_proxy_asks_the_gateway_about_all_but_its_own_pages_and_sends_upgrades_to_the_relay() {
    let objects = template(&LOCAL).unwrap();
    let text = named(&objects, "ConfigMap", "jupyter-k8s-proxy")["data"]["routes.yaml"]
        .as_str()
        .unwrap();
    let routes: Value = serde_saphyr::from_str(text).unwrap();
    let routers = &routes["http"]["routers"];
    let workspaces =
        r"HostRegexp(`^[a-z0-9-]{1,63}\.workspaces\.localhost$`) && !Host(`auth.workspaces.localhost`)";
    assert_eq!(routers["gate"]["rule"], workspaces);
    assert_eq!(strings(&routers["gate"]["middlewares"]), ["gate"]);
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
    let gate = &routes["http"]["middlewares"]["gate"]["forwardAuth"];
    assert_eq!(
        gate["address"],
        "https://jupyter-k8s-gateway.jupyter-k8s-system.svc:8443/verify"
    );
    assert_eq!(gate["trustForwardHeader"], false);
    assert_eq!(strings(&gate["authResponseHeaders"]), ["Authorization", "Cookie"]);
    assert_eq!(strings(&gate["addAuthCookiesToResponse"]), ["__Host-ws"]);
    assert!(
        gate["tls"]["cert"].is_string(),
        "the gateway demands a client certificate"
    );
}

#[test]
fn no_query_reaches_the_access_log() {
    let objects = template(&EXTERNAL).unwrap();
    let containers = containers(&objects);
    let (_, proxy) = containers
        .iter()
        .find(|(name, _)| *name == "jupyter-k8s-proxy")
        .unwrap();
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
    assert_eq!(client["directAccessGrantsEnabled"], false);
    let containers = containers(&objects);
    let gateway = containers
        .iter()
        .find(|(name, _)| *name == "jupyter-k8s-gateway")
        .unwrap()
        .1;
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

#[test]
fn admission_fails_closed_for_workspaces_alone_and_leaves_the_ca_to_the_webhook() {
    let objects = template(&EXTERNAL).unwrap();
    for (kind, path) in [
        ("MutatingWebhookConfiguration", "/mutate"),
        ("ValidatingWebhookConfiguration", "/validate"),
    ] {
        let configuration = named(&objects, kind, "jupyter-k8s-webhook");
        let [webhook] = &configuration["webhooks"].as_array().unwrap()[..] else {
            panic!("{configuration}")
        };
        assert_eq!(webhook["failurePolicy"], "Fail");
        assert_eq!(webhook["clientConfig"]["service"]["path"], path);
        assert!(webhook["clientConfig"]["caBundle"].is_null());
        assert_eq!(strings(&webhook["rules"][0]["resources"]), ["workspaces"]);
        assert_eq!(strings(&webhook["rules"][0]["operations"]), ["CREATE", "UPDATE"]);
        let expression = &webhook["namespaceSelector"]["matchExpressions"][0];
        assert_eq!(expression["operator"], "NotIn");
        assert_eq!(
            strings(&expression["values"]),
            ["kube-system", "jupyter-k8s-system"]
        );
    }
}

#[test]
fn a_disruption_budget_stands_where_there_are_several_replicas() {
    for objects in installations() {
        for deployment in of_kind(&objects, "Deployment") {
            let name = deployment["metadata"]["name"].as_str().unwrap();
            let budget = of_kind(&objects, "PodDisruptionBudget")
                .into_iter()
                .any(|budget| budget["metadata"]["name"] == name);
            assert_eq!(
                budget,
                deployment["spec"]["replicas"].as_u64().unwrap() > 1,
                "{name}"
            );
        }
    }
}

#[test]
fn every_component_accepts_connections_only_where_it_listens() {
    for objects in installations() {
        for (name, _) in pods(&objects) {
            let policy = named(&objects, "NetworkPolicy", name);
            assert!(
                strings(&policy["spec"]["policyTypes"]).contains(&"Ingress"),
                "{name}"
            );
            for rule in policy["spec"]["ingress"].as_array().into_iter().flatten() {
                assert!(rule["ports"].is_array(), "{name}: {rule}");
            }
        }
        let gateway = named(&objects, "NetworkPolicy", "jupyter-k8s-gateway");
        let peer = &gateway["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"];
        assert_eq!(peer["app.kubernetes.io/component"], "proxy");
    }
}

#[test]
fn every_default_is_in_the_schema_and_every_setting_has_a_default() {
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(chart().join("values.schema.json")).unwrap()).unwrap();
    let values: Value =
        serde_saphyr::from_str(&std::fs::read_to_string(chart().join("values.yaml")).unwrap()).unwrap();
    compare("", &schema["properties"], &values);
}

/// Keys of `values` must be exactly those that the schema's properties name, level by level.
fn compare(path: &str, properties: &Value, values: &Value) {
    let (Some(properties), Some(values)) = (properties.as_object(), values.as_object()) else {
        return;
    };
    let known: BTreeSet<_> = properties.keys().collect();
    let given: BTreeSet<_> = values.keys().collect();
    assert_eq!(known, given, "below `{path}`");
    for (key, value) in values {
        compare(&format!("{path}{key}."), &properties[key]["properties"], value);
    }
}

#[test]
fn the_schema_of_templates_knows_every_field_of_the_custom_resource() {
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(chart().join("values.schema.json")).unwrap()).unwrap();
    let ours: BTreeSet<_> = schema["definitions"]["template"]["properties"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    let crd = serde_json::to_value(api::WorkspaceTemplate::crd()).unwrap();
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    let theirs: BTreeSet<_> = spec.as_object().unwrap().keys().cloned().collect();
    assert_eq!(ours, theirs);
}
