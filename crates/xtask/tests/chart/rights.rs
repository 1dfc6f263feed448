//! rendered roles and webhook configurations -> no more than is needed (IO: runs `helm`).

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
