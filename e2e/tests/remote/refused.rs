//! Ways to a shell that are none. Each has its control: the same request by whom it is allowed to.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use api::{Workspace, WorkspaceShare, names};
use e2e::{
    cluster,
    http::{HttpSession, pod::Direct},
    objects::workspace,
    portal::attested::{keys, now, signer},
    remote::{
        Machine,
        door::{self, TICKET},
        program::{self, Program},
    },
    wait,
};
use k8s_openapi::api::{core::v1::Service, networking::v1::NetworkPolicy};
use kit::assertion_signer::Claims;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Lab;

/// Port of ssh.
const SSH_PORT: i32 = 22;
/// Port of the API server's Service.
const HTTPS: i32 = 443;
/// The workspace's own port.
const PORT: i32 = 8_888;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_a_shell_by_another_way() -> anyhow::Result<()> {
    let lab = Lab::new("ssh-refused", &["alice", "bob"]).await?;
    let other = workspace::running(&lab.scratch, "other").await?;
    let alice = Program::admitted(&lab.browser, "alice").await?;
    let ticket = alice.ticket(&lab.workspace).await?;
    let others = alice.ticket(&other).await?;
    only_its_own_ticket_opens_it(&lab, &ticket, &others).await?;
    no_pod_is_given_a_ticket(&other, &others).await?;
    strangers_and_former_guests_get_none(&lab, &other).await?;
    nothing_past_the_gateway_opens_it(&lab).await?;
    nothing_is_listened_on(&lab).await?;
    nothing_comes_back_with_the_connection(&lab).await?;
    no_object_has_the_port_of_ssh().await?;
    a_stopped_workspace_says_so(&lab, &ticket).await?;
    lab.scratch.finish().await
}

async fn only_its_own_ticket_opens_it(lab: &Lab, own: &str, others: &str) -> anyhow::Result<()> {
    let url = workspace::url(&lab.workspace)?;
    let mut socket = door::connect(&url, &[(TICKET, own)])
        .await?
        .map_err(|status| anyhow::anyhow!("the control is refused: {status}"))?;
    door::greeted(&mut socket).await?;
    let cookies = lab.browser.cookies(&url)?;
    let page = url.trim_end_matches('/');
    let forged = own.chars().rev().collect::<String>();
    let by_token = format!("Bearer {own}");
    let refused: [&[(&str, &str)]; 8] = [
        &[],
        &[(TICKET, others)],
        &[(TICKET, &forged)],
        &[(TICKET, "")],
        &[("Authorization", &by_token)],
        &[("Cookie", &format!("__Host-ws={own}"))],
        // A page cannot send the header, and this one is none of a program.
        &[(TICKET, own), ("Sec-Fetch-Site", "same-origin")],
        &[
            (TICKET, own),
            ("Sec-Fetch-Site", "cross-site"),
            ("Origin", "https://a.example"),
        ],
    ];
    for headers in refused {
        let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        let opened = door::connect(&url, headers).await?;
        let status = opened.err().with_context(|| format!("{names:?} opened it"))?;
        ensure!(
            matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN),
            "{names:?}: {status}"
        );
    }
    // A page of another origin, with the cookies of the user.
    let foreign: [(&str, &str); 2] = [("Cookie", &cookies), ("Origin", "https://a.example")];
    ensure!(
        door::connect(&url, &foreign).await?.is_err(),
        "a foreign page of {page} opened it"
    );
    Ok(())
}

/// The echo server shows the headers that it got.
async fn no_pod_is_given_a_ticket(echo: &Workspace, ticket: &str) -> anyhow::Result<()> {
    let program = HttpSession::new()?;
    let request = program.request(Method::GET, &workspace::url(echo)?);
    let answer = request.header(TICKET, ticket).send().await?;
    let (status, seen) = (answer.status(), answer.text().await?);
    ensure!(status == StatusCode::OK, "{status} {seen}");
    let lower = seen.to_lowercase();
    ensure!(
        lower.contains(names::ASSERTION_HEADER) && !lower.contains("workspace-ticket"),
        "{seen}"
    );
    ensure!(!seen.contains(ticket), "{seen}");
    Ok(())
}

