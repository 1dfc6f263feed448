//! Workspace of a user who has signed in -> what ssh costs beside other ways (IO).
//!
//! `kubectl exec` is the API server's way to the same pod. JupyterLab's download takes the same way as ssh: plugin, proxy, gateway, door.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::Instant;
use std::{env, fs};

use anyhow::{Context as _, ensure};

use crate::load::percentile;
use crate::page::{Figure, Target};

/// Keys that are typed in each round.
const KEYS: usize = 50;
/// Bytes of the file that is copied.
const BYTES: u32 = 100_000_000;
/// The file, in the home.
const FILE: &str = "bench-of-ssh";

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Workspace for the part `ssh`, a JupyterLab: <name>.<namespace>.workspace. `kubectl workspace login` and `ssh-config` have run
    #[arg(long, value_name = "HOST")]
    ssh_host: Option<String>,
    /// What `ssh-config` has written, if it is not in the home of this machine's user
    #[arg(long, value_name = "FILE")]
    ssh_config: Option<PathBuf>,
}

impl Args {
    pub(crate) fn is_absent(&self) -> bool {
        self.ssh_host.is_none()
    }
}

/// A workspace, and two ways to it.
struct Lab {
    host: String,
    name: String,
    namespace: String,
    pod: String,
    /// Options of ssh, scp and sftp.
    options: Vec<String>,
}

/// Figures of ssh beside the other ways, which take turns.
pub(crate) fn measure(args: &Args, rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let lab = Lab::new(args)?;
    let both = |mut sides: [Vec<f64>; 2]| [0, 1].map(|side| percentile(&mut sides[side], 50));
    let mut prompts = [Vec::new(), Vec::new()];
    // The first one is a warm-up.
    for number in 0..=rounds * 5 {
        for (side, mut command) in lab.ways(false, "true").into_iter().enumerate() {
            let took = seconds(&mut command)?;
            if number > 0 {
                prompts[side].push(took);
            }
        }
    }
    let mut echoes = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let [ssh, exec] = lab.ways(true, "stty raw -echo; echo ready; exec cat");
        let mut terminals = [Terminal::open(&ssh)?, Terminal::open(&exec)?];
        for _ in 0..KEYS {
            for (side, terminal) in terminals.iter_mut().enumerate() {
                echoes[side].push(terminal.echo()?);
            }
        }
    }
    let rates = lab.rates(rounds)?;
    Ok(vec![
        Figure::new("`ssh … true`, s", both(prompts)).within(Target::Ratio(1.5)),
        Figure::new("echo of a key in a terminal, ms", both(echoes)).within(Target::More(10.0)),
        Figure::new("sftp of 100 MB, MB a second", both(rates)).within(Target::RatioAtLeast(0.5)),
    ])
}

