//! Users of kubeconfigs -> what the API server gets, from this program and from kubectl (IO: processes, a local socket with TLS).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::gateway::{Asked, Gateway};
use crate::process::out;
use crate::programs::{err, ran, wait_with};

/// A program that the tests of kubeconfigs cannot do without: kubectl says what is right.
fn kubectl() -> PathBuf {
    let found = std::env::var_os("KUBECTL").map(PathBuf::from);
    let found = found.unwrap_or_else(|| testkit::cache::folder().join("bin/kubectl"));
    assert!(
        found.exists(),
        "{} is missing: `./justw test` builds it, or set KUBECTL to the path of kubectl",
        found.display()
    );
    found
}

/// A gateway that is an API server, too, with a folder for kubeconfigs and a credential plugin that records how it is called.
struct Site(Gateway);

/// What a plugin noted.
#[derive(Debug, PartialEq, Eq)]
struct Noted {
    calls: usize,
    info: Value,
    stdin: String,
}

impl Site {
    fn start(test: &str) -> Self {
        Self(Gateway::start(&format!("credentials-{test}")))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.home().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.file(name);
        fs::write(&file, text).unwrap();
        file
    }

    /// A plugin that notes its call, `$KUBERNETES_EXEC_INFO` and standard input, and then runs this script.
    fn script(&self, script: &str) -> PathBuf {
        let home = self.0.home();
        let home = home.display();
        // A terminal has no end: one line of it is enough.
        let text = format!(
            "#!/bin/sh\necho call >> {home}/calls\nprintf '%s' \"$KUBERNETES_EXEC_INFO\" > {home}/info\n\
             if [ -t 0 ]; then read -r line; printf 'terminal: %s' \"$line\" > {home}/stdin; else cat > {home}/stdin; fi\n{script}\n"
        );
        let file = self.write("credential", &text);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    /// What the plugin noted since the last call; `None`: it was not run.
    fn noted(&self) -> Option<Noted> {
        let read = |name: &str| {
            let text = fs::read_to_string(self.file(name)).ok();
            let _ = fs::remove_file(self.file(name));
            text
        };
        let calls = read("calls")?.lines().count();
        Some(Noted {
            calls,
            info: serde_json::from_str(&read("info").unwrap()).unwrap(),
            stdin: read("stdin").unwrap_or_default(),
        })
    }

    fn cluster(&self) -> Value {
        json!({
            "server": format!("https://127.0.0.1:{}", self.0.port), "tls-server-name": "api.ws.localhost",
            "certificate-authority": self.0.authority(),
        })
    }

    fn config(&self, cluster: &Value, user: &Value) -> String {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "main",
            "clusters": [{"name": "c", "cluster": cluster}],
            "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
            "users": [{"name": "u", "user": user}],
        });
        self.write("config", &config.to_string()).display().to_string()
    }

    /// Output of `list` of this program and of the same request by kubectl, each with what the plugin noted and the API server was asked.
    fn both(&self, cluster: &Value, user: &Value) -> [(Output, Option<Noted>, Vec<Asked>); 2] {
        self.both_with(cluster, user, &[])
    }

    fn both_with(
        &self,
        cluster: &Value,
        user: &Value,
        flags: &[&str],
    ) -> [(Output, Option<Noted>, Vec<Asked>); 2] {
        let config = self.config(cluster, user);
        let mut kubectl = Command::new(kubectl());
        kubectl
            .args(["get", "--raw", "/apis/x"])
            .env("HOME", self.0.home());
        let mut plugin = self.0.plugin();
        plugin.args(["list", "-o", "name"]);
        [plugin, kubectl].map(|mut command| {
            command.args(["--kubeconfig", &config]).args(flags);
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            let output = wait_with(command.stderr(Stdio::piped()).spawn().unwrap(), "manifest");
            (output, self.noted(), self.0.take_asked())
        })
    }

    /// The same on a terminal, where `typed` is typed.
    fn both_on_terminal(&self, user: &Value) -> [(Output, Option<Noted>); 2] {
        let config = self.config(&self.cluster(), user);
        let program = env!("CARGO_BIN_EXE_kubectl-workspace");
        let kubectl = kubectl();
        let lines = [
            format!("'{program}' list -o name --kubeconfig '{config}'"),
            format!(
                "'{}' get --raw /apis/x --kubeconfig '{config}'",
                kubectl.display()
            ),
        ];
        lines.map(|line| {
            let output = self.on_terminal(&line);
            self.0.take_asked();
            (output, self.noted())
        })
    }

    fn on_terminal(&self, line: &str) -> Output {
        let mut command = Command::new("script");
        command
            .args(["-q", "-e", "-c", line, "/dev/null"])
            .env("HOME", self.0.home());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        wait_with(command.spawn().unwrap(), "typed\n")
    }
}

