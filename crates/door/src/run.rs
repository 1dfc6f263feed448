//! Environment -> the door's process, which ends with the application (IO).

use std::ffi::OsString;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::{env, fs, io};

use anyhow::Context as _;
use assertion::names::{DOOR_VARIABLE, RECOVERY_DISK_VARIABLE};
use clap::Parser as _;

use crate::activity::Activity;
use crate::application::Address;
use crate::args::Args;
use crate::caller::Assertions;
use crate::command::Application;
use crate::disk::Disk;
use crate::health;
use crate::last_line;
use crate::memory::Memory;
use crate::proxy::Proxy;
use crate::router::{Paths, Pod, Router};
use crate::server;
use crate::ssh::{Image, Ssh};
use crate::usage::Background;

/// Runs the application of the command line behind the door. Returns its exit code.
pub fn main() -> ExitCode {
    match run(&Args::parse()) {
        // However the application ends: a stop was asked for.
        Ok(_) if last_line::asks_for_stop() => ExitCode::SUCCESS,
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("door: {error:#}");
            if last_line::asks_for_stop() {
                return ExitCode::SUCCESS;
            }
            last_line::write(&format!("door: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn run(args: &Args) -> anyhow::Result<u8> {
    let assertions = Assertions::new(|name| env::var(name).ok());
    if let Assertions::Closed(why) = &assertions {
        eprintln!(
            "door: {why}: all requests are refused with 401. For use without a gateway, set WORKSPACE_ASSERTION_KEYS=none"
        );
    }
    let address = args.address()?;
    let socket = server::bind(args.listen)?;
    make_room(&address).await?;
    let activity = Arc::new(Activity::new());
    let mut proxy = Proxy::new(address.clone(), Arc::clone(&activity));
    if args.strip_base_path {
        proxy = proxy.without_base_path(&args.base_path);
    }
    let environment = env::vars_os().chain([(DOOR_VARIABLE.into(), "1".into())]);
    let image = Image::new(args.sshd.clone(), environment.collect(), ssh_folder(&address));
    let memory = Arc::new(Memory::of_this_container());
    let pod = Pod {
        activity: Arc::clone(&activity),
        memory: Arc::clone(&memory),
        disk: Disk::new(disk_folder(env::var_os)),
    };
    let router = Router::new(
        Paths::new(&args.base_path, &args.activity_paths),
        Background::new(&args.base_path, &args.background_paths),
        assertions,
        pod,
        proxy,
        Ssh::new(image, activity),
    );
    let application = Application::start(&args.command, &address, &args.base_path)?;
    let serving = async {
        let listener = server::listen(socket, &address).await?;
        tokio::select! {
            () = server::serve(listener, Arc::new(router)) => Ok(()),
            () = memory.watch() => Ok(()),
            () = health::until_nothing_listens(&address) => anyhow::bail!(
                "the application runs, and nothing listens at its socket or port any more: it is ended and started again"
            ),
        }
    };
    tokio::select! {
        code = application.wait() => code.context("the application's exit code is unknown"),
        served = serving => served.and(Ok(1)),
    }
}

/// Where the workspace's disk is: its home, and in recovery a folder of an empty one.
fn disk_folder(variable: impl Fn(&'static str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = variable(RECOVERY_DISK_VARIABLE).or_else(|| variable("HOME"))?;
    Some(PathBuf::from(folder)).filter(|folder| folder.is_absolute())
}

/// Beside the application's socket, where users do not tidy.
fn ssh_folder(address: &Address) -> PathBuf {
    let runtime = match address {
        Address::Socket(path) => path.parent().map(Path::to_owned),
        Address::Port(_) => None,
    };
    runtime
        .unwrap_or_else(|| env::temp_dir().join("jupyter-k8s"))
        .join("ssh")
}

/// Makes the socket's folder, which no other user may enter, and removes the socket of an earlier run.
async fn make_room(address: &Address) -> anyhow::Result<()> {
    let Address::Socket(path) = address else {
        return Ok(());
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("--socket: the folder {} cannot be made", folder.display()))?;
    }
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(found) if found.file_type().is_socket() => {
            // Another door's: in a shell without the variable that says so, a second one could take it away.
            if health::listens(address).await {
                anyhow::bail!("--socket: a program listens at {} already", path.display());
            }
            fs::remove_file(path).with_context(|| format!("--socket: {} cannot be removed", path.display()))
        }
        Ok(_) => anyhow::bail!("--socket: {} is a file that is no socket", path.display()),
        Err(error) => Err(error).with_context(|| format!("--socket: {} cannot be read", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn the_disk_is_the_home_and_in_recovery_not_the_empty_one() {
        let folder = |variables: &'static [(&'static str, &'static str)]| {
            disk_folder(|name| {
                let mut found = variables.iter().filter(|(key, _)| *key == name);
                found.next().map(|(_, value)| value.into())
            })
        };
        assert_eq!(folder(&[("HOME", "/h")]), Some("/h".into()));
        let in_recovery = folder(&[("HOME", "/h"), (RECOVERY_DISK_VARIABLE, "/h/disk")]);
        assert_eq!(in_recovery, Some("/h/disk".into()));
        assert_eq!((folder(&[]), folder(&[("HOME", "")])), (None, None));
    }

    #[tokio::test]
    async fn the_sockets_folder_is_private_and_a_socket_of_an_earlier_run_goes() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("inner/application.sock");
        let address = Address::Socket(socket.clone());
        make_room(&address).await.unwrap();
        let mode = fs::metadata(socket.parent().unwrap())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
        let listener = UnixListener::bind(&socket).unwrap();
        let error = make_room(&address).await.unwrap_err().to_string();
        assert!(error.ends_with("already"), "{error}");
        drop(listener);
        make_room(&address).await.unwrap();
        assert!(!socket.exists());
        fs::write(&socket, "mine").unwrap();
        let error = make_room(&address).await.unwrap_err();
        assert!(
            error.to_string().ends_with("is a file that is no socket"),
            "{error}"
        );
    }
}
