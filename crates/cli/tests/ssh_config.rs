//! `ssh-config`: what it writes, and what ssh makes of it (IO: processes).

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::gateway::Gateway;
use crate::process::out;
use crate::programs::{fails, ran};
use crate::ssh::{FOR_ALL_HOSTS, NOTHING_TO_SHOW};
use crate::ssh_contexts::kubeconfig;

/// What the system's ssh makes of a host, by the file that was written and what is set for all hosts.
fn understood(gateway: &Gateway, host: &str) -> String {
    let (own, config) = (
        gateway.home().join(".ssh/kubectl-workspace.conf"),
        gateway.home().join("config"),
    );
    fs::write(&config, format!("Include {}\n{FOR_ALL_HOSTS}", own.display())).unwrap();
    let output = Command::new("ssh")
        .arg("-G")
        .arg("-F")
        .arg(config)
        .args(["--", host])
        .output()
        .unwrap();
    out(&output)
}

#[test]
fn the_user_s_own_path_of_shared_connections_counts() {
    let gateway = Gateway::start("shared");
    gateway.signed_in();
    let output = ran(&gateway, &["ssh-config"], "");
    assert!(out(&output).contains("git and editors now know "), "{output:?}");
    let understood = understood(&gateway, "lab.team.workspace");
    for line in ["controlmaster auto\n", "/.ssh/master-"] {
        assert!(understood.contains(line), "{understood}");
    }
}

#[test]
fn ssh_config_writes_the_variables_on_which_the_sign_in_depends() {
    let gateway = Gateway::start("variables");
    let written = |name: &str, value: &str| {
        let mut plugin = gateway.plugin();
        let output = plugin
            .env_remove("XDG_STATE_HOME")
            .env(name, value)
            .arg("ssh-config")
            .output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(0), "{name}");
        // Nobody is signed in where the variable leads.
        let (will, first) = (
            "git and editors will know ",
            "you are not signed in: run kubectl workspace login",
        );
        assert!(
            out(&output).contains(will) && out(&output).contains(first),
            "{output:?}"
        );
        let text = fs::read_to_string(gateway.home().join(".ssh/kubectl-workspace.conf")).unwrap();
        text.lines()
            .find(|line| line.contains("ProxyCommand"))
            .unwrap()
            .to_owned()
    };
    for name in ["XDG_STATE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
        let line = written(name, "/a b/100%");
        assert!(
            line.contains(&format!("ProxyCommand env '{name}=/a b/100%%' '/")),
            "{line}"
        );
    }
    // The control: one that says nothing, for it counts in one folder alone.
    let line = written("SSL_CERT_FILE", "here.pem");
    assert!(line.contains("ProxyCommand '/"), "{line}");
}

#[test]
fn ssh_config_writes_a_path_of_this_program_that_stays_right_after_an_upgrade() {
    let gateway = Gateway::start("path");
    gateway.signed_in();
    let home = gateway.home();
    let real = PathBuf::from(env!("CARGO_BIN_EXE_kubectl-workspace"));
    let (folder, link) = (home.join("bin"), home.join("bin/kubectl-workspace"));
    fs::create_dir_all(&folder).unwrap();
    symlink(&real, &link).unwrap();
    let written = |called: &str, path: &str| {
        let mut command = Command::new(called);
        let plugin = gateway.plugin();
        let variables = plugin.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let command = command.envs(variables).env_remove("KUBECONFIG");
        let command = command.arg("ssh-config").current_dir(&home).env("PATH", path);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{called}: {output:?}");
        let text = fs::read_to_string(home.join(".ssh/kubectl-workspace.conf")).unwrap();
        let proxy = text.lines().find(|line| line.contains("ProxyCommand"));
        proxy.unwrap().rsplit('\'').nth(3).unwrap().to_owned()
    };
    let system = "/usr/bin:/bin";
    let with_link = format!("{system}:{}", folder.display());
    let link = link.display().to_string();
    let real = real.display().to_string();
    for (called, path, expected) in [
        (link.as_str(), system, &link),
        ("bin/kubectl-workspace", system, &link),
        ("./bin/../bin/kubectl-workspace", &with_link, &link),
        ("kubectl-workspace", &with_link, &link),
        // The file of a version, which the package manager links.
        (&real, &with_link, &link),
        // The control: nothing links it.
        (&real, system, &real),
    ] {
        assert_eq!(&written(called, path), expected, "{called} {path}");
    }
}

