//! What people and editors do by ssh: the system's own programs, with the configuration that the plugin wrote.

use std::env;

use anyhow::{Context as _, ensure};
use e2e::remote::{
    Machine,
    forward::{Forwarding, Kind},
};
use futures::future::try_join_all;
use kube::ResourceExt as _;
use serde_json::json;
use tokio::process::Child;

use super::Lab;

/// Port of a server on the loopback interface of the pod.
const SERVED: u16 = 8_765;
/// A person at a terminal, whose window changes its size.
const TERMINAL: &str = include_str!("terminal.py");
/// Port of a kernel's shell channel on the loopback interface of the pod.
const KERNEL: u16 = 8_770;
/// A client of that channel.
const KERNEL_CLIENT: &str = include_str!("kernel_client.py");
/// A client that is not OpenSSH.
const PARAMIKO_CLIENT: &str = include_str!("paramiko_client.py");

/// Files with each program that copies some.
const COPIES: &str = r#"
head -c 4096 /dev/urandom > file
scp -q -F "$CONFIG" -o BatchMode=yes file HOST:sent
scp -q -F "$CONFIG" -o BatchMode=yes HOST:sent received
cmp file received
printf '%s\n' 'put file uploaded' 'rename uploaded moved' 'chmod 600 moved' 'get moved downloaded' > batch
sftp -q -F "$CONFIG" -b batch HOST >&2
cmp file downloaded
mkdir tree
echo one > tree/one
rsync -aO -e "$SSH" tree/ HOST:tree/
echo two > tree/two
rsync -aO --out-format=%n -e "$SSH" tree/ HOST:tree/
$SSH HOST cat tree/one tree/two
"#;
/// What rsync sent the second time, and the files. Times of folders are left out: within a second they may be equal.
const COPIED: &str = "two\none\ntwo\n";

/// A repository that is made there, and gets a commit. The home, which the storage driver may leave to root, can be one, too.
const PUSH: &str = r"
$SSH HOST git init -q --bare project.git
git init -q project
cd project
git -c user.name=a -c user.email=a@example.com commit -q --allow-empty -m 'a change'
GIT_SSH_COMMAND=$SSH git push -q HOST:project.git HEAD:refs/heads/main
$SSH HOST git -C project.git log --format=%s main
$SSH HOST 'git init -q && git status > /dev/null'
";

/// What terminals of today call themselves. The image knows all of them.
const TERMINALS: &str = r#"
$SSH HOST 'for name in alacritty foot iterm2 konsole st tmux-256color wezterm xterm-ghostty xterm-kitty none; do
  infocmp "$name" > /dev/null 2>&1 || echo "$name"
done'
"#;
/// A commit whose message is written in the editor that git starts, in tmux.
const COMMIT: &str = r#"
$SSH HOST 'bash -es' << 'DONE'
shows() { timeout 60 sh -c 'until tmux capture-pane -p | grep -qF -- "$1"; do sleep 0.2; done' - "$1"; }
git init -q written
cd written
git config user.name a
git config user.email a@example.com
tmux new-session -d -x 100 -y 30 'git commit --allow-empty'
shows 'GNU nano'
tmux send-keys 'by hand' C-o
shows 'File Name to Write'
tmux send-keys Enter
shows 'Wrote'
tmux send-keys C-x
timeout 60 sh -c 'while tmux has-session 2> /dev/null; do sleep 0.2; done'
git log --format=%s
vi --version | head -1 | cut -d ' ' -f 1
unzip -v | head -1 | cut -d ' ' -f 1
DONE
"#;

/// A second command over the connection of the first: a connection of its own could not be made.
const SHARED_CONNECTION: &str = r#"
by="-o ControlPath=$HOME/control -o ControlMaster=auto -o ControlPersist=60"
$SSH $by HOST true
$SSH $by -O check HOST
$SSH $by -o ProxyCommand=false HOST echo shared
$SSH $by -O exit HOST
"#;

/// A socket of the workspace that leads here, twice: sshd leaves the file of the first one.
const SOCKET: &str = r#"
for turn in 1 2; do
    $SSH -o ExitOnForwardFailure=yes -R /tmp/forwarded.sock:127.0.0.1:9 HOST "test -S /tmp/forwarded.sock && echo $turn"
done
"#;

/// A large file there and back. Both copies have the checksum of the first.
const LARGE: &str = r#"
sum=$(head -c 500000000 /dev/urandom | tee large | sha256sum)
scp -q -F "$CONFIG" -o BatchMode=yes large HOST:large
test "$($SSH HOST 'sha256sum < large')" = "$sum"
rm large
scp -q -F "$CONFIG" -o BatchMode=yes HOST:large large
test "$(sha256sum < large)" = "$sum"
$SSH HOST rm large
"#;

