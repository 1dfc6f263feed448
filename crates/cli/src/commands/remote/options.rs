//! Path of this program and user -> what ssh is told about workspaces (pure).

use std::ffi::OsStr;
use std::path::Path;

use crate::args::Connection;
use crate::system::{quote, quote_pattern};

/// A keyword of ssh's configuration, and its value.
pub(super) type SshOption = (&'static str, String);

/// `before`: what the command begins with, quoted. `host`: the workspace, as `ssh --stdio` reads it; `%h` is the host that ssh is called with.
pub(super) fn options(
    before: &str,
    program: &Path,
    flags: &Connection,
    host: &str,
    user: &str,
) -> Result<Vec<SshOption>, String> {
    let program = quote(text("path of this program", program.as_os_str())?)?;
    let mut command = format!("{before}{program}");
    for word in flags.words() {
        command.push(' ');
        command.push_str(&quote(text("flag", &word)?)?);
    }
    let stdio = quote_pattern(&format!("--stdio={host}"));
    let command = format!("{command} ssh {stdio}");
    // One word in quotes: a host that begins with a hyphen is no flag, and one with blanks or `$` is no command.
    Ok(vec![
        ("User", user.to_owned()),
        ("ProxyCommand", command),
        // TLS and the gateway prove for each connection which workspace answers. Kept keys would say no more, and would warn of an attack when
        // a workspace is made anew, or another cluster has one of its name. So each key is a new one.
        ("UserKnownHostsFile", "/dev/null".to_owned()),
        ("StrictHostKeyChecking", "accept-new".to_owned()),
        // Without "Permanently added" at each connection.
        ("LogLevel", "ERROR".to_owned()),
        // The gateway sends pings. Those of ssh would count as use, and keep an idle workspace running.
        ("ServerAliveInterval", "0".to_owned()),
        // The door asks for nothing. A pod without it may be anybody's ssh server: it gets no key, no password and no ticket of Kerberos. The
        // first keyword is enough for OpenSSH; the others are for programs that read this file and do not know it.
        ("PreferredAuthentications", "none".to_owned()),
        ("PubkeyAuthentication", "no".to_owned()),
        ("PasswordAuthentication", "no".to_owned()),
        ("KbdInteractiveAuthentication", "no".to_owned()),
        // Whatever `Host *` of the user says.
        ("ForwardAgent", "no".to_owned()),
        ("ForwardX11", "no".to_owned()),
    ])
}

pub(super) fn text<'a>(what: &str, word: &'a OsStr) -> Result<&'a str, String> {
    match word.to_str() {
        Some(text) if !text.contains(char::is_control) => Ok(text),
        _ => Err(format!(
            "the {what} {} must be UTF-8 without control characters",
            word.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_command_is_quoted_for_shell_and_ssh() {
        let flags = Connection {
            context: Some("a b".to_owned()),
            ..Connection::default()
        };
        let program = Path::new("/opt/it's 100%/kubectl-workspace");
        let all = options("", program, &flags, "%h", "jovyan").unwrap();
        let of = |name: &str| all.iter().find(|(key, _)| *key == name).unwrap().1.as_str();
        assert_eq!(
            of("ProxyCommand"),
            r"'/opt/it'\''s 100%%/kubectl-workspace' '--context=a b' ssh '--stdio=%h'"
        );
        assert!(options("", Path::new("/a\nb"), &flags, "%h", "u").is_err());
    }
}
