//! values -> the bundled provider: data, replicas, and providers behind it (IO: runs `helm`).

use serde_json::{Value, json};

use crate::notes::{notes, rendered_in};
use crate::render::{
    EXTERNAL, LOCAL, argument, container, named, of_kind, refusal, strings, template, with_values,
};

const NAME: &str = "jupyter-k8s-identity";
/// The bundled provider with a database.
const DATABASE: [&str; 4] = [
    "-f",
    "values-local.yaml",
    "--set-json",
    r#"identity.database={"host":"db.example.com","passwordSecretName":"db","caSecretName":"db-ca"}"#,
];

/// The installation above with brokers of each type.
fn with_brokers() -> Vec<Value> {
    let brokers = json!([
        {"name": "github", "type": "GitHub", "clientId": "at-github", "clientSecretName": "github-client", "groups": ["coders"]},
        {"name": "google", "type": "Google", "clientId": "at-google", "clientSecretName": "google-client", "hostedDomain": "example.org"},
        openid_connect(),
    ]);
    let setting = format!("identity.brokers={brokers}");
    template(&[&DATABASE[..], &["--set-json", &setting]].concat()).unwrap()
}

fn openid_connect() -> Value {
    json!({
        "name": "corp", "type": "OpenIDConnect", "clientId": "at-corp", "clientSecretName": "corp-client", "displayName": "Corp",
        "issuerUrl": "https://id.corp.example", "authorizationUrl": "https://id.corp.example/authorize",
        "tokenUrl": "https://id.corp.example:8443/token", "jwksUrl": "https://keys.corp.example/jwks", "trustEmail": true,
    })
}

fn deployment(objects: &[Value]) -> &Value {
    &named(objects, "Deployment", NAME)["spec"]
}

fn realm(objects: &[Value]) -> Value {
    let text = named(objects, "ConfigMap", NAME)["data"]["jupyter-realm.json"].clone();
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

/// The value of an environment variable, or where it comes from.
fn variable<'a>(objects: &'a [Value], name: &str) -> Option<&'a Value> {
    let all = container(objects, NAME)["env"].as_array().unwrap().iter();
    let found = all.into_iter().find(|variable| variable["name"] == name)?;
    Some(found.get("value").unwrap_or_else(|| &found["valueFrom"]))
}

#[test]
fn without_a_database_there_is_one_pod_and_never_a_second() {
    let objects = template(&[&LOCAL[..], &["--set", "identity.replicas=3"]].concat()).unwrap();
    let deployment = deployment(&objects);
    assert_eq!(deployment["replicas"], 1);
    assert_eq!(deployment["strategy"], json!({"type": "Recreate"}));
    let keycloak = container(&objects, NAME);
    assert_eq!(argument(keycloak, "--cache"), Some("local"));
    assert!(keycloak["command"].is_null());
    assert!(variable(&objects, "KC_DB_URL_HOST").is_none());
    let budgets = of_kind(&objects, "PodDisruptionBudget");
    assert!(budgets.iter().all(|budget| budget["metadata"]["name"] != NAME));
}

#[test]
fn with_a_database_replicas_share_their_data_and_find_each_other() {
    let objects = template(&DATABASE).unwrap();
    let deployment = deployment(&objects);
    assert_eq!(deployment["replicas"], 2);
    let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}});
    assert_eq!(deployment["strategy"], rolling);
    named(&objects, "PodDisruptionBudget", NAME);
    let keycloak = container(&objects, NAME);
    assert_eq!(argument(keycloak, "--cache"), None);
    assert_eq!(
        strings(&keycloak["command"]).last(),
        Some(&"/opt/keycloak-postgres/bin/kc.sh")
    );
    let mounts = keycloak["volumeMounts"].as_array().unwrap();
    let written = mounts.iter().find(|mount| mount["name"] == "data").unwrap();
    assert_eq!(written["mountPath"], "/opt/keycloak-postgres/data");
    for (name, value) in [
        ("KC_DB_URL_HOST", json!("db.example.com")),
        ("KC_DB_URL_PORT", json!("5432")),
        ("KC_DB_URL_DATABASE", json!("keycloak")),
        ("KC_DB_USERNAME", json!("keycloak")),
        (
            "KC_DB_PASSWORD",
            json!({"secretKeyRef": {"name": "db", "key": "password"}}),
        ),
        (
            "KC_CACHE_EMBEDDED_NETWORK_BIND_ADDRESS",
            json!({"fieldRef": {"fieldPath": "status.podIP"}}),
        ),
    ] {
        assert_eq!(variable(&objects, name), Some(&value), "{name}");
    }
    // A later change of the realm in the values is not imported, so it does not replace pods.
    let again = template(&[&DATABASE[..], &["--set", "identity.kubectlClientId=other"]].concat()).unwrap();
    assert_ne!(realm(&objects), realm(&again));
    assert_eq!(deployment["template"], self::deployment(&again)["template"]);
}