const V1: &str = "client.authentication.k8s.io/v1";
const V1BETA1: &str = "client.authentication.k8s.io/v1beta1";

/// The line of a script that prints credentials.
fn prints(version: &str, status: &Value) -> String {
    let printed = json!({"apiVersion": version, "kind": "ExecCredential", "status": status});
    format!("cat <<'END'\n{printed}\nEND")
}

fn exec(script: &std::path::Path, more: &Value) -> Value {
    let mut exec = json!({"apiVersion": V1, "command": script, "interactiveMode": "Never"});
    exec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({ "exec": exec })
}

#[test]
fn a_credential_plugin_is_called_once_and_told_what_kubectl_tells_it() {
    let site = Site::start("told");
    let info = json!({"provideClusterInfo": true});
    let mut configured = site.cluster();
    configured["extensions"] = json!([{
        "name": "client.authentication.k8s.io/exec", "extension": {"audience": "blue"},
    }]);
    for (version, cluster, more) in [
        (V1, site.cluster(), json!({})),
        (V1, site.cluster(), json!({"interactiveMode": "IfAvailable"})),
        (V1, site.cluster(), info.clone()),
        (V1, configured, info),
        (V1BETA1, site.cluster(), json!({"interactiveMode": null})),
    ] {
        let script = site.script(&prints(version, &json!({"token": "of-alice"})));
        let mut user = exec(&script, &more);
        user["exec"]["apiVersion"] = json!(version);
        let [ours, theirs] = site.both(&cluster, &user);
        assert_eq!(
            out(&ours.0),
            "workspace.workspaces.jupyter.org/demo\n",
            "{more}: {}",
            err(&ours.0)
        );
        assert!(theirs.0.status.success(), "{more}: {}", err(&theirs.0));
        let noted = ours.1.unwrap();
        assert_eq!(noted.calls, 1, "{more}");
        assert_eq!(noted.info["spec"]["interactive"], false);
        assert_eq!(noted.stdin, "", "{more}");
        assert_eq!(Some(noted), theirs.1, "{more}");
        assert_eq!(ours.2[0].authorization, "Bearer of-alice");
        assert_eq!(ours.2[0], theirs.2[0]);
    }
}

#[test]
fn arguments_variables_and_certificates_of_a_credential_plugin_are_as_for_kubectl() {
    let site = Site::start("arguments");
    let script = site.script(
        "printf '{\"apiVersion\": \"client.authentication.k8s.io/v1\", \"kind\": \"ExecCredential\", \"status\": {\"token\": \"%s-%s\"}}' \"$1\" \"$TEAM\"",
    );
    let more = json!({"args": ["of-alice"], "env": [{"name": "TEAM", "value": "blue"}]});
    let [ours, theirs] = site.both(&site.cluster(), &exec(&script, &more));
    assert_eq!(
        ours.2[0].authorization,
        "Bearer of-alice-blue",
        "{}",
        err(&ours.0)
    );
    assert_eq!(ours.2[0], theirs.2[0]);

    let [certificate, key] = site.0.client_certificate();
    let [certificate, key] = [certificate, key].map(|file| fs::read_to_string(file).unwrap());
    for status in [
        json!({"clientCertificateData": certificate, "clientKeyData": key}),
        json!({"clientCertificateData": certificate, "clientKeyData": key, "token": "t"}),
    ] {
        let script = site.script(&prints(V1, &status));
        let [ours, theirs] = site.both(&site.cluster(), &exec(&script, &json!({})));
        assert!(ours.2[0].has_certificate, "{}", err(&ours.0));
        assert_eq!(ours.2[0], theirs.2[0]);
        assert_eq!(ours.1, theirs.1);
    }
}

