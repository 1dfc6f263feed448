//! invalid values -> a refusal with field, value, rule and remedy (IO: runs `helm`).

use std::fs;

use serde_json::{Value, json};

use crate::render::{EXTERNAL, LOCAL, accepted, argument, chart, container, refusal, refused, template};

fn read(file: &str) -> String {
    fs::read_to_string(chart().join(file)).unwrap()
}

/// Whether the schema's node allows any text below a path of formats.yaml.
fn leads_to_a_text(schema: &Value, node: &Value, path: &[&str]) -> bool {
    if let Some(name) = node["$ref"].as_str() {
        let definition = schema.pointer(name.trim_start_matches('#'));
        return definition.is_some_and(|definition| leads_to_a_text(schema, definition, path));
    }
    let Some((first, rest)) = path.split_first() else {
        let kind = &node["type"];
        return kind == "string"
            || kind
                .as_array()
                .is_some_and(|kinds| kinds.contains(&json!("string")));
    };
    match *first {
        "@keys" => rest.is_empty() && node["additionalProperties"].is_object(),
        // The entries of a list, of a map of anything, or of one whose keys are all known.
        "*" if node["items"].is_object() => leads_to_a_text(schema, &node["items"], rest),
        "*" if node["additionalProperties"].is_object() => {
            leads_to_a_text(schema, &node["additionalProperties"], rest)
        }
        "*" => node["properties"]
            .as_object()
            .is_some_and(|all| all.values().all(|one| leads_to_a_text(schema, one, rest))),
        keys => keys
            .split('|')
            .all(|key| leads_to_a_text(schema, &node["properties"][key], rest)),
    }
}

#[test]
fn no_pattern_is_shown_bare_and_every_format_is_about_fields_that_exist() {
    let text = read("values.schema.json");
    for bare in [
        "\"pattern\"",
        "\"not\"",
        "\"anyOf\"",
        "\"allOf\"",
        "\"propertyNames\"",
    ] {
        assert!(!text.contains(bare), "helm has no sentence about {bare}");
    }
    let schema: Value = serde_json::from_str(&text).unwrap();
    let formats: Vec<Value> = serde_saphyr::from_str(&read("formats.yaml")).unwrap();
    assert!(!formats.is_empty());
    for format in formats {
        let rule = format["rule"].as_str().unwrap();
        assert!(rule.starts_with("is ") || rule.starts_with("has "), "{rule}");
        for field in ["fields", "optional"].map(|key| format[key].clone()) {
            for field in field.as_array().into_iter().flatten() {
                let path: Vec<&str> = field.as_str().unwrap().split('.').collect();
                assert!(leads_to_a_text(&schema, &schema, &path), "{field}");
            }
        }
    }
}

