//! Environment -> sshd's settings (pure).
//!
//! sshd gives a session a new environment. `SetEnv` puts the container's into it, so that commands find the same programs as the
//! application.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// Nothing but this connection is answered, and the gateway has asked who it is. So the pod's user, whose password field is empty, needs
/// no key: OpenSSH gets in without a method, and clients that know no such thing by an empty password. They offer all keys of an agent
/// before, which count as attempts. Forwarding reaches what the pod reaches. The relay pings, so sshd does not.
const SETTINGS: &str = "\
UsePAM no
MaxAuthTries 100
PasswordAuthentication yes
PermitEmptyPasswords yes
PubkeyAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile none
PermitRootLogin no
PermitUserEnvironment no
PermitUserRC no
StrictModes no
AllowAgentForwarding no
X11Forwarding no
PermitTunnel no
AllowTcpForwarding yes
AllowStreamLocalForwarding yes
StreamLocalBindUnlink yes
GatewayPorts no
MaxSessions 64
Subsystem sftp internal-sftp
TCPKeepAlive no
ClientAliveInterval 0
UseDNS no
PrintMotd no
PrintLastLog no
PidFile none
LogLevel INFO
";
/// sshd sets these itself, or they are about the process that the environment is taken from.
const NOT_OF_SESSIONS: [&str; 6] = ["_", "OLDPWD", "PWD", "SHLVL", "TERM", "USER"];
/// sshd refuses to run a session with more than a thousand variables, its own included.
const MAX_VARIABLES: usize = 900;

/// The content of the settings' file, and the names of variables that it cannot hold.
pub(super) fn config(
    host_keys: &[PathBuf],
    environment: &[(OsString, OsString)],
) -> (Vec<u8>, Vec<OsString>) {
    let mut text = SETTINGS.as_bytes().to_vec();
    for key in host_keys {
        text.extend(b"HostKey ");
        quote(&mut text, key.as_os_str().as_bytes());
        text.push(b'\n');
    }
    let of_sessions = |name: &OsStr| !NOT_OF_SESSIONS.iter().any(|other| name == *other);
    let variables: Vec<_> = environment.iter().filter(|(name, _)| of_sessions(name)).collect();
    let (mut held, mut missing) = (0, Vec::new());
    // Of several such lines sshd reads the first one.
    let mut line = b"SetEnv".to_vec();
    for (name, value) in variables {
        let word = [name.as_bytes(), b"=", value.as_bytes()].concat();
        if word.contains(&b'\n') || held == MAX_VARIABLES {
            missing.push(name.clone());
            continue;
        }
        line.push(b' ');
        quote(&mut line, &word);
        held += 1;
    }
    if held > 0 {
        text.extend(line);
        text.push(b'\n');
    }
    (text, missing)
}

/// Appends a word of sshd's settings, in quotation marks.
fn quote(text: &mut Vec<u8>, word: &[u8]) {
    text.push(b'"');
    for byte in word {
        if matches!(byte, b'"' | b'\\') {
            text.push(b'\\');
        }
        text.push(*byte);
    }
    text.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered_config(environment: &[(&str, &str)]) -> (String, Vec<OsString>) {
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let (text, missing) = config(&["/run/a b/key".into()], &environment);
        (String::from_utf8(text).unwrap(), missing)
    }

    #[test]
    fn variables_are_one_line_and_cannot_become_another_setting() {
        let (text, missing) = rendered_config(&[
            ("PATH", "/opt/jupyter/bin:/bin"),
            ("QUOTED", r#"a "b" \ c"#),
            ("EVIL", "x\nPermitRootLogin yes"),
            ("TERM", "dumb"),
        ]);
        let last: Vec<_> = text.lines().rev().take(2).collect();
        assert_eq!(
            last,
            [
                r#"SetEnv "PATH=/opt/jupyter/bin:/bin" "QUOTED=a \"b\" \\ c""#,
                r#"HostKey "/run/a b/key""#
            ]
        );
        assert_eq!(missing, ["EVIL"]);
        assert!(!text.contains("PermitRootLogin yes"));
    }

    #[test]
    fn more_variables_than_sshd_takes_are_left_out() {
        let names: Vec<_> = (0..=MAX_VARIABLES).map(|number| format!("V{number}")).collect();
        let all: Vec<_> = names.iter().map(|name| (name.as_str(), "x")).collect();
        let (text, missing) = rendered_config(&all);
        assert_eq!(text.matches("\"V").count(), MAX_VARIABLES);
        assert_eq!(missing, ["V900"]);
    }

    /// sshd leaves the socket of an earlier forwarding, on which no later one can listen.
    #[test]
    fn a_socket_is_forwarded_again() {
        let (text, _) = rendered_config(&[]);
        assert!(text.contains("\nStreamLocalBindUnlink yes\n"), "{text}");
    }

    /// Clients that know no sign-in without a method fail where sshd has only that one.
    #[test]
    fn an_empty_password_counts() {
        let (text, _) = rendered_config(&[]);
        for line in ["PasswordAuthentication yes", "PermitEmptyPasswords yes"] {
            assert!(text.lines().any(|one| one == line), "{line}");
        }
        assert!(!text.contains("AuthenticationMethods"), "{text}");
    }

    #[test]
    fn nobody_gets_in_by_a_key_and_agent_x11_and_devices_are_off() {
        let (text, _) = rendered_config(&[]);
        for line in [
            "PubkeyAuthentication no",
            "AuthorizedKeysFile none",
            "AllowAgentForwarding no",
            "X11Forwarding no",
            "PermitTunnel no",
            "GatewayPorts no",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}");
        }
    }
}