#[test]
fn a_credential_plugin_asks_only_on_a_terminal_that_the_command_leaves_alone() {
    let site = Site::start("terminal");
    let script = site.script(&prints(V1, &json!({"token": "t"})));
    for (mode, asks) in [("Never", false), ("IfAvailable", true), ("Always", true)] {
        let user = exec(&script, &json!({ "interactiveMode": mode }));
        let [ours, theirs] = site.both_on_terminal(&user);
        let noted = ours.1.unwrap_or_else(|| panic!("{mode}: {}", out(&ours.0)));
        assert_eq!(noted.info["spec"]["interactive"], asks, "{mode}");
        assert_eq!(noted.stdin.contains("terminal: typed"), asks, "{mode}: {noted:?}");
        assert_eq!(Some(noted), theirs.1, "{mode}");
    }
    // Without a terminal, and where a manifest comes from it.
    let user = exec(&script, &json!({"interactiveMode": "Always"}));
    let [ours, theirs] = site.both(&site.cluster(), &user);
    assert_eq!((ours.1, theirs.1), (None, None));
    assert!(
        err(&ours.0).contains("needs a terminal (interactiveMode: Always)"),
        "{}",
        err(&ours.0)
    );
    let program = env!("CARGO_BIN_EXE_kubectl-workspace");
    for (mode, reason) in [("IfAvailable", None), ("Always", Some("needs standard input"))] {
        let user = exec(&script, &json!({ "interactiveMode": mode }));
        let config = site.config(&site.cluster(), &user);
        let output = site.on_terminal(&format!("'{program}' start -f - --kubeconfig '{config}'"));
        match (site.noted(), reason) {
            (Some(noted), None) => assert_eq!(noted.info["spec"]["interactive"], false),
            (noted, reason) => assert!(
                noted.is_none() && reason.is_some_and(|reason| out(&output).contains(reason)),
                "{mode}: {noted:?} {}",
                out(&output)
            ),
        }
    }
}

#[test]
fn standard_input_stays_with_the_command_whatever_the_plugin_reads() {
    let site = Site::start("stdin");
    let script = site.script(&prints(V1, &json!({"token": "t"})));
    let user = exec(&script, &json!({"interactiveMode": "IfAvailable"}));
    let config = site.config(&site.cluster(), &user);
    let manifest = "apiVersion: workspaces.jupyter.org/v1alpha1\nkind: Workspace\nmetadata: {name: demo}\nspec: {displayName: Whole}\n";
    let output = ran(&site.0, &["--kubeconfig", &config, "create", "-f", "-"], manifest);
    assert_eq!(
        out(&output),
        "workspace.workspaces.jupyter.org/demo created\n",
        "{output:?}"
    );
    assert_eq!(site.noted().unwrap().calls, 1);
    let asked = site.0.take_asked();
    assert!(
        asked.iter().any(|asked| asked.body.contains("Whole")),
        "{asked:?}"
    );

    // The same by ssh: the bytes of its connection.
    site.0.signed_in();
    let stdio = ["--kubeconfig", &config, "ssh", "--stdio=lab.team.workspace"];
    let output = ran(&site.0, &stdio, "greeting");
    assert_eq!(out(&output), "greeting", "{output:?}");
    let noted = site.noted().unwrap();
    assert_eq!((noted.calls, noted.stdin.as_str()), (1, ""));
}