impl Lab {
    fn new(args: &Args) -> anyhow::Result<Self> {
        let host = args.ssh_host.clone().context("no --ssh-host")?;
        let parts: Vec<_> = host.split('.').collect();
        let [name, namespace, "workspace"] = parts[..] else {
            anyhow::bail!("--ssh-host {host} must be <name>.<namespace>.workspace");
        };
        let config = args.ssh_config.iter();
        let options = config.flat_map(|config| ["-F".to_owned(), config.display().to_string()]);
        let label = format!("{}={name}", api::names::WORKSPACE_LABEL);
        let mut pods = Command::new("kubectl");
        pods.args(["get", "pods", "-n", namespace, "-o", "name", "-l", &label]);
        let pod = String::from_utf8(done(&mut pods)?.stdout)?.trim().to_owned();
        ensure!(!pod.is_empty(), "{host} has no pod; start it");
        Ok(Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            pod,
            options: options
                .chain(["-o".to_owned(), "BatchMode=yes".to_owned()])
                .collect(),
            host,
        })
    }

    /// A shell's command by ssh and by `kubectl exec`.
    fn ways(&self, terminal: bool, command: &str) -> [Command; 2] {
        let [mut ssh, mut exec] = ["ssh", "kubectl"].map(Command::new);
        ssh.args(&self.options);
        exec.args(["exec", "-n", &self.namespace, &self.pod]);
        if terminal {
            ssh.arg("-tt");
            exec.arg("-it");
        }
        ssh.args([&self.host, command]);
        exec.args(["--", "sh", "-c", command]);
        [ssh, exec]
    }

    fn run(&self, command: &str) -> anyhow::Result<Output> {
        let [mut ssh, _] = self.ways(false, command);
        done(&mut ssh)
    }

    /// MB a second of sftp, connection included, and of JupyterLab's download from its first byte on: JupyterLab reads all before.
    fn rates(&self, rounds: usize) -> anyhow::Result<[Vec<f64>; 2]> {
        let megabytes = f64::from(BYTES) / 1e6;
        self.run(&format!("head -c {BYTES} /dev/urandom > {FILE}"))?;
        let mut connect = Command::new("kubectl");
        connect.args(["workspace", "connect", &self.name, "-n", &self.namespace]);
        let (_connect, _, output) = start(&mut connect)?;
        let mut url = String::new();
        BufReader::new(output).read_line(&mut url)?;
        let (place, token) = url.trim().split_once("/?token=").context("no URL")?;
        let place = place.strip_prefix("http://").context("no http://")?;
        let (address, path) = place.split_at(place.find('/').unwrap_or(place.len()));
        let request = format!(
            "GET {path}/files/{FILE} HTTP/1.1\r\nHost: {address}\r\nAuthorization: token {token}\r\nConnection: close\r\n\r\n"
        );
        let copy = env::temp_dir().join(format!("{FILE}-{}", std::process::id()));
        let mut rates = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            let mut scp = Command::new("scp");
            scp.arg("-q")
                .args(&self.options)
                .arg(format!("{}:{FILE}", self.host));
            rates[0].push(megabytes / seconds(scp.arg(&copy))?);
            let mut stream = TcpStream::connect(address)?;
            stream.write_all(request.as_bytes())?;
            let mut head = [0; 12];
            stream.read_exact(&mut head)?;
            ensure!(&head == b"HTTP/1.1 200", "{}", String::from_utf8_lossy(&head));
            let begin = Instant::now();
            let read = io::copy(&mut stream, &mut fs::File::create(&copy)?)?;
            ensure!(read > u64::from(BYTES), "the download ended after {read} bytes");
            rates[1].push(megabytes / begin.elapsed().as_secs_f64());
        }
        fs::remove_file(copy)?;
        self.run(&format!("rm {FILE}"))?;
        Ok(rates)
    }
}

/// A terminal in which a command runs. It ends when this is dropped.
struct Terminal {
    _script: Running,
    keys: ChildStdin,
    screen: ChildStdout,
}

impl Terminal {
    /// The command says `ready`, and then all that is typed.
    fn open(command: &Command) -> anyhow::Result<Self> {
        let words = [command.get_program()].into_iter().chain(command.get_args());
        let words: Vec<_> = words.map(|word| format!("'{}'", word.display())).collect();
        let mut script = Command::new("script");
        script.args(["-qfc", &words.join(" "), "/dev/null"]);
        let (script, keys, screen) = start(&mut script)?;
        let mut terminal = Self {
            _script: script,
            keys,
            screen,
        };
        let mut said = Vec::new();
        while !said.ends_with(b"ready\n") {
            let byte = terminal.read();
            said.push(byte.with_context(|| String::from_utf8_lossy(&said).into_owned())?);
        }
        Ok(terminal)
    }

    fn read(&mut self) -> anyhow::Result<u8> {
        let mut byte = [0];
        self.screen.read_exact(&mut byte).context("the terminal ended")?;
        Ok(byte[0])
    }

    /// Milliseconds until a key is on the screen.
    fn echo(&mut self) -> anyhow::Result<f64> {
        let begin = Instant::now();
        self.keys.write_all(b"x")?;
        let byte = self.read()?;
        ensure!(byte == b'x', "the terminal says {byte}");
        Ok(begin.elapsed().as_secs_f64() * 1e3)
    }
}

/// A process, which ends when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(command: &mut Command) -> anyhow::Result<(Running, ChildStdin, ChildStdout)> {
    let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = started.with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    Ok((
        Running(child),
        input.context("no input")?,
        output.context("no output")?,
    ))
}

/// Runs a command that must succeed.
fn done(command: &mut Command) -> anyhow::Result<Output> {
    let program = command.get_program().to_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed: {said}", program.display());
    Ok(output)
}

fn seconds(command: &mut Command) -> anyhow::Result<f64> {
    let begin = Instant::now();
    done(command)?;
    Ok(begin.elapsed().as_secs_f64())
}