async fn strangers_and_former_guests_get_none(lab: &Lab, other: &Workspace) -> anyhow::Result<()> {
    let browser = HttpSession::new()?;
    let bob = Program::admitted(&browser, "bob").await?;
    let place = program::place(&lab.workspace)?;
    let (status, refusal) = bob.ask(&place).await?;
    ensure!(
        status == StatusCode::FORBIDDEN && refusal["error"] == "NoAccess",
        "{status} {refusal}"
    );
    // What does not exist reads alike.
    let own = place.split('.').next().context("no host")?;
    let nothing = place.replacen(own, &"a".repeat(own.len()), 1);
    let (status, unknown) = bob.ask(&nothing).await?;
    ensure!(status == StatusCode::FORBIDDEN, "{status} {unknown}");
    for part in ["error", "message"] {
        ensure!(refusal[part] == unknown[part], "{refusal} {unknown}");
    }

    let shares: Api<WorkspaceShare> = Api::namespaced(cluster::user("alice").await?, &lab.scratch.namespace);
    let spec = json!({"workspaceRef": "lab", "subjects": [{"kind": "User", "name": "bob"}]});
    let share: Value = json!({"metadata": {"name": "s"}, "spec": spec});
    shares
        .create(&PostParams::default(), &serde_json::from_value(share)?)
        .await?;
    let given = wait::until("the guest to get a ticket", wait::USUAL, || async {
        let ticket = bob.ticket(&lab.workspace).await;
        ticket.map_err(|error| format!("{error:#}"))
    })
    .await?;
    let machine = Machine::signed_in("bob", &browser).await?;
    machine.enter(&lab.host()).await?;
    ensure!(bob.ask(&program::place(other)?).await?.0 == StatusCode::FORBIDDEN);
    shares.delete("s", &DeleteParams::default()).await?;
    let url = workspace::url(&lab.workspace)?;
    wait::until("the guest's ticket to end", wait::USUAL, || async {
        let opened = door::connect(&url, &[(TICKET, &given)]).await;
        match opened.map_err(|error| error.to_string())? {
            Ok(_) => Err("it is open".to_owned()),
            Err(status) if status.is_client_error() => Ok(()),
            Err(status) => Err(status.to_string()),
        }
    })
    .await?;
    let refused = machine.ssh(&[&lab.host(), "true"])?.output().await?;
    ensure!(refused.status.code() == Some(255), "{refused:?}");
    Ok(())
}

/// The pod at its own address answers an assertion of the gateway alone.
async fn nothing_past_the_gateway_opens_it(lab: &Lab) -> anyhow::Result<()> {
    let pod = Direct::of(&lab.workspace).await?;
    let uid = lab.workspace.uid().unwrap_or_default();
    let gateway = signer(&keys("gateway").await?)?;
    let good = gateway.sign(&Claims::new(names::GATEWAY, &uid, "alice", now()))?;
    let foreign = gateway.sign(&Claims::new(names::GATEWAY, "another-workspace", "alice", now()))?;
    let operator = signer(&keys("operator").await?)?;
    let operator = operator.sign(&Claims::new(names::OPERATOR, &uid, names::OPERATOR, now()))?;
    let wrong: [&[&str]; 4] = [&[], &["e30.e30.e30"], &[&foreign], &[&operator]];
    for assertions in wrong {
        let status = pod.ask(door::SSH, assertions).await?;
        ensure!(status == 401, "{assertions:?}: {status}");
    }
    // The control. It is no websocket, which is the only thing that is wrong with it.
    let status = pod.ask(door::SSH, &[&good]).await?;
    ensure!(
        status != 401 && status != 404 && (400..500).contains(&status),
        "{status}"
    );
    // Nor do the processes of the pod get one at their own port.
    let inside = format!(
        "import urllib.request as r, urllib.error as e\n\
         try: print(r.urlopen('http://127.0.0.1:{PORT}/{}').status)\n\
         except e.HTTPError as x: print(x.code)",
        door::SSH
    );
    let pod = workspace::pod(&lab.workspace)?;
    let seen = cluster::exec(&lab.scratch.api(), &pod, &["python3", "-c", &inside]).await?;
    ensure!(seen.trim() == "401", "{seen}");
    Ok(())
}

/// Ports on which processes of the pod listen, without those of the loopback interface.
const LISTENING: &str = "
import pathlib
for name in ['tcp', 'tcp6']:
    for line in pathlib.Path('/proc/net', name).read_text().splitlines()[1:]:
        address, state = line.split()[1], line.split()[3]
        host, port = address.split(':')
        is_loopback = host.endswith('7F') and len(host) == 8 or host in ('0' * 24 + '01000000', '0' * 16 + 'FFFF00000100007F')
        if state == '0A' and not is_loopback:
            print(int(port, 16))
