//! rendered objects -> what they refer to exists, secrets stay in Secrets (IO: runs `helm`).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::render::{SYSTEM, list, name, named, of_kind, pods, rendering, renderings, with};

/// Secrets that the components write while they run; docs/install.md lists them.
const WRITTEN: [&str; 8] = [
    "jupyter-k8s-gateway-ca",
    "jupyter-k8s-gateway-keys",
    "jupyter-k8s-proxy-client",
    "jupyter-k8s-proxy-self-signed",
    "jupyter-k8s-portal-tls",
    "jupyter-k8s-operator-keys",
    "jupyter-k8s-webhook-cert",
    "jupyter-k8s-proxy-tls",
];

fn refer(found: &mut BTreeSet<(&'static str, String)>, kind: &'static str, name: &Value) {
    if let Some(name) = name.as_str() {
        found.insert((kind, name.to_owned()));
    }
}

/// Objects that this value refers to by fields of pods, webhook configurations, roles' bindings and routes.
fn references(value: &Value, found: &mut BTreeSet<(&'static str, String)>) {
    let Value::Object(fields) = value else {
        list(value).for_each(|item| references(item, found));
        if let Some(text) = value.as_str() {
            for (start, _) in text.match_indices(".jupyter-k8s-system.svc") {
                let host = text[..start]
                    .rsplit(|one: char| !one.is_ascii_alphanumeric() && one != '-')
                    .next();
                refer(found, "Service", &json!(host));
            }
        }
        return;
    };
    for (field, inner) in fields {
        match field.as_str() {
            "configMap" | "configMapKeyRef" | "configMapRef" => refer(found, "ConfigMap", &inner["name"]),
            "secretKeyRef" | "secretRef" => refer(found, "Secret", &inner["name"]),
            "secret" => {
                refer(found, "Secret", &inner["secretName"]);
                refer(found, "Secret", &inner["name"]);
            }
            "serviceAccountName" => refer(found, "ServiceAccount", inner),
            "priorityClassName" => refer(found, "PriorityClass", inner),
            "clientConfig" => refer(found, "Service", &inner["service"]["name"]),
            "subjects" => {
                let accounts = list(inner).filter(|subject| subject["kind"] == "ServiceAccount");
                accounts.for_each(|subject| refer(found, "ServiceAccount", &subject["name"]));
            }
            "roleRef" if inner["kind"] == "Role" => refer(found, "Role", &inner["name"]),
            "roleRef" => refer(found, "ClusterRole", &inner["name"]),
            _ => {}
        }
        references(inner, found);
    }
}

/// Objects that are referred to and that neither the chart nor a component makes.
fn expected(objects: &[Value]) -> BTreeSet<(&'static str, String)> {
    let mut found = BTreeSet::new();
    for object in objects {
        references(object, &mut found);
    }
    assert!(!found.is_empty());
    let is_made = |(kind, wanted): &(&str, String)| {
        WRITTEN.contains(&wanted.as_str())
            || of_kind(objects, kind).iter().any(|object| name(object) == wanted)
    };
    found.into_iter().filter(|one| !is_made(one)).collect()
}

#[test]
fn every_object_that_is_referred_to_is_made_or_named_by_the_values() {
    for one in renderings() {
        // The other half has roles and accounts.
        let is_half = ["cluster-half", "one-namespace"].contains(&one.name.as_str());
        for (kind, wanted) in expected(&one.objects) {
            let is_known = match kind {
                "Secret" | "ConfigMap" => one.notes.contains(&format!(" {wanted}")),
                "ServiceAccount" => is_half || wanted == "known-gateway",
                "PriorityClass" => wanted == "theirs",
                _ => is_half,
            };
            // The notes of the cluster's half leave the rest to the other administrator.
            assert!(
                is_known || one.name == "cluster-half",
                "{}: {kind} {wanted}",
                one.name
            );
        }
    }
}

#[test]
fn every_combination_of_parts_refers_to_existing_objects_or_is_refused() {
    const SWITCHES: [&str; 5] = ["proxy", "gateway", "manager", "identity", "portal"];
    let mut rendered = 0;
    for bits in 0..1 << SWITCHES.len() {
        let is_on = |part: &str| bits >> SWITCHES.iter().position(|one| *one == part).unwrap() & 1 == 0;
        let mut values = json!({"oidc": {"issuerUrl": "https://id.example.com/realm"}});
        for part in SWITCHES {
            values[part] = json!({"enabled": is_on(part)});
        }
        if is_on("identity") {
            values["identity"]["host"] = json!("id.example.net");
            values["oidc"]["issuerUrl"] = json!("");
        }
        let needs = |part: &str, other: &str| !is_on(part) || is_on(other);
        let works = ["proxy", "manager", "identity", "portal"]
            .iter()
            .all(|part| needs(part, "gateway"))
            && needs("identity", "proxy")
            && needs("portal", "proxy");
        match with(&values, &[]) {
            Ok(objects) => {
                assert!(works, "{values}");
                rendered += 1;
                for (kind, wanted) in expected(&objects) {
                    let is_known = kind == "Secret" && ["tls", "jupyter-k8s-oidc"].contains(&wanted.as_str());
                    assert!(is_known, "{values}: {kind} {wanted} does not exist");
                }
            }
            Err(reason) => assert!(
                !works && reason.contains(".enabled: must be true with "),
                "{values}: {reason}"
            ),
        }
    }
    assert_eq!(rendered, 1 + 8 + 2, "combinations that work");
}

#[test]
fn every_object_has_its_namespace_and_no_secret_is_in_the_rendering() {
    for one in renderings() {
        assert!(of_kind(&one.objects, "Secret").is_empty(), "{}", one.name);
        for object in one.objects.iter().filter(|object| object["kind"] == "ConfigMap") {
            let text = object["data"].to_string();
            for wrong in ["PRIVATE KEY", "clientSecret: "] {
                assert!(
                    !text.contains(wrong),
                    "{}: {} has {wrong}",
                    one.name,
                    name(object)
                );
            }
        }
        // Environment variables that are secret come from Secrets.
        for (object, pod) in pods(&one.objects) {
            for variable in crate::render::containers(pod).flat_map(|container| list(&container["env"])) {
                let name_of = variable["name"].as_str().unwrap();
                let is_secret = ["PASSWORD", "SECRET", "TOKEN"]
                    .iter()
                    .any(|word| name_of.contains(word));
                let value = variable["value"].as_str().unwrap_or_default();
                assert!(!is_secret || value.is_empty(), "{}: {name_of}", name(object));
            }
        }
    }
    for kind in ["Deployment", "Service", "NetworkPolicy", "ServiceAccount"] {
        for object in of_kind(&rendering("default").objects, kind) {
            assert_eq!(object["metadata"]["namespace"], SYSTEM, "{kind} {}", name(object));
        }
    }
}

#[test]
fn identity_headers_are_the_same_list_in_proxy_and_gateway() {
    for values in ["default", "path-mode"] {
        let objects = &rendering(values).objects;
        let gateway =
            &named(objects, "Deployment", "jupyter-k8s-gateway")["spec"]["template"]["spec"]["containers"][0];
        let flag = list(&gateway["args"]).find_map(|one| one.as_str()?.strip_prefix("--header-strip="));
        let names: Vec<&str> = flag.unwrap().split(',').collect();
        assert!(names.len() > 40 && names.contains(&"Remote-User"), "{names:?}");
        assert_eq!(
            names.contains(&"X-Family-"),
            values == "path-mode",
            "a setting adds to the list"
        );
        let each = names.iter().map(|name| {
            name.strip_suffix('-')
                .map_or_else(|| (*name).to_owned(), |start| format!("{start}-.*"))
        });
        let expected = format!("(?i)^({})$", each.collect::<Vec<_>>().join("|"));
        let routes = &named(objects, "ConfigMap", "jupyter-k8s-proxy")["data"]["routes.yaml"];
        let routes: Value = serde_saphyr::from_str(routes.as_str().unwrap()).unwrap();
        let pattern = &routes["http"]["middlewares"]["gate"]["forwardAuth"]["authResponseHeadersRegex"];
        assert_eq!(*pattern, expected);
    }
}
