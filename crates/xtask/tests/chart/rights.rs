//! rendered roles and webhook configurations -> only the required permissions (IO: runs `helm`).

use serde_json::json;

use crate::render::{EXTERNAL, LOCAL, installations, named, of_kind, pods, strings, template};

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
fn users_get_workspaces_of_their_namespace_and_read_the_catalog() {
    let objects = template(&LOCAL).unwrap();
    let user = named(&objects, "ClusterRole", "jupyter-k8s-workspace-user");
    let rules = user["rules"].as_array().unwrap();
    let granted: Vec<_> = rules
        .iter()
        .map(|rule| {
            (
                strings(&rule["resources"]).join(","),
                strings(&rule["verbs"]).join(" "),
                strings(&rule["resourceNames"]).join(","),
            )
        })
        .collect();
    let write = "get list watch create update patch delete";
    let expected = [
        ("workspaces", write, ""),
        ("workspaces/connect", "create", ""),
        ("workspaceshares", write, ""),
        ("workspaceexecutionprofiles", "get list", ""),
        ("events", "get list watch", ""),
        ("pods,persistentvolumeclaims", "get list watch", ""),
        ("resourcequotas,limitranges", "list", ""),
        ("pods", "list", ""),
        ("workspacetemplates", "use", "jupyterlab"),
        ("workspacemanagers", "use", "default"),
    ];
    for (resources, verbs, names) in expected {
        let found = (resources.to_owned(), verbs.to_owned(), names.to_owned());
        assert!(granted.contains(&found), "{resources}: {granted:?}");
    }
    assert_eq!(granted.len(), expected.len(), "{granted:?}");
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
        namespace["metadata"]["labels"]["workspaces.jupyter.org/workspaces"], "true",
        "the portal requests access reviews there"
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
fn the_gateway_watches_only_metadata_of_roles_and_writes_one_lease() {
    for objects in installations() {
        let cluster = named(&objects, "ClusterRole", "jupyter-k8s-gateway");
        let own = named(&objects, "Role", "jupyter-k8s-gateway");
        let rules = [&cluster["rules"], &own["rules"]].map(|rules| rules.as_array().unwrap().clone());
        let about = |resource: &str| {
            let found = rules
                .iter()
                .flatten()
                .filter(|rule| strings(&rule["resources"]).contains(&resource));
            let actual = found.map(|rule| {
                (
                    strings(&rule["verbs"]).join(" "),
                    strings(&rule["resourceNames"]).join(","),
                )
            });
            actual.collect::<Vec<_>>()
        };
        let is = |verbs: &str, names: &str| vec![(verbs.to_owned(), names.to_owned())];
        for kind in ["roles", "rolebindings", "clusterroles", "clusterrolebindings"] {
            assert_eq!(about(kind), is("list watch", ""), "{kind}");
        }
        assert_eq!(about("subjectaccessreviews"), is("create", ""));
        assert_eq!(about("workspaceshares"), is("get list watch", ""));
        assert_eq!(about("pods"), is("list watch", ""));
        let lease = "jupyter-k8s-gateway-heartbeat";
        assert_eq!(about("leases"), is("get list watch patch", lease));
        assert_eq!(named(&objects, "Lease", lease)["spec"], serde_json::Value::Null);
    }
}

#[test]
fn the_operator_makes_service_accounts_and_neither_tokens_nor_rights_for_them() {
    for objects in installations() {
        let role = named(&objects, "ClusterRole", "jupyter-k8s-operator");
        let rules = role["rules"].as_array().unwrap();
        let about = |resource: &str| {
            let found = rules
                .iter()
                .find(|rule| strings(&rule["resources"]).contains(&resource));
            found.map(|rule| strings(&rule["verbs"]).join(" "))
        };
        let write = "get list watch create patch delete";
        assert_eq!(about("serviceaccounts").as_deref(), Some(write));
        assert_eq!(
            about("workspaceshares").as_deref(),
            Some("list watch patch delete")
        );
        // Kinds that only the caches use are never read by name.
        for kind in [
            "workspacetemplates",
            "workspacemanagers",
            "workspaceexecutionprofiles",
        ] {
            assert_eq!(about(kind).as_deref(), Some("list watch patch"), "{kind}");
        }
        for kind in ["pods", "replicasets", "storageclasses"] {
            assert_eq!(about(kind).as_deref(), Some("list watch"), "{kind}");
        }
        for forbidden in [
            "serviceaccounts/token",
            "secrets",
            "pods/exec",
            "pods/attach",
            "roles",
            "rolebindings",
            "clusterroles",
            "clusterrolebindings",
        ] {
            assert_eq!(about(forbidden), None, "{forbidden}");
        }
    }
}

#[test]
fn operator_and_gateway_access_only_config_maps_with_keys() {
    for objects in installations() {
        let role = named(&objects, "ClusterRole", "jupyter-k8s-operator");
        let rules = role["rules"].as_array().unwrap();
        let about = rules
            .iter()
            .filter(|rule| strings(&rule["resources"]).contains(&"configmaps"));
        let actual: Vec<_> = about
            .map(|rule| {
                let names = strings(&rule["resourceNames"]).join(" ");
                (strings(&rule["verbs"]).join(" "), names)
            })
            .collect();
        let keys = "jupyter-k8s-assertion-keys";
        let expected = [("list watch create patch delete", keys)];
        assert_eq!(
            actual,
            expected.map(|(verbs, names)| (verbs.to_owned(), names.to_owned()))
        );
        let own = named(&objects, "Role", "jupyter-k8s-gateway");
        let published = own["rules"].as_array().unwrap().iter();
        let mut published = published.filter(|rule| strings(&rule["resources"]) == ["configmaps"]);
        let granted = published.next().unwrap();
        assert_eq!(
            (strings(&granted["verbs"]), strings(&granted["resourceNames"])),
            (vec!["get", "create", "patch"], vec![keys])
        );
    }
}

#[test]
fn only_administrators_of_a_namespace_administer_share_and_assign() {
    let objects = template(&LOCAL).unwrap();
    let verbs = |role: &str| {
        let role = named(&objects, "ClusterRole", role);
        let rules = role["rules"].as_array().unwrap();
        let about = rules
            .iter()
            .filter(|rule| strings(&rule["resources"]) == ["workspaces"]);
        about
            .flat_map(|rule| strings(&rule["verbs"]))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for verb in ["administer", "share", "assign-owner"] {
        assert!(verbs("jupyter-k8s-workspace-admin").iter().any(|one| one == verb));
        assert!(!verbs("jupyter-k8s-workspace-user").iter().any(|one| one == verb));
    }
}

#[test]
fn admission_fails_closed_in_namespaces_and_leaves_the_ca_to_the_webhook() {
    let objects = template(&EXTERNAL).unwrap();
    for (kind, path) in [
        ("MutatingWebhookConfiguration", "/mutate"),
        ("ValidatingWebhookConfiguration", "/validate"),
    ] {
        let configuration = named(&objects, kind, "jupyter-k8s-webhook");
        let webhooks = configuration["webhooks"].as_array().unwrap();
        for webhook in webhooks {
            assert_eq!(webhook["clientConfig"]["service"]["path"], path);
            assert!(webhook["clientConfig"]["caBundle"].is_null());
            assert_eq!(webhook["sideEffects"], "None");
        }
        let webhook = &webhooks[0];
        assert_eq!(webhook["failurePolicy"], "Fail");
        assert_eq!(
            strings(&webhook["rules"][0]["resources"]),
            ["workspaces", "workspaceshares"]
        );
        let expression = &webhook["namespaceSelector"]["matchExpressions"][0];
        assert_eq!(expression["operator"], "NotIn");
        assert_eq!(
            strings(&expression["values"]),
            ["kube-system", "jupyter-k8s-system"]
        );
        let catalog = &webhooks[1];
        assert_eq!(catalog["failurePolicy"], "Ignore");
        assert_eq!(
            strings(&catalog["rules"][0]["resources"]),
            ["workspacetemplates", "workspacemanagers"]
        );
    }
}

#[test]
fn an_unavailable_webhook_blocks_no_deletion_and_no_installation() {
    let objects = template(&EXTERNAL).unwrap();
    let configuration = named(&objects, "ValidatingWebhookConfiguration", "jupyter-k8s-webhook");
    let webhook = &configuration["webhooks"][0];
    assert_eq!(
        strings(&webhook["rules"][0]["operations"]),
        ["CREATE", "UPDATE", "DELETE"]
    );
    let conditions = webhook["matchConditions"].to_string();
    for part in [
        "system:serviceaccount:kube-system:namespace-controller",
        "system:serviceaccount:kube-system:generic-garbage-collector",
        "deletionTimestamp",
    ] {
        assert!(conditions.contains(part), "{part}: {conditions}");
    }
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        let configuration = named(&objects, kind, "jupyter-k8s-webhook");
        for webhook in configuration["webhooks"].as_array().unwrap() {
            let of_controllers = webhook["matchConditions"][0]["expression"].as_str().unwrap();
            for part in [
                "request.operation == 'DELETE'",
                "object.?spec == oldObject.?spec",
                "metadata.?annotations",
                "metadata.?labels",
            ] {
                assert!(of_controllers.contains(part), "{part}: {of_controllers}");
            }
        }
    }
}

#[test]
fn policies_bound_objects_of_the_operator_by_name_and_namespace() {
    for objects in installations() {
        let policy = named(&objects, "ValidatingAdmissionPolicy", "jupyter-k8s-operator");
        let binding = named(
            &objects,
            "ValidatingAdmissionPolicyBinding",
            "jupyter-k8s-operator",
        );
        assert_eq!(binding["spec"]["policyName"], policy["metadata"]["name"]);
        assert_eq!(binding["spec"]["validationActions"], json!(["Deny"]));
        let spec = &policy["spec"];
        assert_eq!(spec["failurePolicy"], "Fail");
        let account = "'system:serviceaccount:jupyter-k8s-system:jupyter-k8s-operator'";
        assert!(
            spec["matchConditions"][0]["expression"]
                .as_str()
                .unwrap()
                .ends_with(account)
        );
        let text = spec["validations"].to_string();
        for namespace in [
            "kube-system",
            "kube-public",
            "kube-node-lease",
            "jupyter-k8s-system",
        ] {
            assert!(text.contains(&format!("'{namespace}'")), "{text}");
        }
        let bounded = |group: &str, resource: &str| {
            let rules = spec["matchConstraints"]["resourceRules"].as_array().unwrap();
            rules.iter().any(|rule| {
                strings(&rule["apiGroups"]).contains(&group)
                    && strings(&rule["resources"]).contains(&resource)
                    && strings(&rule["operations"]) == ["CREATE", "UPDATE", "DELETE"]
            })
        };
        let role = named(&objects, "ClusterRole", "jupyter-k8s-operator");
        let mut children = 0;
        for rule in role["rules"].as_array().unwrap() {
            let group = strings(&rule["apiGroups"])[0];
            if ["workspaces.jupyter.org", "events.k8s.io"].contains(&group)
                || !strings(&rule["verbs"])
                    .iter()
                    .any(|verb| ["create", "patch", "delete"].contains(verb))
            {
                continue;
            }
            for resource in strings(&rule["resources"]) {
                assert!(bounded(group, resource), "{group}/{resource}");
                children += 1;
            }
        }
        assert!(children > 5);
    }
}