#[test]
fn a_plugin_that_fails_is_named_and_nothing_of_it_is_shown() {
    let site = Site::start("fails");
    let only_key = prints(V1, &json!({"clientKeyData": "secret-printed"}));
    for (script, more, expected) in [
        (
            "echo secret-printed; exit 3",
            json!({}),
            "failed with exit code 3: run it by itself to see why",
        ),
        (
            "echo secret-printed; kill -9 $$",
            json!({}),
            "was ended by a signal",
        ),
        (
            "echo secret-printed",
            json!({}),
            "must print an ExecCredential of",
        ),
        (
            "printf '{secret-printed: ['",
            json!({}),
            "must print an ExecCredential of",
        ),
        (
            prints(V1BETA1, &json!({"token": "secret-printed"})).as_str(),
            json!({}),
            "must print an ExecCredential of client.authentication.k8s.io/v1 with",
        ),
        (prints(V1, &json!({})).as_str(), json!({}), "must print a token"),
        (
            prints(V1, &json!({"token": "", "other": "secret-printed"})).as_str(),
            json!({}),
            "must print a token",
        ),
        (
            &only_key,
            json!({}),
            "must print a certificate and its key, not one of them",
        ),
        (
            "",
            json!({"command": "/nonexistent/plugin", "installHint": "ask\u{1b}[2J the team"}),
            "was not found: install it. The kubeconfig says: ask [2J the team",
        ),
        (
            "",
            json!({"interactiveMode": null}),
            "must have an interactiveMode",
        ),
        (
            "",
            json!({"apiVersion": "client.authentication.k8s.io/v1alpha1"}),
            "must be client.authentication.k8s.io/v1 or",
        ),
    ] {
        let script = site.script(script);
        let mut user = exec(
            &script,
            &json!({"args": ["secret-argument"], "env": [{"name": "CLIENT", "value": "secret-variable"}]}),
        );
        let fields = more.as_object().unwrap().clone();
        user["exec"].as_object_mut().unwrap().extend(fields);
        let [ours, theirs] = site.both(&site.cluster(), &user);
        let error = err(&ours.0);
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(error.contains("kubeconfig's credential plugin"), "{error}");
        assert!(!error.contains("secret"), "{error}");
        assert!(!theirs.0.status.success(), "kubectl takes it: {expected}");
        assert_eq!(ours.0.status.code(), Some(1));
        assert!(ours.2.is_empty() && theirs.2.is_empty(), "{expected}");
    }
}