";

/// Keys in the home open nothing: while a shell is open, there is one port, and it is the workspace's.
async fn nothing_is_listened_on(lab: &Lab) -> anyhow::Result<()> {
    let keys = "ssh-keygen -q -t ed25519 -N '' -f key\n\
                $SSH HOST 'umask 077; mkdir -p .ssh; cat >> .ssh/authorized_keys' < key.pub\n\
                $SSH HOST cat .ssh/authorized_keys";
    let written = lab.run(keys).await?;
    ensure!(written.starts_with("ssh-ed25519 "), "{written}");
    let mut shell = lab.machine.enter(&lab.host()).await?;
    let pod = workspace::pod(&lab.workspace)?;
    let listening = cluster::exec(&lab.scratch.api(), &pod, &["python3", "-c", LISTENING]).await?;
    let ports: BTreeSet<&str> = listening.lines().collect();
    ensure!(ports == BTreeSet::from([PORT.to_string().as_str()]), "{ports:?}");
    shell.repeats("still open").await
}

/// Neither an agent nor a display of the user's machine can be used from the workspace.
async fn nothing_comes_back_with_the_connection(lab: &Lab) -> anyhow::Result<()> {
    // ssh-agent runs the command, and ends with it.
    let agent = "ssh-agent $SSH -v -A HOST 'echo \"agent=$SSH_AUTH_SOCK\"'";
    let done = lab.machine.outcome(&agent.replace("HOST", &lab.host())).await?;
    ensure!(done.code == 0 && done.stdout == "agent=\n", "{done:?}");
    // The control: it was asked for.
    ensure!(
        done.stderr.contains("Requesting authentication agent forwarding"),
        "{done:?}"
    );
    let display = "$SSH -v -Y HOST 'echo \"display=$DISPLAY\"'";
    let done = lab.machine.outcome(&display.replace("HOST", &lab.host())).await?;
    ensure!(done.code == 0 && done.stdout == "display=\n", "{done:?}");
    ensure!(done.stderr.contains("X11 forwarding request failed"), "{done:?}");
    Ok(())
}

async fn no_object_has_the_port_of_ssh() -> anyhow::Result<()> {
    let (admin, all) = (cluster::admin().await?, ListParams::default());
    let services = Api::<Service>::all(admin.clone()).list(&all).await?;
    let rules = Api::<NetworkPolicy>::all(admin).list(&all).await?;
    let texts = services
        .iter()
        .map(|service| (service.namespace(), json!(service.spec)))
        .chain(rules.iter().map(|rule| (rule.namespace(), json!(rule.spec))));
    let mut finds = false;
    for (namespace, spec) in texts {
        let found = ports(&spec);
        ensure!(!found.contains(&SSH_PORT), "{namespace:?}: {spec}");
        finds |= found.contains(&HTTPS);
    }
    // The control: the port of the API server's Service is found.
    ensure!(finds, "no object names {HTTPS}");
    Ok(())
}

/// Numbers of the ports that an object names (pure).
fn ports(spec: &Value) -> BTreeSet<i32> {
    match spec {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| {
                let own = matches!(name.as_str(), "port" | "targetPort" | "nodePort")
                    .then(|| value.as_i64().and_then(|port| i32::try_from(port).ok()))
                    .flatten();
                own.into_iter().chain(ports(value)).collect::<Vec<_>>()
            })
            .collect(),
        Value::Array(all) => all.iter().flat_map(ports).collect(),
        _ => BTreeSet::new(),
    }
}

/// A stopped workspace is refused with its state, and the plugin says what to do.
async fn a_stopped_workspace_says_so(lab: &Lab, ticket: &str) -> anyhow::Result<()> {
    workspace::stop(&lab.scratch.api(), "lab").await?;
    let url = workspace::url(&lab.workspace)?;
    let (status, refusal) = door::answer(&url, door::SSH, &[(TICKET, ticket)]).await?;
    ensure!(
        status == StatusCode::SERVICE_UNAVAILABLE && refusal["error"] == "WorkspaceNotReady",
        "{status} {refusal}"
    );
    let refused = lab.machine.ssh(&[&lab.host(), "true"])?.output().await?;
    let said = String::from_utf8_lossy(&refused.stderr).to_lowercase();
    ensure!(
        refused.status.code() == Some(255)
            && said.contains("stopped")
            && said.contains("kubectl workspace start lab"),
        "{refused:?}"
    );
    Ok(())
}