#[test]
fn ssh_config_takes_no_other_hosts_and_leaves_a_broken_file_as_it_is() {
    let gateway = Gateway::start("config-others");
    gateway.signed_in();
    let folder = gateway.home().join(".ssh");
    fs::create_dir_all(&folder).unwrap();
    let config = folder.join("config");
    let broken = "Host\nNonsense yes\n";
    fs::write(&config, broken).unwrap();
    let error = fails(&gateway, &["ssh-config"]);
    assert!(
        error.contains("was left as it is, because ssh does not understand it"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&config).unwrap(), broken);
    assert!(!folder.join("kubectl-workspace.conf").exists());
    fs::remove_file(&config).unwrap();
    let output = ran(&gateway, &["ssh-config"], "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        out(&output).contains("the hosts of workspaces in ws.localhost"),
        "{output:?}"
    );
    // A host that would end the quotes is not a workspace's, nor are others, of the installation's domain as well.
    for host in [
        "a';touch x;'.workspace",
        "example.org",
        "workspace",
        "ws.localhost",
        "auth.ws.localhost",
        "portal.ws.localhost",
        "build-server.ws.localhost",
        "db-primary.internal.ws.localhost",
    ] {
        assert!(!understood(&gateway, host).contains("proxycommand"), "{host}");
    }
    // The control, and that of what is set for all hosts.
    let host = "lab-ukb5wakby6jim56e.ws.localhost";
    assert!(understood(&gateway, host).contains("proxycommand"));
    assert!(understood(&gateway, "example.org").contains("forwardagent yes"));
}

#[test]
fn ssh_finds_workspaces_after_ssh_config_and_not_after_its_removal() {
    let gateway = Gateway::start("config");
    gateway.signed_in();
    let code = [
        "code",
        &gateway.url("lab-ukb5wakby6jim56e.ws.localhost"),
        "--print",
    ];
    assert!(fails(&gateway, &code).contains("run kubectl workspace ssh-config"));
    let folder = gateway.home().join(".ssh");
    fs::create_dir_all(&folder).unwrap();
    let config = folder.join("config");
    let before = "# mine\nHost other\n  User bob\n";
    fs::write(&config, before).unwrap();
    let kube = gateway.home().join(".kube");
    fs::create_dir_all(&kube).unwrap();
    fs::write(kube.join("config"), kubeconfig(&[("a b", "http://one")])).unwrap();
    for _ in 0..2 {
        let output = ran(&gateway, &["ssh-config", "--context", "a b"], "");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let after = fs::read_to_string(&config).unwrap();
        assert_eq!(after, format!("Include ~/.ssh/kubectl-workspace.conf\n{before}"));
    }
    let mode = fs::metadata(folder.join("kubectl-workspace.conf"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let program = env!("CARGO_BIN_EXE_kubectl-workspace");
    for host in ["lab.team.workspace", "lab-ukb5wakby6jim56e.ws.localhost"] {
        let understood = understood(&gateway, host);
        let has = |line: &str| understood.lines().any(|other| other == line);
        assert!(
            has("user jovyan") && has("stricthostkeychecking accept-new"),
            "{understood}"
        );
        assert!(has("serveraliveinterval 0"), "{understood}");
        for line in NOTHING_TO_SHOW {
            assert!(has(line), "{line}: {understood}");
        }
        assert!(
            has(&format!(
                "proxycommand env 'XDG_STATE_HOME={}' '{program}' '--kubeconfig={}/config' '--context=a b' ssh '--stdio=%h'",
                gateway.state_folder().parent().unwrap().display(),
                kube.display()
            )),
            "{understood}"
        );
        // No key is kept, so none is another than before.
        assert!(
            has("userknownhostsfile /dev/null") && has("loglevel ERROR"),
            "{understood}"
        );
    }
    // The system's ssh runs this program by that command, which brings its first bytes to the workspace.
    let path = std::env::var("PATH").unwrap();
    let output = gateway.plugin().args(["ssh-config"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let own = gateway.plugin();
    let variables = own.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let output = Command::new("ssh")
        .envs(variables)
        .env("PATH", path)
        .arg("-F")
        .arg(gateway.home().join(".ssh/kubectl-workspace.conf"))
        .args(["lab-ukb5wakby6jim56e.ws.localhost", "true"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(255), "{output:?}");
    let first = gateway.first_bytes();
    assert!(first.starts_with(b"SSH-2.0-OpenSSH"), "{output:?} {first:?}");
    let output = ran(&gateway, &code, "");
    assert_eq!(
        out(&output),
        "vscode://vscode-remote/ssh-remote+lab-ukb5wakby6jim56e.ws.localhost/home/jovyan\n",
        "{output:?}"
    );
    let cursor = [
        code[0],
        code[1],
        code[2],
        "--editor",
        "cursor",
        "--folder",
        "/data/a b",
    ];
    let output = ran(&gateway, &cursor, "");
    assert_eq!(
        out(&output),
        "cursor://vscode-remote/ssh-remote+lab-ukb5wakby6jim56e.ws.localhost/data/a%20b\n"
    );

    for _ in 0..2 {
        let output = ran(&gateway, &["ssh-config", "--remove"], "");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(fs::read_to_string(&config).unwrap(), before);
    }
    assert!(!folder.join("kubectl-workspace.conf").exists());
}