#[test]
fn tls_to_the_database_is_verified_unless_the_values_say_otherwise() {
    let properties = |objects: &[Value]| variable(objects, "KC_DB_URL_PROPERTIES").unwrap().clone();
    let by_secret = template(&DATABASE).unwrap();
    let by_map = [
        "--set",
        "identity.database.caSecretName=,identity.database.caConfigMapName=db-ca",
    ];
    let by_map = template(&[&DATABASE[..], &by_map].concat()).unwrap();
    for (objects, source) in [
        (&by_secret, json!({"secret": {"secretName": "db-ca"}})),
        (&by_map, json!({"configMap": {"name": "db-ca"}})),
    ] {
        assert_eq!(
            properties(objects),
            "?sslmode=verify-full&sslrootcert=/etc/database-ca/ca.crt"
        );
        let volumes = deployment(objects)["template"]["spec"]["volumes"]
            .as_array()
            .unwrap();
        let volume = volumes
            .iter()
            .find(|volume| volume["name"] == "database-ca")
            .unwrap();
        let (kind, expected) = source.as_object().unwrap().iter().next().unwrap();
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(volume[kind][key], *value);
        }
        assert_eq!(
            volume[kind]["items"],
            json!([{"key": "ca.crt", "path": "ca.crt"}])
        );
    }
    for mode in ["require", "disable"] {
        let setting = format!("identity.database.sslMode={mode},identity.database.caSecretName=");
        let objects = template(&[&DATABASE[..], &["--set", &setting]].concat()).unwrap();
        assert_eq!(properties(&objects), format!("?sslmode={mode}"));
    }
}

#[test]
fn pods_of_another_image_do_not_run_beside_those_of_the_present_one() {
    let live = |image: &str| {
        let spec = json!({"template": {"spec": {"containers": [{"name": "identity", "image": image}]}}});
        json!({format!("Deployment/jupyter-k8s-system/{NAME}"): {"spec": spec}})
    };
    let strategy = |live: &Value| {
        let objects = rendered_in(live, "identity.yaml", &DATABASE);
        deployment(&objects)["strategy"]["type"].clone()
    };
    let image = container(&template(&DATABASE).unwrap(), NAME)["image"].clone();
    assert_eq!(strategy(&live(image.as_str().unwrap())), "RollingUpdate");
    assert_eq!(
        strategy(&live("registry.example.com/keycloak:26.6.0")),
        "Recreate"
    );
}