/// Serves a file on the loopback interface of the pod, by a command of ssh.
fn served(lab: &Lab) -> anyhow::Result<Child> {
    let server = format!(
        "mkdir -p served && echo from-the-pod > served/index.html && \
         exec python3 -m http.server {SERVED} --bind 127.0.0.1 --directory served"
    );
    let mut ssh = lab.machine.ssh(&["-T", &lab.host(), &server])?;
    Ok(ssh.spawn()?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openssh_does_all_that_editors_need() -> anyhow::Result<()> {
    let lab = Lab::new("ssh", &["alice"]).await?;
    commands_have_their_environment_streams_and_exit_code(&lab).await?;
    a_terminal_follows_its_window(&lab).await?;
    let copied = lab.run(COPIES).await?;
    ensure!(copied == COPIED, "{copied:?}");
    let pushed = lab.run(PUSH).await?;
    ensure!(pushed == "a change\n", "{pushed:?}");
    let unknown = lab.run(TERMINALS).await?;
    ensure!(unknown == "none\n", "{unknown:?}");
    let committed = lab.run(COMMIT).await?;
    ensure!(committed == "by hand\nVIM\nUnZip\n", "{committed:?}");
    let shared = lab.run(SHARED_CONNECTION).await?;
    ensure!(shared.ends_with("shared\n"), "{shared:?}");
    let forwarded = lab.run(SOCKET).await?;
    ensure!(forwarded == "1\n2\n", "{forwarded:?}");

    others_than_openssh_get_in_by_an_empty_password(&lab).await?;

    let server = served(&lab)?;
    for kind in [Kind::Port(SERVED), Kind::Proxy(SERVED)] {
        let forwarding = Forwarding::start(&lab.machine, &lab.host(), kind, None).await?;
        forwarding.shows("from-the-pod").await?;
    }
    drop(server);
    a_kernel_computes_for_a_client_on_this_machine(&lab).await?;
    eight_shells_work_at_once(&lab.machine, &lab.host()).await?;
    lab.run(LARGE).await?;
    lab.scratch.finish().await
}

async fn commands_have_their_environment_streams_and_exit_code(lab: &Lab) -> anyhow::Result<()> {
    let command = format!(
        "echo typed | $SSH {} 'echo \"$WORKSPACE_UID\"; pwd; id -un; cat; echo wrong >&2; exit 7'",
        lab.host()
    );
    let done = lab.machine.outcome(&command).await?;
    let uid = lab.workspace.uid().unwrap_or_default();
    ensure!(done.code == 7, "{done:?}");
    ensure!(
        done.stdout == format!("{uid}\n/home/jovyan\njovyan\ntyped\n"),
        "{done:?}"
    );
    ensure!(done.stderr.contains("wrong\n"), "{done:?}");
    // By the plugin, which also takes the name alone.
    let namespace = lab.scratch.namespace.as_str();
    let by_name = ["ssh", "lab", "-n", namespace, "--", "exit 3"];
    let done = lab.machine.plugin(&by_name).await?;
    ensure!(done.code == 3, "{done:?}");
    Ok(())
}

/// paramiko, which knows no sign-in without a method, and computers where only some kinds of host keys are allowed. Any other password is
/// refused. The home has what kept users out when host keys were there.
async fn others_than_openssh_get_in_by_an_empty_password(lab: &Lab) -> anyhow::Result<()> {
    let ruin = "$SSH HOST 'mkdir -p .ssh/jupyter-k8s && : > .ssh/jupyter-k8s/ssh_host_ed25519_key && chmod 000 .ssh'";
    lab.run(ruin).await?;
    let python = env::var("JUPYTER_K8S_PARAMIKO")
        .context("JUPYTER_K8S_PARAMIKO is not set: run the tests by `./justw test`")?;
    let client = lab.machine.home().join("paramiko_client.py");
    std::fs::write(&client, PARAMIKO_CLIENT)?;
    let connect = async |password: &str, kind: &str| {
        let command = format!(
            r#"{python} {} "$CONFIG" {} '{password}' {kind}"#,
            client.display(),
            lab.host()
        );
        lab.machine.outcome(&command).await
    };
    for (kind, name) in [
        ("ssh-ed25519", "ssh-ed25519"),
        ("ecdsa", "ecdsa-sha2-nistp256"),
        ("rsa", "ssh-rsa"),
    ] {
        let done = connect("", kind).await?;
        ensure!(
            done.code == 0 && done.stdout == format!("{name} jovyan\n"),
            "{kind}: {done:?}"
        );
    }
    let done = connect("guessed", "ecdsa").await?;
    ensure!(
        done.code == 3 && done.stderr.contains("Authentication failed"),
        "{done:?}"
    );
    lab.run("$SSH HOST chmod 700 .ssh").await.map(drop)
}

async fn a_terminal_follows_its_window(lab: &Lab) -> anyhow::Result<()> {
    let host = lab.host();
    let terminal = lab.machine.home().join("terminal.py");
    std::fs::write(&terminal, TERMINAL)?;
    let command = format!("python3 {} $SSH -tt {host}", terminal.display());
    let done = lab.machine.outcome(&command).await?;
    ensure!(done.code == 5, "{done:?}");
    Ok(())
}

/// A kernel that ssh starts, and a client that reaches it by `-L`, as an editor on this machine does.
async fn a_kernel_computes_for_a_client_on_this_machine(lab: &Lab) -> anyhow::Result<()> {
    let (host, key) = (lab.host(), "known-to-both");
    let [iopub, stdin, control, heartbeat] = [1, 2, 3, 4].map(|next| KERNEL + next);
    let connection = json!({
        "transport": "tcp", "ip": "127.0.0.1", "key": key, "signature_scheme": "hmac-sha256",
        "shell_port": KERNEL, "iopub_port": iopub, "stdin_port": stdin, "control_port": control, "hb_port": heartbeat,
    });
    let start = format!(
        "echo '{connection}' > kernel.json && exec /opt/jupyter/bin/python -m ipykernel_launcher -f kernel.json"
    );
    let kernel = lab.machine.ssh(&["-T", &host, &start])?.spawn()?;
    let forwarding = Forwarding::start(&lab.machine, &host, Kind::Port(KERNEL), None).await?;
    let client = lab.machine.home().join("kernel_client.py");
    std::fs::write(&client, KERNEL_CLIENT)?;
    let ask = format!(
        r#"python3 {} {} {key} '__import__("os").environ["WORKSPACE_UID"] + str(6 * 7)'"#,
        client.display(),
        forwarding.port()
    );
    let computed = lab.machine.outcome(&ask).await?;
    let uid = lab.workspace.uid().unwrap_or_default();
    ensure!(
        computed.code == 0 && computed.stdout == format!("'{uid}42'\n"),
        "{computed:?}"
    );
    drop(kernel);
    Ok(())
}

async fn eight_shells_work_at_once(machine: &Machine, host: &str) -> anyhow::Result<()> {
    let mut shells = try_join_all((0..8).map(|_| machine.enter(host))).await?;
    for shell in &mut shells {
        shell.repeats("still open").await?;
    }
    Ok(())
}

/// The part that starts a server, as VS Code sends it to a shell's standard input, and says where it listens.
const STARTER: &str = "
mkdir -p ~/.editor/web && tar -xzf ~/editor.tar.gz -C ~/.editor/web
python3 -m http.server 8766 --bind 127.0.0.1 --directory ~/.editor/web > ~/.editor/log 2>&1 &
echo listeningOn==8766==
";
/// The server of an editor, which is copied there.
const UPLOAD: &str = r#"
mkdir web
echo an-editor > web/index.html
tar -czf editor.tar.gz -C web index.html
printf '%s\n' 'put editor.tar.gz' > batch
sftp -q -F "$CONFIG" -b batch HOST >&2
"#;

/// The editors cannot be had here: these are their first steps, as their makers describe them.
#[tokio::test]
async fn what_vs_code_and_jetbrains_do_first_works() -> anyhow::Result<()> {
    let lab = Lab::new("editors", &["alice"]).await?;
    let host = lab.host();
    // Both ask for the platform first.
    let platform = lab.run("$SSH -T HOST 'uname -sm; echo ~'").await?;
    ensure!(platform.starts_with("Linux "), "{platform:?}");
    ensure!(platform.ends_with("\n/home/jovyan\n"), "{platform:?}");
    lab.run(UPLOAD).await?;
    // VS Code: a script over standard input, and its server by the proxy of the same connection.
    let mut vs_code = Forwarding::start(&lab.machine, &host, Kind::Proxy(8_766), Some("bash -s")).await?;
    vs_code.runs(STARTER, "listeningOn==8766==").await?;
    vs_code.shows("an-editor").await?;
    // JetBrains: a port of its own.
    let jetbrains = Forwarding::start(&lab.machine, &host, Kind::Port(8_766), None).await?;
    jetbrains.shows("an-editor").await?;
    // The plugin hands the editor's address to the desktop.
    let namespace = lab.scratch.namespace.as_str();
    let opened = lab.machine.plugin(&["code", "lab", "-n", namespace]).await?;
    ensure!(opened.code == 0, "{opened:?}");
    let asked = std::fs::read_to_string(lab.machine.home().join("asked"))?;
    let address = format!("vscode://vscode-remote/ssh-remote+{host}/home/jovyan");
    ensure!(asked == address, "{asked}");
    lab.scratch.finish().await
}
