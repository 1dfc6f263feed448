//! The binary with invalid settings.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::chart::tool;

/// Exit status and standard error of the gateway with these arguments beside good ones.
fn run(changes: &[&str]) -> (Option<i32>, String) {
    let mut arguments = vec![
        "--namespace=system",
        "--release-name=demo",
        "--oidc-client-id=gateway",
        // The address cannot be bound: a process with valid settings fails with another error.
        "--verify-address=192.0.2.1:1",
    ];
    arguments.extend(changes);
    let output = Command::new(env!("CARGO_BIN_EXE_jupyter-k8s-gateway"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_setting_that_cannot_be_used_ends_the_process_with_64_and_its_name() {
    for (changes, name) in [
        (vec![], "--oidc-issuer-url"),
        (
            vec!["--oidc-issuer-url=http://identity.example"],
            "oidc-issuer-url",
        ),
        (vec!["--oidc-issuer-url=identity"], "oidc-issuer-url"),
        (
            vec![
                "--oidc-issuer-url=https://identity.example",
                "--oidc-ca-file=/nowhere",
            ],
            "oidc-ca-file",
        ),
        (
            vec![
                "--oidc-issuer-url=https://identity.example",
                "--oidc-signing-algs=none",
            ],
            "oidc-signing-algs",
        ),
        (
            vec!["--oidc-isuer-url=https://identity.example"],
            "--oidc-isuer-url",
        ),
    ] {
        let (code, message) = run(&changes);
        assert_eq!(code, Some(64), "{changes:?}: {message}");
        assert!(message.contains(name), "{changes:?}: {message}");
    }
}

#[test]
fn help_lists_every_setting_with_its_variable() {
    let (code, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
}

/// Arguments of the pod of `helm test`, with the chart's values for the local cluster.
fn arguments_of_the_check() -> Vec<String> {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/jupyter-k8s");
    let output = Command::new(tool("HELM", "helm/bin/helm"))
        .args(["template", "demo"])
        .arg(&chart)
        .args([
            "--namespace=system",
            "--show-only=templates/tests/check.yaml",
            "--values",
        ])
        .arg(chart.join("values-local.yaml"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let pod = objects.iter().find(|object| object["kind"] == "Pod").unwrap();
    serde_json::from_value(pod["spec"]["containers"][0]["args"].clone()).unwrap()
}

#[test]
fn the_check_takes_the_chart_s_arguments_and_each_failure_is_a_line() {
    let kubeconfig = std::env::temp_dir().join(format!("unreachable-{}.yaml", std::process::id()));
    let config = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "c", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}]}"#;
    std::fs::write(&kubeconfig, config).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_jupyter-k8s-gateway"))
        .args(arguments_of_the_check())
        .env_clear()
        .envs([("POD_NAMESPACE", "system"), ("RELEASE_NAME", "demo")])
        .env("KUBECONFIG", &kubeconfig)
        .output()
        .unwrap();
    std::fs::remove_file(&kubeconfig).unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let beginnings = [
        "FAIL  certificate  Service demo-proxy does not answer on port 8443 (",
        "skip  DNS          needs certificate",
        "FAIL  provider     oidc.clientSecretName: /etc/oidc-client/clientSecret cannot be read: ",
        "FAIL  admission    the API server gives another answer than the webhook's refusal: ",
        "skip  workspace    needs admission",
    ];
    assert_eq!(lines.len(), beginnings.len(), "{text}");
    for (line, beginning) in lines.iter().zip(beginnings) {
        assert!(line.starts_with(beginning), "{line}");
    }
}