#[test]
fn what_counts_of_a_user_counts_as_for_kubectl() {
    let site = Site::start("users");
    let script = site.script(&prints(V1, &json!({"token": "plugin"})));
    let plugin = exec(&script, &json!({}))["exec"].clone();
    let file = site.write("token", "from-a-file\n");
    let [certificate, key] = site.0.client_certificate();
    let pair = json!({"client-certificate": certificate, "client-key": key});
    let with = |mut one: Value, other: Value| {
        one.as_object_mut()
            .unwrap()
            .extend(other.as_object().unwrap().clone());
        one
    };
    let http = json!({"server": format!("http://127.0.0.1:{}", site.0.port)});
    let basic = json!({"username": "alice", "password": "secret"});
    // The last: whether the API server is asked, with which token, with a certificate; and whether the plugin runs.
    for (user, expected) in [
        (json!({"token": "plain"}), Some(("Bearer plain", false, false))),
        (
            json!({ "tokenFile": file }),
            Some(("Bearer from-a-file", false, false)),
        ),
        (
            json!({"token": "plain", "tokenFile": file}),
            Some(("Bearer from-a-file", false, false)),
        ),
        (
            json!({"token": "plain", "exec": plugin}),
            Some(("Bearer plain", false, false)),
        ),
        (
            json!({"token": "", "username": "", "exec": plugin}),
            Some(("Bearer plugin", false, true)),
        ),
        (basic.clone(), Some(("Basic YWxpY2U6c2VjcmV0", false, false))),
        (
            with(basic.clone(), json!({ "exec": plugin })),
            Some(("Basic YWxpY2U6c2VjcmV0", false, false)),
        ),
        (with(basic.clone(), json!({"token": "plain"})), None),
        (pair.clone(), Some(("", true, false))),
        (
            with(pair.clone(), json!({ "exec": plugin })),
            Some(("", true, false)),
        ),
        (
            with(pair.clone(), json!({"token": "plain"})),
            Some(("Bearer plain", true, false)),
        ),
        (
            json!({"auth-provider": {"name": "gcp", "config": {"cmd-path": script}}}),
            None,
        ),
        (
            json!({"auth-provider": {"name": "gcp", "config": {}}, "exec": plugin}),
            None,
        ),
    ] {
        let [ours, theirs] = site.both(&site.cluster(), &user);
        assert_eq!(
            ours.0.status.success(),
            expected.is_some(),
            "{user}: {}",
            err(&ours.0)
        );
        assert_eq!(
            theirs.0.status.success(),
            expected.is_some(),
            "{user}: {}",
            err(&theirs.0)
        );
        assert_eq!(ours.2.first(), theirs.2.first(), "{user}");
        assert_eq!(ours.1.is_some(), theirs.1.is_some(), "{user}");
        let asked = ours
            .2
            .first()
            .map(|asked| (asked.authorization.as_str(), asked.has_certificate));
        let found = asked.map(|(authorization, certificate)| (authorization, certificate, ours.1.is_some()));
        assert_eq!(found, expected, "{user}");
    }
    // Nothing is sent where everybody can read it. The port answers TLS alone, so both fail; neither runs the plugin.
    let [ours, theirs] = site.both(&http, &json!({ "exec": plugin }));
    assert_eq!((ours.1, theirs.1), (None, None));
}

