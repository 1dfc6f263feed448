//! The pod's user, home and environment -> sshd's command line, or why it cannot run (IO).
//!
//! The host key is in the home, so a workspace that was stopped and started has the same one. The settings are in a folder of the pod's
//! scratch space that its user alone can read, because they hold the environment.

use std::ffi::OsString;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::{env, fs, io};

use http::StatusCode;
use tokio::process::Command;
use tokio::sync::Mutex;

use super::config::config;

/// Folder of the host key, below the home.
const KEY_FOLDER: &str = ".ssh/jupyter-k8s";
const KEY: &str = "ssh_host_ed25519_key";

/// Why ssh cannot be used. The texts are for users.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unavailable {
    #[error("ssh cannot be used here: the image has no {}. An image with openssh-server has ssh.", .0.display())]
    NoServer(PathBuf),
    #[error(
        "ssh cannot be used here: the pod runs as user {0}, who has no entry in the image's /etc/passwd. Everything else works."
    )]
    NoAccount(u32),
    #[error(
        "ssh cannot be used here: user {0} must have an empty password field in the image's /etc/passwd, because the gateway signs users in."
    )]
    Password(u32),
    #[error("ssh cannot be used here: HOME is not set. It must be the path of the home.")]
    NoHome,
    #[error("ssh cannot be started: the host key in {} cannot be made or read: {error}", folder.display())]
    Key { folder: PathBuf, error: io::Error },
    #[error("ssh cannot be started: its settings cannot be written: {0}")]
    Settings(io::Error),
    #[error("ssh cannot be started: {0}")]
    Start(io::Error),
}

impl Unavailable {
    /// Of the answer.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NoServer(_) | Self::NoAccount(_) | Self::Password(_) | Self::NoHome => {
                StatusCode::NOT_IMPLEMENTED
            }
            Self::Key { .. } | Self::Settings(_) | Self::Start(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// For programs.
    pub(super) fn reason(&self) -> &'static str {
        match self.status() {
            StatusCode::NOT_IMPLEMENTED => "SSHUnavailable",
            _ => "SSHFailed",
        }
    }
}

/// What the image and the pod have for ssh.
#[derive(Debug)]
pub(crate) struct Image {
    sshd: PathBuf,
    environment: Vec<(OsString, OsString)>,
    /// The file with the accounts.
    passwd: PathBuf,
    /// Folder for the settings.
    scratch: PathBuf,
    /// Path of the settings, once they are written.
    written: Mutex<Option<PathBuf>>,
}

impl Image {
    /// `environment`: of the container.
    pub(crate) fn new(sshd: PathBuf, environment: Vec<(OsString, OsString)>) -> Self {
        Self {
            sshd,
            environment,
            passwd: "/etc/passwd".into(),
            scratch: env::temp_dir().join("jupyter-k8s"),
            written: Mutex::new(None),
        }
    }

    /// The command line of one connection.
    pub(super) async fn command(&self) -> Result<Command, Unavailable> {
        if !self.sshd.exists() {
            return Err(Unavailable::NoServer(self.sshd.clone()));
        }
        let uid = rustix::process::getuid().as_raw();
        account(&fs::read_to_string(&self.passwd).unwrap_or_default(), uid)?;
        // One connection after the other makes key and settings.
        let mut written = self.written.lock().await;
        let key = self.host_key().await?;
        let settings = match &*written {
            Some(path) if path.exists() => path.clone(),
            _ => self.settings(&key).map_err(Unavailable::Settings)?,
        };
        *written = Some(settings.clone());
        let mut command = Command::new(&self.sshd);
        // Its log is the container's.
        command.arg("-i").arg("-e").arg("-f").arg(settings).env_clear();
        Ok(command)
    }

    /// The host key, which is made if there is none.
    async fn host_key(&self) -> Result<PathBuf, Unavailable> {
        let home = self.environment.iter().find(|(name, _)| name == "HOME");
        let (_, home) = home
            .filter(|(_, home)| !home.is_empty())
            .ok_or(Unavailable::NoHome)?;
        let folder = Path::new(home).join(KEY_FOLDER);
        let key = folder.join(KEY);
        if !key.exists() {
            let made = make_key(&folder, &key).await;
            made.map_err(|error| Unavailable::Key {
                folder: folder.clone(),
                error,
            })?;
        }
        // A volume with a group may let it read and write all files, which sshd refuses.
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))
            .map_err(|error| Unavailable::Key { folder, error })?;
        Ok(key)
    }

    fn settings(&self, key: &Path) -> io::Result<PathBuf> {
        private_folder(&self.scratch)?;
        let (text, missing) = config(key, &self.environment);
        for name in missing {
            eprintln!(
                "door: sshd cannot give sessions the variable {}: it has several lines, or there are too many. In images of this product, bash takes it from the container's first process",
                name.display()
            );
        }
        let path = self.scratch.join("sshd_config");
        let _ = fs::remove_file(&path);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        io::Write::write_all(&mut file, &text)?;
        Ok(path)
    }
}

