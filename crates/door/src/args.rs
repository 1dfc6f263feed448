//! Command line and environment -> options (pure).

use std::ffi::OsString;
use std::path::PathBuf;

use assertion::names::BASE_PATH_VARIABLE;
use clap::Parser;

use crate::application::Address;

/// Answers requests with a valid assertion, and hands them to an application.
#[derive(Debug, Parser)]
#[command(name = "door", version)]
pub(crate) struct Args {
    /// Unix socket on which the application listens; `{socket}` in its command is replaced by it
    #[arg(long, value_name = "PATH", required_unless_present = "port", conflicts_with = "port", value_parser = absolute)]
    socket: Option<PathBuf>,
    /// Loopback port on which the application listens; `{port}` in its command is replaced by it
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Path that the operator may request to learn the last activity, such as /api/status; below the base path
    #[arg(long = "activity-path", value_name = "PATH", value_parser = path)]
    pub(crate) activity_paths: Vec<String>,
    /// Path on which the application's pages send by themselves, without anybody who acts; with / at its end: all below it. Below the base path
    #[arg(long = "background-path", value_name = "PATH", value_parser = path)]
    pub(crate) background_paths: Vec<String>,
    /// Port on which the door listens
    #[arg(long, value_name = "PORT", env = "JUPYTER_PORT", default_value_t = 8888, value_parser = port)]
    pub(crate) listen: u16,
    /// Path below which the workspace is served; `{base-path}` in the application's command is replaced by it
    #[arg(long, value_name = "PATH", env = BASE_PATH_VARIABLE, default_value = "/", value_parser = base_path)]
    pub(crate) base_path: String,
    /// Hand requests on without the base path, for an application that knows no other path than /
    #[arg(long)]
    pub(crate) strip_base_path: bool,
    /// Program that answers ssh connections
    #[arg(long, value_name = "PATH", default_value = "/usr/sbin/sshd", value_parser = absolute)]
    pub(crate) sshd: PathBuf,
    /// The application's command
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

impl Args {
    /// Where the application listens.
    ///
    /// # Errors
    /// It has the door's own port.
    pub(crate) fn address(&self) -> anyhow::Result<Address> {
        match (&self.socket, self.port) {
            (Some(path), _) => Ok(Address::Socket(path.clone())),
            (None, Some(port)) if port == self.listen => {
                anyhow::bail!(
                    "--port {port} is the door's own port; it must be another one, on which only the application listens"
                )
            }
            (None, Some(port)) => Ok(Address::Port(port)),
            (None, None) => anyhow::bail!("--socket or --port must be given"),
        }
    }
}

fn port(text: &str) -> Result<u16, String> {
    let number = text.parse().ok().filter(|port| *port > 0);
    number.ok_or_else(|| "JUPYTER_PORT or --listen must be a number from 1 to 65535".to_owned())
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err("must be an absolute path".to_owned())
    }
}

fn path(text: &str) -> Result<String, String> {
    if text.starts_with('/') && !text.contains(['?', '#']) {
        Ok(text.to_owned())
    } else {
        Err("must begin with / and have no query".to_owned())
    }
}

fn base_path(text: &str) -> Result<String, String> {
    if text.starts_with('/') && text.ends_with('/') {
        Ok(text.to_owned())
    } else {
        Err("must begin and end with /".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, String> {
        let words = line.split_whitespace();
        Args::try_parse_from(std::iter::once("door").chain(words)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_of_our_images_is_understood() {
        let args = parse(
            "--socket /tmp/a.sock --activity-path /api/status --activity-path /api/kernels -- jupyter --x {socket}",
        );
        let args = args.unwrap();
        assert_eq!(args.address().unwrap(), Address::Socket("/tmp/a.sock".into()));
        assert_eq!(args.activity_paths, ["/api/status", "/api/kernels"]);
        assert_eq!(args.command, ["jupyter", "--x", "{socket}"]);
        assert!(!args.strip_base_path && args.background_paths.is_empty());
        let args =
            parse("--port 8080 --listen 9000 --strip-base-path --background-path /rpc/ -- code-server")
                .unwrap();
        assert_eq!(args.background_paths, ["/rpc/"]);
        assert!(args.strip_base_path);
        assert_eq!(
            (args.address().unwrap(), args.listen),
            (Address::Port(8080), 9000)
        );
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (line, named) in [
            ("--socket /tmp/a.sock", "COMMAND"),
            ("-- jupyter", "--socket"),
            ("--socket /a --port 1 -- x", "--port"),
            ("--socket a.sock -- x", "must be an absolute path"),
            ("--port 0 -- x", "--port"),
            ("--port 1 --activity-path api -- x", "must begin with /"),
            ("--port 1 --background-path rpc -- x", "must begin with /"),
            ("--port 1 --base-path /a -- x", "must begin and end with /"),
            (
                "--port 1 --listen 70000 -- x",
                "JUPYTER_PORT or --listen must be a number",
            ),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(named), "{line}: {error}");
        }
        let error = parse("--port 9000 --listen 9000 -- x")
            .unwrap()
            .address()
            .unwrap_err();
        assert!(error.to_string().contains("the door's own port"), "{error}");
    }
}