#[test]
fn an_invalid_text_is_refused_with_field_value_and_rule() {
    for (setting, start) in [
        (
            r#"routing.baseDomain="Ws.example.org""#,
            r#"routing.baseDomain: "Ws.example.org" is no domain such as"#,
        ),
        (
            r#"routing.baseDomain="*.example.org""#,
            r#"routing.baseDomain: "*.example.org" is no domain"#,
        ),
        (
            r#"image.registry="https://r.example/x""#,
            r#"image.registry: "https://r.example/x" is no registry"#,
        ),
        (
            r#"image.pullSecrets=[""]"#,
            r#"image.pullSecrets[0]: "" is no name of a Kubernetes object"#,
        ),
        (
            r#"image.pullSecrets=["ours",{"name":"Theirs"}]"#,
            r#"image.pullSecrets[1].name: "Theirs" is no name of a Kubernetes object"#,
        ),
        (
            r#"images.gateway.tag="sha256:abc""#,
            r#"images.gateway.tag: "sha256:abc" is no tag"#,
        ),
        (
            r#"oidc.issuerUrl="http://id.example.com""#,
            r#"oidc.issuerUrl: "http://id.example.com" is no issuer"#,
        ),
        (r#"oidc.issuerUrl="https://id.example.com:x""#, "is no issuer"),
        (r#"oidc.issuerUrl="https://id.example.com/%zz""#, "is no issuer"),
        (
            r#"oidc.connectTo="10.0.0.1""#,
            r#"oidc.connectTo: "10.0.0.1" is not <host>:<port>"#,
        ),
        (r#"oidc.scopes=["a b"]"#, r#"oidc.scopes[0]: "a b" is no scope"#),
        (
            r#"oidc.allowedEmailDomains=["*.example.org"]"#,
            r#"oidc.allowedEmailDomains[0]: "*.example.org" is no domain of e-mail"#,
        ),
        (
            r#"gateway.pages.accentColor="red""#,
            r#"gateway.pages.accentColor: "red" is no colour"#,
        ),
        (
            r#"gateway.pages.notice="a\nb""#,
            "gateway.pages.notice: \"a\\nb\" has a control character",
        ),
        (
            r#"webhook.controllerUsers=["a'b"]"#,
            r#"webhook.controllerUsers[0]: "a'b" is no user name"#,
        ),
        (
            r#"settings.defaultStorage.size="10 GB""#,
            r#"settings.defaultStorage.size: "10 GB" is no quantity"#,
        ),
        (
            r#"gateway.resources.limits.cpu="two""#,
            r#"gateway.resources.limits.cpu: "two" is no quantity"#,
        ),
        (
            r#"templates={"Big_One":{"displayName":"b","defaultImage":"uv"}}"#,
            r#"templates: "Big_One" is no name"#,
        ),
        (
            r#"templates={"b":{"displayName":"b","defaultImage":"uv","resourceBounds":{"cpu":{"max":"4 cpus"}}}}"#,
            r#"templates.b.resourceBounds.cpu.max: "4 cpus" is no quantity"#,
        ),
        (
            r#"userNamespaces=[{"name":"Team"}]"#,
            r#"userNamespaces[0].name: "Team" is no name of a namespace"#,
        ),
        (
            r#"userNamespaces=[{"name":"team","users":["alice","bob "]}]"#,
            r#"userNamespaces[0].users[1]: "bob " has a space at one of its ends"#,
        ),
        (
            r#"userNamespaces=[{"name":"team","adminGroups":[" oidc:staff"]}]"#,
            r#"userNamespaces[0].adminGroups[0]: " oidc:staff" has a space at one of its ends"#,
        ),
        (
            r#"proxy.service.externalIPs=["host"]"#,
            r#"proxy.service.externalIPs[0]: "host" is no IP address"#,
        ),
    ] {
        let reason = refused(setting);
        assert!(reason.contains(start), "{setting}: {reason}");
        assert!(!reason.contains("Does not match pattern"), "{reason}");
    }
    let both =
        template(&[&EXTERNAL[..], &["--set", "routing.baseDomain=A,oidc.connectTo=b"]].concat()).unwrap_err();
    assert!(
        both.contains("routing.baseDomain: ") && both.contains("oidc.connectTo: "),
        "{both}"
    );
    accepted(r#"oidc.issuerUrl="https://[2001:db8::1]:8443/realms/a%20b""#);
    accepted(r#"userNamespaces=[{"name":"team","users":["Alice Smith"],"groups":["a,b c"]}]"#);
}

#[test]
fn the_address_of_the_discovery_document_is_no_issuer() {
    let document = "/.well-known/openid-configuration";
    for end in ["", "/"] {
        let reason = refused(&format!(
            r#"oidc.issuerUrl="https://id.example.com/realms/a{document}{end}""#
        ));
        let expected =
            format!(r#"oidc.issuerUrl: "https://id.example.com/realms/a{document}{end}" ends in {document}"#);
        assert!(
            reason.contains(&expected) && reason.contains("leave it out"),
            "{reason}"
        );
    }
    let reason = refused(&format!(
        r#"oidc.others=[{{"name":"p","clientId":"c","issuerUrl":"https://p.example{document}"}}]"#
    ));
    assert!(
        reason.contains("oidc.others[0] (p).issuerUrl: ") && reason.contains("leave it out"),
        "{reason}"
    );
}

#[test]
fn trusted_proxies_are_networks_and_never_all_addresses() {
    for wrong in [
        "abc",
        "10.0.0.0/33",
        "10.0.0.256",
        "10.0.0",
        "10.0.0.0/",
        "2001:db8::/129",
        "2001:db8::1::",
        "1:2:3:4:5:6:7:8:9",
        "example.org",
    ] {
        let reason = refused(&format!("proxy.trustedProxies=[\"{wrong}\"]"));
        let expected = format!("proxy.trustedProxies[0]: \"{wrong}\" is no network or address");
        assert!(reason.contains(&expected), "{reason}");
    }
    for wide in [
        "0.0.0.0/0",
        "10.0.0.0/0",
        "128.0.0.0/1",
        "10.0.0.0/7",
        "::/0",
        "2000::/3",
        "::ffff:0:0/96",
        "0:0:0:0:0:FFFF:0:0/96",
    ] {
        let reason = refused(&format!("proxy.trustedProxies=[\"10.0.0.0/8\",\"{wide}\"]"));
        let expected = format!("proxy.trustedProxies[1]: \"{wide}\" is too wide");
        assert!(reason.contains(&expected), "{reason}");
    }
    accepted(
        r#"proxy.trustedProxies=["10.0.0.0/8","10.1.2.3","2001:db8::/32","::1","fe80::1:2","1:2:3:4:5:6:7:8"]"#,
    );
}

#[test]
fn an_allowed_group_that_no_user_can_have_is_refused() {
    for (oidc, expected) in [
        (
            r#"{"allowedGroups":["staff"]}"#,
            "oidc.allowedGroups[0]: no user can have the group \"staff\", because oidc.groupsClaim is not set",
        ),
        (
            r#"{"groupsClaim":"groups","groupsPrefix":"oidc:","allowedGroups":["staff"]}"#,
            "gets the prefix \"oidc:\" (oidc.groupsPrefix): write \"oidc:staff\"",
        ),
        (
            r#"{"groupsClaim":"groups","groupsPrefix":"oidc:","groupsFilter":["jupyter-"],"allowedGroups":["oidc:jupyter-a","oidc:staff"]}"#,
            "oidc.allowedGroups[1]: no user can have the group \"oidc:staff\", because oidc.groupsFilter leaves out \"staff\"",
        ),
        (
            r#"{"usernamePrefix":"m:","others":[{"name":"p","issuerUrl":"https://p.example","clientId":"c","allowedGroups":["p:x"]}]}"#,
            "oidc.others[0] (p).allowedGroups[0]: no user can have",
        ),
    ] {
        let reason = refused(&format!("oidc={oidc}"));
        assert!(reason.contains(expected), "{reason}");
    }
    accepted(
        r#"oidc={"groupsClaim":"groups","groupsPrefix":"oidc:","groupsFilter":["jupyter-"],"allowedGroups":["oidc:jupyter-a"]}"#,
    );
}

#[test]
fn providers_that_could_give_two_users_one_name_are_refused() {
    let pair = |main: &str, other: &str| {
        format!(
            r#"oidc={{{main}"others":[{{"name":"partners","clientId":"c","issuerUrl":"https://p.example"{other}}}]}}"#
        )
    };
    for (main, other, expected) in [
        (
            r#""usernamePrefix":"-","#,
            "",
            "oidc.others[0] (partners).usernamePrefix: \"https://p.example#\", and \"\" of oidc, could give two people one user name",
        ),
        (
            r#""usernameClaim":"email","#,
            r#","usernamePrefix":"p:""#,
            "could give two people one user name",
        ),
        (
            r#""usernamePrefix":"a:","#,
            r#","usernamePrefix":"a:b:""#,
            "neither may be empty or the beginning of the other",
        ),
        (
            r#""groupsClaim":"g","#,
            r#","groupsClaim":"g","groupsPrefix":"p:""#,
            "could give two groups one name",
        ),
        (
            r#""issuerUrl":"https://p.example","#,
            r#","usernamePrefix":"p:""#,
            "(partners).issuerUrl: oidc has the same issuer",
        ),
    ] {
        let reason = refused(&pair(main, other));
        assert!(reason.contains(expected), "{reason}");
    }
    // Each has its issuer as a prefix of names, and only one of them has groups.
    accepted(&pair("", ""));
    accepted(&pair(r#""groupsClaim":"g","#, ""));
}

#[test]
fn a_shorter_session_limits_the_idle_time_and_a_contradiction_is_refused() {
    let idle = |settings: &str| {
        let objects = template(&[&EXTERNAL[..], &["--set", settings]].concat()).unwrap();
        let gateway = container(&objects, "jupyter-k8s-gateway");
        argument(gateway, "--session-idle-minutes").unwrap().to_owned()
    };
    assert_eq!(idle("gateway.session.lifetimeMinutes=60"), "60");
    assert_eq!(idle("gateway.session.lifetimeMinutes=600"), "120");
    assert_eq!(
        idle("gateway.session.lifetimeMinutes=60,gateway.session.idleMinutes=30"),
        "30"
    );
    let reason = refusal(
        &EXTERNAL,
        "gateway.session.lifetimeMinutes=60,gateway.session.idleMinutes=90",
    );
    let expected = "gateway.session.idleMinutes: 90 is more than gateway.session.lifetimeMinutes (60), with which every session ends: set it to 60 or less";
    assert!(reason.contains(expected), "{reason}");
    let values: Value = serde_saphyr::from_str(&read("values.yaml")).unwrap();
    let default = &values["gateway"]["session"]["idleMinutes"];
    let known = format!(r#"define "jk8s.defaultIdleMinutes" -}}}}{default}{{{{"#);
    assert!(read("templates/_checks.tpl").contains(&known), "{known}");
}

#[test]
fn all_contradictory_values_are_reported_at_once() {
    let reason = refusal(
        &LOCAL,
        "oidc.issuerUrl=https://id.example.com,routing.pathModeSharing=AcceptRisk,proxy.trustedProxies={::/0}",
    );
    for setting in [
        "identity.enabled",
        "routing.pathModeSharing",
        "proxy.trustedProxies[0]",
    ] {
        assert!(reason.contains(setting), "{setting}: {reason}");
    }
}

#[test]
fn the_login_client_is_refused_as_an_audience_of_tokens() {
    let others = r#"oidc.others=[{"name":"partners","clientId":"theirs","issuerUrl":"https://p.example"}]"#;
    for (audiences, expected) in [
        (
            "gateway.bearer.audiences={gateway}",
            r#"gateway.bearer.audiences: "gateway" is the client that people sign in with (oidc.clientId)"#,
        ),
        (
            "gateway.bearer.audiences={scripts,theirs}",
            r#"gateway.bearer.audiences: "theirs" is the client that people sign in with (oidc.others[0] (partners).clientId)"#,
        ),
    ] {
        let values = [
            "--set",
            "oidc.clientId=gateway",
            "--set-json",
            others,
            "--set",
            audiences,
        ];
        let reason = template(&[&EXTERNAL[..], &values].concat()).unwrap_err();
        assert!(reason.contains(expected), "{reason}");
    }
    accepted(r#"gateway.bearer={"enabled":true,"audiences":["scripts"]}"#);
    let reason = refused(r#"gateway.bearer={"audiences":["a,b"]}"#);
    assert!(
        reason.contains(r#"gateway.bearer.audiences[0]: "a,b" is no name in a token"#),
        "{reason}"
    );
}