/// Makes a host key. A process that ends halfway leaves none.
async fn make_key(folder: &Path, key: &Path) -> io::Result<()> {
    private_folder(folder)?;
    let made = key.with_extension("new");
    let (public, made_public) = (key.with_extension("pub"), key.with_extension("new.pub"));
    for left in [&made, &made_public] {
        let _ = fs::remove_file(left);
    }
    let output = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "workspace", "-f"])
        .arg(&made)
        .stdin(Stdio::null())
        .output()
        .await?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("ssh-keygen: {}", said.trim())));
    }
    fs::rename(made_public, public)?;
    fs::rename(made, key)
}

/// Makes a folder that its owner alone may enter.
fn private_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

/// Whether sshd takes this user without a key.
fn account(passwd: &str, uid: u32) -> Result<(), Unavailable> {
    let fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut of_user = fields.filter(|fields| fields.get(2).is_some_and(|field| field.parse() == Ok(uid)));
    let entry = of_user.next().ok_or(Unavailable::NoAccount(uid))?;
    if entry[1].is_empty() {
        Ok(())
    } else {
        Err(Unavailable::Password(uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(folder: &Path, sshd: &str) -> Image {
        let uid = rustix::process::getuid().as_raw();
        fs::write(
            folder.join("passwd"),
            format!("root:x:9999999:\nme::{uid}:{uid}::/:/bin/sh\n"),
        )
        .unwrap();
        let environment = vec![
            ("HOME".into(), folder.join("home").into()),
            ("SECRET".into(), "s3cret".into()),
        ];
        Image {
            passwd: folder.join("passwd"),
            scratch: folder.join("scratch"),
            ..Image::new(sshd.into(), environment)
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn key_and_settings_are_made_once_and_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let image = image(folder.path(), "/bin/true");
        let command = image.command().await.unwrap();
        let key = folder.path().join("home").join(KEY_FOLDER).join(KEY);
        let settings = folder.path().join("scratch/sshd_config");
        let words: Vec<_> = command.as_std().get_args().collect();
        assert_eq!(
            words,
            ["-i".as_ref(), "-e".as_ref(), "-f".as_ref(), settings.as_os_str()]
        );
        let made = fs::read(&key).unwrap();
        assert!(fs::read_to_string(&settings).unwrap().contains("SECRET=s3cret"));
        // As a volume with a group makes it.
        fs::set_permissions(&key, fs::Permissions::from_mode(0o660)).unwrap();
        image.command().await.unwrap();
        assert_eq!(fs::read(&key).unwrap(), made);
        for (path, expected) in [(&key, 0o600), (&settings, 0o600)] {
            assert_eq!(mode(path), expected, "{}", path.display());
            assert_eq!(mode(path.parent().unwrap()), 0o700, "{}", path.display());
        }
    }

    #[tokio::test]
    async fn an_image_without_sshd_says_what_it_needs() {
        let folder = tempfile::tempdir().unwrap();
        let why = image(folder.path(), "/nothing/sshd").command().await.unwrap_err();
        assert_eq!((why.status().as_u16(), why.reason()), (501, "SSHUnavailable"));
        assert!(why.to_string().contains("/nothing/sshd"), "{why}");
    }

    #[tokio::test]
    async fn a_home_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("home"), "a file").unwrap();
        let why = image(folder.path(), "/bin/true").command().await.unwrap_err();
        assert_eq!((why.status().as_u16(), why.reason()), (503, "SSHFailed"));
        assert!(why.to_string().contains("home/.ssh/jupyter-k8s"), "{why}");
    }

    #[test]
    fn a_user_without_an_account_or_with_a_password_gets_no_shell() {
        let passwd = "root:x:0:0::/root:/bin/sh\njovyan::1000:1000::/home/jovyan:/bin/bash\nother:*:1001:1001::/:/bin/sh\n";
        account(passwd, 1000).unwrap();
        assert!(matches!(account(passwd, 1001), Err(Unavailable::Password(1001))));
        assert!(matches!(
            account(passwd, 1_000_650_000),
            Err(Unavailable::NoAccount(1_000_650_000))
        ));
    }
}