#[test]
fn the_provider_reaches_its_replicas_its_database_and_brokers_and_nothing_more() {
    let policy = |objects: &[Value]| named(objects, "NetworkPolicy", NAME)["spec"].clone();
    let ports = |rule: &Value| {
        let ports = rule["ports"].as_array().cloned().unwrap_or_default();
        ports
            .iter()
            .map(|port| port["port"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    let rules = |policy: &Value, direction: &str| policy[direction].as_array().unwrap().clone();
    let between = |policy: &Value, direction: &str, side: &str| {
        let all = rules(policy, direction);
        let own = |rule: &&Value| {
            let labels = &rule[side][0]["podSelector"]["matchLabels"];
            labels["app.kubernetes.io/component"] == "identity"
        };
        all.iter().find(own).map(&ports)
    };

    let without = policy(&template(&LOCAL).unwrap());
    assert_eq!(between(&without, "ingress", "from"), None);
    assert_eq!(rules(&without, "egress").len(), 2);

    let with = policy(&template(&DATABASE).unwrap());
    for (direction, side) in [("ingress", "from"), ("egress", "to")] {
        assert_eq!(
            between(&with, direction, side),
            Some(vec![7800, 57800]),
            "{direction}"
        );
    }
    let database = rules(&with, "egress").last().unwrap().clone();
    assert_eq!(ports(&database), [5432]);
    assert_eq!(database["to"][0], json!({"ipBlock": {"cidr": "0.0.0.0/0"}}));

    let service = "identity.database.host=postgres.databases.svc";
    let inside = policy(&template(&[&DATABASE[..], &["--set", service]].concat()).unwrap());
    let database = rules(&inside, "egress").last().unwrap().clone();
    let namespace = json!({"kubernetes.io/metadata.name": "databases"});
    assert_eq!(
        database,
        json!({"to": [{"namespaceSelector": {"matchLabels": namespace}}]})
    );

    let brokers = json!({
        "identity": {
            "enabled": true, "host": "id.example.net", "brokers": [openid_connect()],
            "database": {"host": "db.example.com", "passwordSecretName": "db", "caSecretName": "ca", "networks": ["10.0.0.5"]},
        },
        "oidc": {"issuerUrl": ""},
    });
    let outside = policy(&with_values(brokers, &[]).unwrap());
    let brokers = rules(&outside, "egress").last().unwrap().clone();
    assert_eq!(ports(&brokers), [443, 8443]);
}

#[test]
fn brokers_are_in_the_realm_and_their_secrets_are_not() {
    let objects = with_brokers();
    let realm = realm(&objects);
    let providers = realm["identityProviders"].as_array().unwrap();
    let expected = [
        ("github", "github", "GitHub", "at-github", false),
        ("google", "google", "Google", "at-google", true),
        ("corp", "oidc", "Corp", "at-corp", true),
    ];
    assert_eq!(providers.len(), expected.len());
    for (provider, (alias, kind, name, client, trusted)) in providers.iter().zip(expected) {
        assert_eq!(provider["alias"], alias);
        assert_eq!(provider["providerId"], kind);
        assert_eq!(provider["displayName"], name);
        assert_eq!(provider["config"]["clientId"], client);
        assert_eq!(provider["trustEmail"], trusted);
        assert_eq!(provider["config"]["clientSecret"], format!("${{vault.{alias}}}"));
    }
    assert_eq!(providers[1]["config"]["hostedDomain"], "example.org");
    let corp = &providers[2]["config"];
    assert_eq!(corp["issuer"], "https://id.corp.example");
    assert_eq!(corp["tokenUrl"], "https://id.corp.example:8443/token");
    assert_eq!(corp["jwksUrl"], "https://keys.corp.example/jwks");
    for required in ["validateSignature", "useJwksUrl", "pkceEnabled"] {
        assert_eq!(corp[required], "true", "{required}");
    }

    // Keycloak's vault reads files that bear the name of the realm.
    let keycloak = container(&objects, NAME);
    let folder = argument(keycloak, "--vault-dir").unwrap();
    let mounts = keycloak["volumeMounts"].as_array().unwrap();
    assert!(
        mounts
            .iter()
            .any(|mount| mount["name"] == "brokers" && mount["mountPath"] == folder)
    );
    let volumes = deployment(&objects)["template"]["spec"]["volumes"]
        .as_array()
        .unwrap();
    let volume = volumes.iter().find(|volume| volume["name"] == "brokers").unwrap();
    let sources = volume["projected"]["sources"].as_array().unwrap();
    let files: Vec<_> = sources.iter().map(|source| &source["secret"]).collect();
    for (file, name) in files.into_iter().zip(["github", "google", "corp"]) {
        let item = json!([{"key": "clientSecret", "path": format!("jupyter_{name}")}]);
        assert_eq!(*file, json!({"name": format!("{name}-client"), "items": item}));
    }
}

#[test]
fn a_first_sign_in_through_a_broker_makes_an_account_and_never_joins_one() {
    let realm = realm(&with_brokers());
    let flows = realm["authenticationFlows"].as_array().unwrap();
    for provider in realm["identityProviders"].as_array().unwrap() {
        let flow = flows
            .iter()
            .find(|flow| flow["alias"] == provider["firstBrokerLoginFlowAlias"])
            .unwrap();
        let steps = flow["authenticationExecutions"].as_array().unwrap();
        assert_eq!(steps.len(), 1);
        assert_eq!(steps[0]["authenticator"], "idp-create-user-if-unique");
        assert_eq!(steps[0]["requirement"], "REQUIRED");
    }
    let mappers = realm["identityProviderMappers"].as_array().unwrap();
    assert_eq!(mappers.len(), 1);
    assert_eq!(mappers[0]["identityProviderAlias"], "github");
    assert_eq!(mappers[0]["config"]["group"], "/coders");
    assert!(
        realm["groups"]
            .as_array()
            .unwrap()
            .contains(&json!({"name": "coders"}))
    );
}

#[test]
fn a_database_or_broker_that_cannot_work_is_refused_with_what_to_do() {
    let github = r#"{"name":"github","type":"GitHub","clientId":"a","clientSecretName":"b"}"#;
    let corp = openid_connect().to_string();
    let broker = |broker: &str| format!("identity.brokers=[{broker}]");
    let without = |key: &str| {
        let mut corp = openid_connect();
        corp.as_object_mut().unwrap().remove(key);
        broker(&corp.to_string())
    };
    let table = [
        (
            r#"identity.database.passwordSecretName="""#.to_owned(),
            "identity.database.passwordSecretName: is needed with identity.database.host",
        ),
        (
            r#"identity.database.caSecretName="""#.to_owned(),
            "identity.database.sslMode: verify-full needs the authority",
        ),
        (
            r#"identity.database.sslMode="require""#.to_owned(),
            "identity.database.sslMode: require verifies no certificate, and an authority is set (db-ca)",
        ),
        (
            r#"identity.database.caConfigMapName="b""#.to_owned(),
            "identity.database.caSecretName and identity.database.caConfigMapName exclude each other",
        ),
        (
            r#"identity.database.host="https://db""#.to_owned(),
            r#"identity.database.host: "https://db" is no host such as"#,
        ),
        (
            r#"identity.database.name="a?b""#.to_owned(),
            r#"identity.database.name: "a?b" is no name of a PostgreSQL database"#,
        ),
        (
            "identity.database.networks=[]".to_owned(),
            r#"identity.database.networks: is empty, so the provider does not reach "db.example.com""#,
        ),
        (
            broker(&format!("{github},{github}")),
            "identity.brokers[1] (github).name: another broker has this name",
        ),
        (
            broker(r#"{"name":"Git Hub","type":"GitHub","clientId":"a","clientSecretName":"b"}"#),
            r#"identity.brokers[0].name: "Git Hub" is no name of a broker"#,
        ),
        (
            broker(
                r#"{"name":"g","type":"GitHub","clientId":"a","clientSecretName":"b","hostedDomain":"example.org"}"#,
            ),
            r#"identity.brokers[0] (g).hostedDomain: "example.org" is for type Google"#,
        ),
        (
            broker(
                r#"{"name":"g","type":"GitHub","clientId":"a","clientSecretName":"b","tokenUrl":"https://x.example/"}"#,
            ),
            r#"identity.brokers[0] (g).tokenUrl: "https://x.example/" is for type OpenIDConnect"#,
        ),
        (
            broker(r#"{"name":"g","type":"GitHub","clientId":"${A}","clientSecretName":"b"}"#),
            r#"identity.brokers[0].clientId: "${A}" is no id of a client"#,
        ),
        (
            without("jwksUrl"),
            "identity.brokers[0] (corp).jwksUrl: is needed with type OpenIDConnect",
        ),
        (
            broker(&corp.replace("https://keys", "http://keys")),
            r#"identity.brokers[0].jwksUrl: "http://keys.corp.example/jwks" is no https URL"#,
        ),
    ];
    for (setting, expected) in table {
        let arguments = [&DATABASE[..], &["--set-json", &setting]].concat();
        let Err(reason) = template(&arguments) else {
            panic!("accepted: {setting}");
        };
        assert!(reason.contains(expected), "{setting}: {reason}");
    }
    let reason = refusal(&LOCAL, "identity.database.passwordSecretName=db");
    assert!(
        reason.contains("has no effect without identity.database.host"),
        "{reason}"
    );
    let reason = template(&[&LOCAL[..], &["--set-json", &broker(github)]].concat()).unwrap_err();
    assert!(
        reason.contains(r#"identity.brokers: "github" need identity.database.host"#),
        "{reason}"
    );
}

#[test]
fn addresses_that_do_not_count_as_verified_are_no_condition_of_a_sign_in() {
    let of = |broker: &str, condition: &str| {
        let brokers = format!("identity.brokers=[{broker}]");
        template(&[&DATABASE[..], &["--set-json", &brokers, "--set", condition]].concat())
    };
    let github = r#"{"name":"github","type":"GitHub","clientId":"a","clientSecretName":"b"}"#;
    let google = r#"{"name":"google","type":"Google","clientId":"a","clientSecretName":"b"}"#;
    for (condition, named) in [
        (
            "oidc.allowedEmailDomains={example.org}",
            "oidc.allowedEmailDomains",
        ),
        ("oidc.usernameClaim=email", "oidc.usernameClaim: email"),
    ] {
        let reason = of(github, condition).unwrap_err();
        let expected = format!("identity.brokers[0] (github): {named} needs verified addresses");
        assert!(reason.contains(&expected), "{reason}");
        of(google, condition).unwrap();
        of(&openid_connect().to_string(), condition).unwrap();
    }
}

#[test]
fn without_a_database_the_notes_begin_with_for_trying_out_and_say_what_is_lost_with_the_pod() {
    let text = notes(&LOCAL);
    assert!(
        text.trim_start().starts_with(
            "For trying out: the bundled identity provider has no database. Whenever its pod is replaced"
        ),
        "{text}"
    );
    let first = text.trim_start().split("\n\n").next().unwrap();
    for lost in ["sessions", "signing keys", "accounts", "identity.database"] {
        assert!(first.contains(lost), "{lost}: {first}");
    }
    for values in [&EXTERNAL[..], &DATABASE[..]] {
        assert!(!notes(values).contains("trying out"));
    }
}

#[test]
fn the_notes_name_secrets_of_database_and_brokers_and_brokers_open_to_all_accounts() {
    let broker = |more: &str| {
        format!(
            r#"identity.brokers=[{{"name":"github","type":"GitHub","clientId":"a","clientSecretName":"github-client"{more}}}]"#
        )
    };
    let notes_with = |brokers: &str, set: &str| {
        let set = format!("identity.adminSecretName=admin,{set}");
        notes(&[&DATABASE[..], &["--set-json", brokers, "--set", &set]].concat())
    };
    let open = "WARNING: every user with an account at GitHub can sign in.";
    let text = notes_with(&broker(""), "logLevel=info");
    for secret in [
        "Secret db:",
        "Secret db-ca:",
        "Secret admin:",
        "Secret github-client:",
    ] {
        assert!(text.contains(&format!("   todo  {secret} ")), "{secret} {text}");
    }
    assert!(text.contains(open), "{text}");
    assert!(!notes_with(&broker(""), "oidc.allowedGroups={oidc:team}").contains(open));
    // All users of the broker are in this group.
    let all = broker(r#","groups":["team"]"#);
    assert!(notes_with(&all, "oidc.allowedGroups={oidc:team}").contains(open));
}
