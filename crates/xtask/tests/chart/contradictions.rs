//! values that are valid alone and contradict each other -> refusals (IO: runs `helm`).

use std::fs;

use serde_json::json;

use crate::render::{accepted, chart, refused, with_values};

/// Settings, and the required text of their refusals.
pub(crate) fn each_is_refused(cases: &[(&str, &str)]) {
    for (setting, expected) in cases {
        let reason = refused(setting);
        assert!(reason.contains(expected), "{setting}: {reason}");
    }
}

fn template_with(fields: &str) -> String {
    format!(r#"templates.t={{"displayName":"t","defaultImage":"uv",{fields}}}"#)
}

#[test]
fn an_address_to_dial_is_a_host_and_a_port_alone() {
    each_is_refused(&[
        (
            r#"oidc.connectTo="https://keycloak.identity.svc:8443""#,
            r#"oidc.connectTo: "https://keycloak.identity.svc:8443" is not <host>:<port>, such as"#,
        ),
        (
            r#"oidc.connectTo="keycloak.svc:8443/realms""#,
            "no scheme and no path",
        ),
        (r#"oidc.connectTo="keycloak.svc:65536""#, "a port from 1 to 65535"),
        (r#"oidc.connectTo="keycloak.svc:0""#, "a port from 1 to 65535"),
        (
            r#"oidc.others=[{"name":"p","issuerUrl":"https://p.example","clientId":"c","connectTo":"tcp://p:1"}]"#,
            r#"oidc.others[0].connectTo: "tcp://p:1" is not <host>:<port>"#,
        ),
    ]);
    for address in [
        "keycloak.identity.svc:8443",
        "10.0.0.1:65535",
        "[2001:db8::1]:443",
    ] {
        accepted(&format!("oidc.connectTo={address:?}"));
    }
}

#[test]
fn the_client_of_kubectl_is_another_than_those_that_the_gateway_and_the_provider_use() {
    let with = |id: &str| format!(r#"identity.kubectlClientId="{id}""#);
    each_is_refused(&[
        (
            &with("jupyter-k8s"),
            "is the client that people sign in with (oidc.clientId): choose another id",
        ),
        (
            &with("account"),
            "is a client of Keycloak's own: choose another id",
        ),
        (
            &with("a b"),
            r#"identity.kubectlClientId: "a b" is no id of a client"#,
        ),
    ]);
    let both = json!({
        "identity": {"kubectlClientId": "kubectl"},
        "gateway": {"bearer": {"enabled": true, "audiences": ["kubectl"]}},
    });
    let reason = with_values(both, &[]).unwrap_err();
    let expected =
        r#"gateway.bearer.audiences: "kubectl" is the client of kubectl (identity.kubectlClientId)"#;
    assert!(reason.contains(expected), "{reason}");
    accepted(&with("kubectl"));
}

#[test]
fn an_ip_address_is_no_domain_for_workspaces() {
    each_is_refused(&[
        (
            r#"routing.baseDomain="10.0.0.1""#,
            r#"routing.baseDomain: "10.0.0.1" is no domain such as workspaces.example.org"#,
        ),
        (
            r#"routing.baseDomain="workspaces.0x7f""#,
            "an IP address is no domain",
        ),
        (
            r#"identity={"enabled":true,"host":"192.0.2.7"}"#,
            r#"identity.host: "192.0.2.7" is no domain"#,
        ),
    ]);
    accepted(r#"routing.baseDomain="10.0.0.1.nip.io""#);
}

#[test]
fn image_aliases_have_valid_names_and_images() {
    each_is_refused(&[
        (
            r#"settings.imageAliases={"gpu":"https://r.example/gpu:1"}"#,
            r#"settings.imageAliases.gpu: "https://r.example/gpu:1" is no name of an image"#,
        ),
        (
            r#"settings.imageAliases={"gpu":"r.example/GPU"}"#,
            "the name in lower case, such as",
        ),
        (
            r#"settings.imageAliases={"g p":"r.example/gpu"}"#,
            r#"settings.imageAliases: "g p" is no short name of an image"#,
        ),
        (
            r#"settings.imageAliases={"gpu":"uv"}"#,
            r#"settings.imageAliases.gpu: "uv" is itself an alias"#,
        ),
        (
            r#"settings.imageAliases={"a":"b","b":"r.example/b:1"}"#,
            r#"settings.imageAliases.a: "b" is itself an alias, and an alias never leads to another: name an image"#,
        ),
        (
            r#"settings.defaultImage="r.example/a b""#,
            r#"settings.defaultImage: "r.example/a b" is no name of an image"#,
        ),
        (
            r#"templates.t={"displayName":"t","defaultImage":"r.example/x:y:z"}"#,
            r#"templates.t.defaultImage: "r.example/x:y:z" is neither a name of an image"#,
        ),
    ]);
    let digest = "0a".repeat(32);
    accepted(&format!(
        r#"settings.imageAliases={{"uv":"r.example:5000/team/uv:1","GPU-2025":"R.example/g__p-u@sha256:{digest}"}}"#
    ));
    accepted(r#"templates.t={"displayName":"t","defaultImage":"r.example/{workspace.namespace}:1"}"#);
}

#[test]
fn the_webhook_gets_the_memory_that_the_largest_requests_take() {
    let reason = refused(r#"webhook.resources={"limits":{"memory":"512Mi"}}"#);
    let expected = r#"webhook.resources.limits.memory: "512Mi" is less than 1Gi"#;
    assert!(reason.contains(expected), "{reason}");
    accepted(r#"webhook.resources={"limits":{"memory":"2Gi"}}"#);
}

#[test]
fn a_request_is_never_more_than_its_limit() {
    let expected = |at: &str| {
        format!(
            r#"{at}.requests.cpu: "3" is more than {at}.limits.cpu ("2"): lower the one or raise the other"#
        )
    };
    for program in ["proxy", "gateway", "portal", "operator", "webhook", "identity"] {
        let at = format!("{program}.resources");
        let reason = refused(&format!(
            r#"{at}={{"requests":{{"cpu":"3"}},"limits":{{"cpu":"2"}}}}"#
        ));
        assert!(reason.contains(&expected(&at)), "{reason}");
    }
    let some = r#"{"requests":{"cpu":"3"},"limits":{"cpu":"2"}}"#;
    let reason = refused(&format!("settings.defaultResources={some}"));
    assert!(
        reason.contains(&expected("settings.defaultResources")),
        "{reason}"
    );
    let reason = refused(&template_with(&format!(r#""defaultResources":{some}"#)));
    assert!(
        reason.contains(&expected("templates.t.defaultResources")),
        "{reason}"
    );
}

#[test]
fn amounts_are_compared_as_kubernetes_does() {
    let memory = |request: &str, limit: &str| {
        format!(
            r#"settings.defaultResources={{"requests":{{"memory":{request}}},"limits":{{"memory":{limit}}}}}"#
        )
    };
    for (less, more) in [
        (r#""500m""#, "1"),
        (r#""1G""#, r#""1Gi""#),
        (r#""1023Mi""#, r#""1Gi""#),
        (r#""1e3""#, r#""1.1k""#),
        (r#""900P""#, r#""1E""#),
        (r#""1Gi""#, "1073741825"),
        (r#""1.5Ti""#, r#""2Ti""#),
    ] {
        accepted(&memory(less, more));
        let reason = refused(&memory(more, less));
        assert!(
            reason.contains("settings.defaultResources.requests.memory: "),
            "{reason}"
        );
    }
    for (one, same) in [
        (r#""700m""#, r#"".7""#),
        (r#""1Gi""#, "1073741824"),
        (r#""1000m""#, "1"),
        (r#""1e3""#, r#""1k""#),
    ] {
        accepted(&memory(one, same));
        accepted(&memory(same, one));
    }
}

#[test]
fn ranges_of_a_template_are_not_empty_and_contain_its_defaults() {
    for (fields, expected) in [
        (
            r#""primaryStorage":{"minSize":"2Ti","maxSize":"50Gi"}"#,
            r#"primaryStorage.minSize: "2Ti" is more than templates.t.primaryStorage.maxSize ("50Gi")"#,
        ),
        (
            r#""primaryStorage":{"defaultSize":"60Gi","maxSize":"50Gi"}"#,
            r#"primaryStorage.defaultSize: "60Gi" is more than templates.t.primaryStorage.maxSize ("50Gi")"#,
        ),
        (
            r#""primaryStorage":{"defaultSize":"1Gi","minSize":"2Gi"}"#,
            r#"primaryStorage.minSize: "2Gi" is more than templates.t.primaryStorage.defaultSize ("1Gi")"#,
        ),
        (
            r#""resourceBounds":{"cpu":{"min":2,"max":"1500m"}}"#,
            r#"resourceBounds.cpu.min: "2" is more than templates.t.resourceBounds.cpu.max ("1500m")"#,
        ),
        (
            r#""resourceBounds":{"resources":{"example.com/licence":{"min":2,"max":1}}}"#,
            r#"resourceBounds.resources.example.com/licence.min: "2" is more than"#,
        ),
        (
            r#""resourceBounds":{"memory":{"max":"1Gi"}},"defaultResources":{"limits":{"memory":"2Gi"}}"#,
            r#"defaultResources.limits.memory: "2Gi" is more than templates.t.resourceBounds.memory.max ("1Gi")"#,
        ),
        (
            r#""resourceBounds":{"gpu":{"max":0}},"defaultResources":{"limits":{"nvidia.com/mig-1g.5gb":1}}"#,
            r#"defaultResources.limits.nvidia.com/mig-1g.5gb: "1" is more than templates.t.resourceBounds.gpu.max ("0")"#,
        ),
        (
            r#""resourceBounds":{"cpu":{"min":"1"}},"defaultResources":{"requests":{"cpu":"100m"}}"#,
            r#"resourceBounds.cpu.min: "1" is more than templates.t.defaultResources.requests.cpu ("100m")"#,
        ),
        (
            r#""defaultShmSize":"2Gi","maxShmSize":"1Gi""#,
            r#"templates.t.defaultShmSize: "2Gi" is more than templates.t.maxShmSize ("1Gi")"#,
        ),
        (
            r#""idleShutdownOverrides":{"minIdleTimeoutInMinutes":60,"maxIdleTimeoutInMinutes":30}"#,
            r#"minIdleTimeoutInMinutes: "60" is more than templates.t.idleShutdownOverrides.maxIdleTimeoutInMinutes ("30")"#,
        ),
        (
            r#""idleShutdownOverrides":{"maxIdleTimeoutInMinutes":30},"defaultIdleShutdown":{"idleTimeoutInMinutes":60}"#,
            r#"templates.t.defaultIdleShutdown.idleTimeoutInMinutes: "60" is more than"#,
        ),
        (
            r#""limitBounds":{"startTimeoutMinutes":{"min":10,"max":9}}"#,
            r#"min: "10" is more than templates.t.limitBounds.startTimeoutMinutes.max ("9")"#,
        ),
        (
            r#""limitBounds":{"startTimeoutMinutes":{"max":9}},"defaultLimits":{"startTimeoutMinutes":10}"#,
            r#"templates.t.defaultLimits.startTimeoutMinutes: "10" is more than"#,
        ),
        (
            r#""allowedImages":["r.example/a:1"]"#,
            r#"templates.t.defaultImage: "uv" is not among templates.t.allowedImages: add it there, or choose one of them"#,
        ),
    ] {
        let reason = refused(&template_with(fields));
        assert!(reason.contains(expected), "{fields}: {reason}");
    }
    accepted(&template_with(
        r#""primaryStorage":{"defaultSize":"1Gi","minSize":"1Gi","maxSize":"1024Mi"},"allowedImages":["uv"],"resourceBounds":{"cpu":{"min":"100m","max":1},"gpu":{"max":0}},"defaultResources":{"requests":{"cpu":"100m"},"limits":{"cpu":"1"}},"idleShutdownOverrides":{"minIdleTimeoutInMinutes":5,"maxIdleTimeoutInMinutes":60},"defaultIdleShutdown":{"idleTimeoutInMinutes":60},"limitBounds":{"startTimeoutMinutes":{"min":5,"max":5}},"defaultLimits":{"startTimeoutMinutes":5}"#,
    ));
}

#[test]
fn the_default_template_is_one_of_the_templates() {
    let reason = refused(r#"defaultTemplate="jupyter-lab""#);
    let expected = r#"defaultTemplate: "jupyter-lab" is no entry of templates, and so the default of no workspace: write one of jupyterlab, or "" for none"#;
    assert!(reason.contains(expected), "{reason}");
    let other =
        json!({"templates": {"jupyterlab": null, "prod": {"displayName": "P", "defaultImage": "uv"}}});
    let reason = with_values(other.clone(), &[]).unwrap_err();
    assert!(
        reason.contains(r#"defaultTemplate: "jupyterlab" is no entry of templates"#)
            && reason.contains("write one of prod, or"),
        "{reason}"
    );
    for default in ["prod", ""] {
        let mut values = other.clone();
        values["defaultTemplate"] = json!(default);
        with_values(values, &[]).unwrap();
    }
    // Without templates the notes say that there are none.
    accepted(r#"templates={"jupyterlab":null}"#);
}

#[test]
fn colours_with_low_contrast_are_refused() {
    each_is_refused(&[
        (
            r##"gateway.pages.accentColor="#ffd54f""##,
            r##"gateway.pages.accentColor: "#ffd54f" on #eaeef4 has a contrast of 1.21, and links in it cannot be read: choose a darker colour"##,
        ),
        // #6c6c6c is the lightest grey that can be read on each background.
        (
            r##"gateway.pages.accentColor="#6d6d6d""##,
            "has a contrast of 4.44",
        ),
        (
            r##"gateway.pages.accentColorDark="#0B5CAD""##,
            "on #262c37 has a contrast of 2.10, and links in it cannot be read: choose a lighter colour",
        ),
    ]);
    accepted(r##"gateway.pages={"accentColor":"#6c6c6c","accentColorDark":"#ffd54f"}"##);
}

#[test]
fn contrast_is_computed_as_in_the_gateway() {
    let ours = fs::read_to_string(chart().join("templates/_checks_pages.tpl")).unwrap();
    let (_, table) = ours.split_once(r#"define "jk8s.linear" -}}"#).unwrap();
    let (table, _) = table.split_once("{{- end }}").unwrap();
    let table: Vec<u64> = table
        .split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect();
    let linear = |value: u32| {
        let value = f64::from(value) / 255.0;
        let light = if value <= 0.04045 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        };
        format!("{:.0}", light * 1e9)
    };
    assert_eq!(table.len(), 256);
    for (value, light) in (0..).zip(table) {
        assert_eq!(light.to_string(), linear(value), "{value}");
    }
    let theme = fs::read_to_string(chart().join("../../crates/theme/src/colour.rs")).unwrap();
    assert!(theme.contains("[Colour([0xea, 0xee, 0xf4]), Colour([0x26, 0x2c, 0x37])]"));
    assert!(theme.contains("const READABLE: f64 = 4.5;"));
}

#[test]
fn user_namespaces_are_named_once() {
    each_is_refused(&[
        (
            r#"userNamespaces=[{"name":"team-a"},{"name":"team-b"},{"name":"team-a"}]"#,
            r#"userNamespaces[2].name: "team-a" is also the name of userNamespaces[0]: put users and groups of both into one entry"#,
        ),
        (
            r#"userNamespaces=[{"name":"kube-system"}]"#,
            r#"userNamespaces[0].name: "kube-system" is a namespace of the cluster's own, which no release can make: choose another name"#,
        ),
        (
            r#"userNamespaces=[{"name":"default"}]"#,
            r#""default" is a namespace of the cluster's own"#,
        ),
        (
            r#"userNamespaces=[{"name":"jupyter-k8s-system"}]"#,
            r#""jupyter-k8s-system" is the namespace of this release itself, which holds its keys: choose another"#,
        ),
    ]);
    accepted(r#"userNamespaces=[{"name":"team-a"},{"name":"team-b"},{"name":"kubeflow"}]"#);
}

#[test]
fn no_administrator_group_contains_all_users() {
    for group in [
        "system:authenticated",
        "system:unauthenticated",
        "system:serviceaccounts",
    ] {
        let reason = refused(&format!(
            r#"userNamespaces=[{{"name":"team-a","adminGroups":["staff","{group}"]}}]"#
        ));
        let expected = format!(r#"userNamespaces[0].adminGroups[1]: "{group}" contains every "#);
        assert!(
            reason.contains(&expected) && reason.contains("name a group of administrators"),
            "{reason}"
        );
        let reason = refused(&format!(
            r#"manager.authorization.adminGroups=["staff","{group}"]"#
        ));
        let expected =
            format!(r#"manager.authorization.adminGroups[1]: "{group}" is a system group of every "#);
        assert!(
            reason.contains(&expected) && reason.contains("name a group of administrators"),
            "{reason}"
        );
    }
    // The manager's own rule knows no exception.
    let reason = refused(r#"manager.authorization.adminGroups=["system:masters"]"#);
    assert!(
        reason.contains(r#""system:masters" is a system group. Its members"#),
        "{reason}"
    );
    accepted(
        r#"userNamespaces=[{"name":"team-a","groups":["system:authenticated"],"adminGroups":["system:serviceaccounts:ci"]}]"#,
    );
    accepted(r#"manager.authorization.adminGroups=["oidc:platform"]"#);
    let reason = refused(r#"administrators={"groups":["system:masters"],"users":["system:admin"]}"#);
    for expected in [
        r#"administrators.groups[0]: "system:masters" is a system group. Its members"#,
        r#"administrators.users[0]: "system:admin" is an account of the system"#,
    ] {
        assert!(reason.contains(expected), "{reason}");
    }
    let reason = refused(r#"administrators={"users":["carol "]}"#);
    assert!(
        reason.contains(r#"administrators.users[0]: "carol " has a space"#),
        "{reason}"
    );
    accepted(r#"administrators={"users":["carol@example.org"],"groups":["oidc:platform"]}"#);
}

#[test]
fn bearer_settings_require_bearer_to_be_enabled() {
    each_is_refused(&[
        (
            r#"gateway.bearer={"audiences":["scripts"]}"#,
            r#"gateway.bearer.audiences: "scripts" has no effect while gateway.bearer.enabled is false: set that to true, or leave the list empty"#,
        ),
        (
            r#"gateway.bearer={"issuers":["https://kubernetes.default.svc"]}"#,
            "gateway.bearer.issuers: \"https://kubernetes.default.svc\" has no effect",
        ),
    ]);
    accepted(
        r#"gateway.bearer={"enabled":true,"audiences":["scripts"],"issuers":["https://kubernetes.default.svc"]}"#,
    );
}

#[test]
fn the_service_of_the_proxy_has_only_fields_of_its_type() {
    each_is_refused(&[
        (
            r#"proxy.service={"type":"ClusterIP","externalTrafficPolicy":"Local"}"#,
            "proxy.service.externalTrafficPolicy: Local is for a Service that is reached from outside, which type ClusterIP without externalIPs is not",
        ),
        (
            r#"proxy.service={"type":"LoadBalancer","nodePort":"https"}"#,
            "proxy.service.nodePort: Invalid type. Expected: integer, given: string",
        ),
    ]);
    accepted(
        r#"proxy.service={"type":"ClusterIP","externalTrafficPolicy":"Local","externalIPs":["203.0.113.7"]}"#,
    );
    accepted(r#"proxy.service={"type":"NodePort","externalTrafficPolicy":"Local"}"#);
}
