//! Command lines of `login`, `logout`, `ssh`, `ssh-config`, `code`, `connect` -> arguments (pure).

use std::path::PathBuf;

use clap::{ArgAction, Subcommand};

use super::Waiting;

/// User of our images.
const USER: &str = "jovyan";

const SSH: &str = "\
Examples:
  # A command, as ssh runs it. The exit code is that of ssh
  kubectl workspace ssh lab nvidia-smi

  # A program that needs a terminal
  kubectl workspace ssh lab -t top

  # A port of the workspace on this computer
  kubectl workspace ssh lab -N -L 8501:localhost:8501";

/// A command that goes through the gateway.
#[derive(Debug, Clone, Subcommand)]
pub enum Remote {
    /// Sign in at the gateway, for ssh, code and connect
    Login(Login),
    /// Sign out at the gateway
    Logout(Logout),
    /// Open a shell in a workspace, or run a command there, by the system's ssh
    #[command(after_help = SSH)]
    Ssh(Box<Ssh>),
    /// Tell ssh, and so scp, rsync, git and editors, about <name>.<namespace>.workspace
    SshConfig(SshConfig),
    /// Open a workspace in a desktop editor: VS Code, Cursor and others
    Code(Code),
    /// Open a port of this computer that leads to a workspace, for programs that ask for the URL of a Jupyter server
    Connect(Connect),
}

/// Where to sign in, and how.
#[derive(Debug, Clone, clap::Args)]
pub struct Login {
    /// Address of the installation, its portal or one of its workspaces [default: that of the cluster, else that of the only sign-in]
    #[arg(value_name = "URL")]
    pub url: Option<String>,

    /// Open no browser here: sign in with one elsewhere, and paste the code that it shows
    #[arg(long)]
    pub no_browser: bool,

    /// Certificate authority of the installation, a PEM file, beside those that the system trusts. It is kept with the sign-in
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// Where to sign out.
#[derive(Debug, Clone, clap::Args)]
pub struct Logout {
    /// Address of the installation [default: that of the only sign-in]
    #[arg(value_name = "URL")]
    pub url: Option<String>,

    /// Also end the login session: in the browser and in all programs
    #[arg(long)]
    pub everywhere: bool,
}

/// Which workspace ssh connects to, and what it does there.
#[derive(Debug, Clone, clap::Args)]
pub struct Ssh {
    /// Name of the workspace, the host by which ssh-config calls it, or its URL
    #[arg(value_name = "NAME", required_unless_present = "stdio")]
    pub name: Option<String>,

    /// For `ProxyCommand` of ssh: carry the connection to this workspace, <name>.<namespace>.workspace or a URL, over standard input and output
    #[arg(long, value_name = "HOST", conflicts_with_all = ["name", "start", "option", "local_forward", "dynamic_forward", "tty", "command"])]
    pub stdio: Option<String>,

    /// Whether it is started first.
    #[command(flatten)]
    pub waiting: Waiting,

    /// User in the workspace
    #[arg(long, value_name = "USER", default_value = USER, value_parser = user)]
    pub user: String,

    /// Option of ssh, as in its configuration, such as LogLevel=ERROR; may be given several times
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub option: Vec<String>,

    /// Forward a port of this computer to an address that the workspace reaches, as ssh -L does: PORT:HOST:PORT
    #[arg(short = 'L', long, value_name = "FORWARD")]
    pub local_forward: Vec<String>,

    /// Open a SOCKS proxy on a port of this computer, as ssh -D does
    #[arg(short = 'D', long, value_name = "PORT")]
    pub dynamic_forward: Vec<String>,

    /// Run no command: only forward, as ssh -N does
    #[arg(short = 'N', long, conflicts_with = "command")]
    pub no_command: bool,

    /// Ask for a terminal for the command, as ssh -t does; twice: also if there is none here
    #[arg(short = 't', long, action = ArgAction::Count, conflicts_with = "no_command")]
    pub tty: u8,

    /// Command to run, and all that follows it; flags of this plugin come before it. Without it, a shell
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    pub command: Vec<String>,
}

/// What is written for ssh.
#[derive(Debug, Clone, clap::Args)]
pub struct SshConfig {
    /// Take away what an earlier call wrote
    #[arg(long)]
    pub remove: bool,

    /// User in the workspaces
    #[arg(long, value_name = "USER", default_value = USER, value_parser = user)]
    pub user: String,
}

/// Which workspace an editor opens.
#[derive(Debug, Clone, clap::Args)]
pub struct Code {
    /// Name of the workspace, the host by which ssh-config calls it, or its URL
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Editor: code, code-insiders, cursor, windsurf, codium, positron, or the scheme of another one that is made of VS Code
    #[arg(long, value_name = "EDITOR", default_value = "code", value_parser = editor)]
    pub editor: String,

    /// Folder to open
    #[arg(long, value_name = "PATH", default_value = "/home/jovyan", value_parser = folder)]
    pub folder: String,

    /// Only print the address
    #[arg(long)]
    pub print: bool,

    /// Whether it is started first.
    #[command(flatten)]
    pub waiting: Waiting,
}

/// Which workspace gets a port on this computer.
#[derive(Debug, Clone, clap::Args)]
pub struct Connect {
    /// Name of the workspace, the host by which ssh-config calls it, or its URL
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Port on 127.0.0.1; 0: any free one
    #[arg(short, long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,

    /// Whether it is started first.
    #[command(flatten)]
    pub waiting: Waiting,
}

fn user(text: &str) -> Result<String, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    match text.len() {
        1..=32 if text.bytes().all(is_name) && !text.starts_with('-') => Ok(text.to_owned()),
        _ => Err("must be the name of a user: letters, digits, '_', '-' and '.'".to_owned()),
    }
}

/// Scheme of an editor's addresses.
fn editor(text: &str) -> Result<String, String> {
    let scheme = match text {
        "code" => "vscode",
        "code-insiders" => "vscode-insiders",
        "codium" => "vscodium",
        other => other,
    };
    let is_scheme = scheme
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    match scheme.as_bytes().first() {
        Some(first) if first.is_ascii_lowercase() && is_scheme && scheme.len() <= 32 => Ok(scheme.to_owned()),
        _ => Err("must be an editor, such as code, cursor or windsurf".to_owned()),
    }
}

fn folder(text: &str) -> Result<String, String> {
    if text.starts_with('/') && !text.contains(char::is_control) {
        return Ok(text.to_owned());
    }
    Err("must be a path in the workspace that begins with /".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_editor_is_the_scheme_of_its_addresses() {
        assert_eq!(editor("code").as_deref(), Ok("vscode"));
        assert_eq!(editor("cursor").as_deref(), Ok("cursor"));
        for text in ["", "x:y", "Code", "-x", "a/b"] {
            assert!(editor(text).is_err(), "{text}");
        }
        assert!(folder("home").is_err() && folder("/a\nb").is_err() && folder("/a b").is_ok());
        assert!(user("-l").is_err() && user("a b").is_err() && user("jovyan").is_ok());
    }
}
