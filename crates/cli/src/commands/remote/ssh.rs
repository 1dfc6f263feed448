//! Workspace -> the system's ssh, and the bytes of its connection (IO).

use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{self, PathBuf};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::{env, fs, io};

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::destination::Destination;
use super::options::options;
use crate::args::{Connection, Ssh};
use crate::console::Console;
use crate::failure::Failure;
use crate::remote::{secret, tunnel};
use crate::system;

/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;
/// Chunks that wait for the other side.
const WAITING: usize = 4;

/// Runs ssh, or carries its connection.
pub(super) async fn run(flags: &Connection, args: &Ssh, console: &mut Console<'_>) -> Result<(), Failure> {
    if let Some(host) = &args.stdio {
        return carry(flags, host).await.map_err(|failure| match failure {
            Failure::Usage(message) => Failure::Other(anyhow!(message)),
            failure => failure,
        });
    }
    let name = args.name.as_deref().unwrap_or_default();
    let found = Box::pin(Destination::find(flags, name, args.waiting, "ssh", console)).await?;
    let program = own_path()?;
    // The workspace is known already: the address needs no cluster.
    let url = found.address.to_string();
    let options = options("", &program, &Connection::default(), &url, &args.user);
    let mut ssh = Command::new("ssh");
    // The first value of an option counts.
    for option in &args.option {
        ssh.arg("-o").arg(option);
    }
    for (key, value) in options.map_err(Failure::Usage)? {
        ssh.arg("-o").arg(format!("{key}={value}"));
    }
    // A shared connection is to this workspace of this installation alone, and has a short name: that of a socket must be.
    let way = &secret::fingerprint(&format!("{url} {}", args.user))[..10];
    ssh.arg("-o").arg(format!("ControlPath=~/.ssh/kw-{way}"));
    for (flag, values) in [("-L", &args.local_forward), ("-D", &args.dynamic_forward)] {
        for value in values {
            ssh.arg(flag).arg(value);
        }
    }
    if args.no_command {
        ssh.arg("-N");
    }
    for _ in 0..args.tty {
        ssh.arg("-t");
    }
    if !args.command.is_empty() {
        // That of the user's `Host *` would be a second command, which ssh refuses.
        ssh.args(["-o", "RemoteCommand=none"]);
    }
    ssh.arg("--").arg(&found.host).args(&args.command);
    console.out.flush()?;
    Err(no_ssh(system::become_program(ssh)))
}

/// Why the system's ssh does not run.
pub(super) fn no_ssh(error: io::Error) -> Failure {
    let remedy = match error.kind() {
        ErrorKind::NotFound => "install OpenSSH's client: no ssh is in $PATH",
        _ => "ssh cannot be run",
    };
    anyhow::Error::from(error).context(remedy).into()
}

/// Where this program is, by a name that stays right after an upgrade: one in `$PATH`, as a package manager links it, else as it was called.
pub(super) fn own_path() -> anyhow::Result<PathBuf> {
    let own = env::current_exe().context("this program does not find itself")?;
    let resolved = fs::canonicalize(&own).context("this program does not find itself")?;
    let name = format!("kubectl-workspace{}", env::consts::EXE_SUFFIX);
    let path = env::var_os("PATH").unwrap_or_default();
    let linked = env::split_paths(&path).map(|folder| folder.join(&name));
    let mut names = linked.chain(env::args_os().next().map(PathBuf::from));
    let stable = names.find_map(|name| {
        let found = fs::canonicalize(&name).ok().filter(|found| *found == resolved);
        found.and_then(|_| path::absolute(name).ok())
    });
    Ok(stable.unwrap_or(own))
}

/// Carries standard input and output to the workspace's ssh until one side ends.
async fn carry(flags: &Connection, host: &str) -> Result<(), Failure> {
    let found = Destination::of_host(flags, host).await?;
    let tunnel = tunnel::open(&found.signed_in, &found.address, &found.start).await?;
    let from_ssh = input()?;
    let (to_ssh, writer) = output()?;
    let carried = tunnel::carry(tunnel, from_ssh, to_ssh).await;
    // The last bytes are written before the process ends.
    let _ = writer.join();
    Ok(carried?)
}

/// Standard input in chunks. Its thread does not keep the process: it may wait for input that never comes.
fn input() -> anyhow::Result<Receiver<Bytes>> {
    let mut stdin = system::stdin()?;
    let (sender, receiver) = mpsc::channel(WAITING);
    thread::spawn(move || {
        let mut chunk = vec![0; CHUNK];
        loop {
            match stdin.read(&mut chunk) {
                Ok(0) => return,
                Ok(length) => {
                    if sender
                        .blocking_send(Bytes::copy_from_slice(&chunk[..length]))
                        .is_err()
                    {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    });
    Ok(receiver)
}

/// Standard output as it comes.
fn output() -> anyhow::Result<(Sender<Bytes>, JoinHandle<()>)> {
    let mut stdout = system::stdout()?;
    let (sender, mut receiver) = mpsc::channel::<Bytes>(WAITING);
    let writer = thread::spawn(move || {
        while let Some(bytes) = receiver.blocking_recv() {
            if stdout.write_all(&bytes).is_err() {
                return;
            }
        }
    });
    Ok((sender, writer))
}