#[test]
fn every_value_of_a_cluster_and_a_user_is_taken_as_by_kubectl_or_refused_in_words() {
    let site = Site::start("values");
    let port = site.0.port;
    let file = site.write("token", "a\nb");
    let here = format!("127.0.0.1:{port}");
    let token = json!({"token": "t"});
    let check = |cluster: &Value, user: &Value, flags: &[&str], taken: bool| {
        let [ours, theirs] = site.both_with(cluster, user, flags);
        let (row, error) = (format!("{cluster} {user} {flags:?}"), err(&ours.0));
        let code = i32::from(!taken);
        assert_eq!(ours.0.status.code(), Some(code), "{row}: {error}");
        assert_eq!(error.is_empty(), taken, "{row}: {error}");
        assert!(
            !error.contains("panicked") && !error.contains("secret"),
            "{row}: {error}"
        );
        (row, theirs.0.status.success(), error)
    };
    // Addresses, and whether they are taken.
    for (server, taken) in [
        (format!("https://{here}"), true),
        (format!("https://{here}/"), true),
        (format!("https://{here}/prefix/"), true),
        (format!("https://{here}/?query#fragment"), true),
        (format!("{here}/path"), false),
        (format!("//{here}"), false),
        (format!("http://{here}"), false),
        (format!("ftp://{here}"), false),
        (format!(" {here}"), false),
        ("https://".to_owned(), false),
        ("https:".to_owned(), false),
        ("/".to_owned(), false),
        ("a b".to_owned(), false),
        ("127.0.0.1:99999".to_owned(), false),
        ("[::1".to_owned(), false),
    ] {
        let mut cluster = site.cluster();
        let name = ["--tls-server-name", "api.ws.localhost"];
        let flags = [&["--server", &server], &name[..]].concat();
        let (row, theirs, _) = check(&cluster, &token, &flags, taken);
        assert_eq!(theirs, taken, "{row}");
        cluster["server"] = json!(server);
        let (row, theirs, _) = check(&cluster, &token, &[], taken);
        assert_eq!(theirs, taken, "{row}");
    }
    // kubectl guesses a scheme, and sends the user of an address. This program refuses both in words.
    for server in [
        here.clone(),
        format!("{here}/"),
        format!("HTTPS://{here}"),
        format!("https://bob:secret@{here}"),
    ] {
        let mut cluster = site.cluster();
        cluster["server"] = json!(server);
        for flags in [&[][..], &["--server", &server]] {
            let (row, _, error) = check(&cluster, &json!({}), flags, false);
            let expected = "must be an address such as https://host:6443, with its scheme and without a user";
            assert!(error.contains(expected), "{row}: {error}");
        }
    }
    let with = |field: &str, value: &str| {
        let mut cluster = site.cluster();
        cluster[field] = json!(value);
        cluster
    };
    for (cluster, user) in [
        (with("tls-server-name", "other.example"), token.clone()),
        (with("tls-server-name", "a b"), token.clone()),
        (with("certificate-authority", "/nonexistent"), token.clone()),
        (with("certificate-authority-data", "bm90aGluZw=="), token.clone()),
        (with("certificate-authority-data", "%"), token.clone()),
        (with("proxy-url", "ftp://bob:secret@127.0.0.1:1"), token.clone()),
        (site.cluster(), json!({"token": "a\nb"})),
        (site.cluster(), json!({"tokenFile": file})),
        (
            site.cluster(),
            json!({"username": "a", "password": "a\nb", "as": "a\nb"}),
        ),
        (
            site.cluster(),
            json!({"client-certificate": "/nonexistent", "client-key": "/nonexistent"}),
        ),
        (
            site.cluster(),
            json!({"client-certificate-data": "bm90aGluZw==", "client-key-data": "bm90aGluZw=="}),
        ),
        (site.cluster(), json!({"token": "t", "as": "a\nb"})),
    ] {
        let (row, theirs, _) = check(&cluster, &user, &[], false);
        assert!(!theirs, "{row}");
    }
}

#[test]
fn a_plugin_s_credentials_are_taken_anew_when_they_have_expired() {
    let site = Site::start("expired");
    for (end, calls) in [("2020-01-01T00:00:00Z", 3), ("2999-01-01T00:00:00Z", 1)] {
        let status = json!({"token": "t", "expirationTimestamp": end});
        let script = site.script(&prints(V1, &status));
        let config = site.config(&site.cluster(), &exec(&script, &json!({})));
        // Two requests.
        let manifest = "apiVersion: workspaces.jupyter.org/v1alpha1\nkind: Workspace\nmetadata: {name: demo}\nspec: {displayName: D}\n";
        let output = ran(&site.0, &["--kubeconfig", &config, "create", "-f", "-"], manifest);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(site.0.take_asked().len(), 2);
        assert_eq!(site.noted().unwrap().calls, calls, "{end}");
    }
}

#[test]
fn a_kubeconfig_that_cannot_be_read_is_shown_by_its_place_alone() {
    let site = Site::start("broken");
    for text in [
        "users:\n- name: u\n  user: {token: secret-token, exec: [}\n",
        "users:\n- name: u\n  user:\n    token: [secret-token]\n",
        "users:\n- name: u\n  user:\n    exec: {interactiveMode: secret-mode}\n",
    ] {
        let file = site.write("config", text).display().to_string();
        for variable in [true, false] {
            let mut command = site.0.plugin();
            if variable {
                command.args(["list"]).env("KUBECONFIG", &file);
            } else {
                command.args(["list", "--kubeconfig", &file]);
            }
            let error = err(&command.output().unwrap());
            assert!(
                error.contains(&file) && error.contains("line ") && !error.contains("secret"),
                "{error}"
            );
        }
    }
}
