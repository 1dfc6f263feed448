//! The pod's user and environment -> sshd's command line, or why it cannot run (IO).
//!
//! Settings and host keys are in a folder of the pod's files of this run that its user alone can read. They are made for the first connection of
//! a pod. Nothing of the home counts, so no home keeps anybody out, and no client of ours keeps the keys.

use std::ffi::OsString;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use std::{fs, io};

use assertion::names::SshRefusal;
use rustix::fs::statvfs;
use rustix::io::Errno;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::config::config;
use super::places::NoPlace;

/// Kinds of host keys and their sizes. Clients that may not use Ed25519, as FIPS 140-2 has it, take ECDSA; the oldest take RSA alone.
const KEYS: [(&str, &str); 3] = [("ed25519", "256"), ("ecdsa", "256"), ("rsa", "2048")];
/// How long a connection waits for further kinds after the first one is made. RSA takes some tenths of a second, once in a pod.
const WAIT: Duration = Duration::from_secs(1);

/// Why ssh cannot be used. The texts are for the container's log: clients get a code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unavailable {
    #[error(transparent)]
    Places(#[from] NoPlace),
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
    #[error("ssh cannot be started: host keys and settings cannot be written to {}: {error}", folder.display())]
    Folder { folder: PathBuf, error: io::Error },
    #[error("ssh cannot be started: {0}")]
    Start(io::Error),
}

impl Unavailable {
    /// What the close frame tells.
    pub(super) fn refusal(&self) -> SshRefusal {
        match self {
            Self::Places(NoPlace::OfAll) => SshRefusal::Full,
            Self::Places(NoPlace::OfGuests) => SshRefusal::FullOfGuests,
            Self::NoServer(_) => SshRefusal::NoServer,
            Self::NoAccount(_) => SshRefusal::NoAccount,
            Self::Password(_) => SshRefusal::Password,
            Self::Folder { folder, .. } if is_full(folder) => SshRefusal::DiskFull,
            Self::Folder { .. } => SshRefusal::NotWritable,
            Self::Start(error) => match Errno::from_io_error(error) {
                Some(Errno::NOMEM | Errno::AGAIN) => SshRefusal::NoMemory,
                _ => SshRefusal::Failed,
            },
        }
    }
}

/// Whether nothing more can be written to the folder's file system.
fn is_full(folder: &Path) -> bool {
    let ancestor = folder.ancestors().find(|folder| folder.exists());
    let found = ancestor.and_then(|folder| statvfs(folder).ok());
    // Some file systems do not count their files.
    found.is_some_and(|found| found.f_bavail == 0 || (found.f_files > 0 && found.f_favail == 0))
}

/// What the image and the pod have for ssh.
#[derive(Debug)]
pub(crate) struct Image {
    sshd: PathBuf,
    environment: Vec<(OsString, OsString)>,
    /// The file with the accounts.
    passwd: PathBuf,
    /// Folder of keys and settings.
    folder: PathBuf,
    /// Whether this process has made them.
    made: Mutex<bool>,
}

impl Image {
    /// `environment`: of the container. `folder`: for keys and settings.
    pub(crate) fn new(sshd: PathBuf, environment: Vec<(OsString, OsString)>, folder: PathBuf) -> Self {
        Self {
            sshd,
            environment,
            passwd: "/etc/passwd".into(),
            folder,
            made: Mutex::new(false),
        }
    }

    /// The command line of one connection.
    pub(super) async fn command(&self) -> Result<Command, Unavailable> {
        if !self.sshd.exists() {
            return Err(Unavailable::NoServer(self.sshd.clone()));
        }
        let uid = rustix::process::getuid().as_raw();
        account(&fs::read_to_string(&self.passwd).unwrap_or_default(), uid)?;
        let settings = self.folder.join("sshd_config");
        // One connection after the other makes them.
        let mut made = self.made.lock().await;
        let remains = *made && settings.exists() && self.keys().iter().any(|key| key.exists());
        if !remains {
            // A process that was killed may have left a part of them, and users tidy.
            let done = self.make(&settings).await;
            done.map_err(|error| Unavailable::Folder {
                folder: self.folder.clone(),
                error,
            })?;
        }
        *made = true;
        let mut command = Command::new(&self.sshd);
        // Its log is the container's.
        command.arg("-i").arg("-e").arg("-f").arg(settings).env_clear();
        Ok(command)
    }

    /// Where host keys are.
    fn keys(&self) -> [PathBuf; KEYS.len()] {
        KEYS.map(|(kind, _)| self.folder.join(format!("ssh_host_{kind}_key")))
    }

    /// Makes host keys and settings anew.
    async fn make(&self, settings: &Path) -> io::Result<()> {
        private_folder(&self.folder)?;
        for key in self.keys() {
            remove(&key)?;
        }
        make_keys(&self.keys()).await?;
        self.write(settings)
    }

    fn write(&self, settings: &Path) -> io::Result<()> {
        let (text, missing) = config(&self.keys(), &self.environment);
        for name in missing {
            eprintln!(
                "door: sshd cannot give sessions the variable {}: it has several lines, or there are too many. In images of this product, bash takes it from the container's first process",
                name.display()
            );
        }
        remove(settings)?;
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(settings)?;
        io::Write::write_all(&mut file, &text)
    }
}

/// Makes a host key of each kind, all at once, and returns when all are made, or one is and the others take long: these are for further
/// connections. sshd does without kinds that are missing, as in an image whose settings forbid one.
async fn make_keys(paths: &[PathBuf]) -> io::Result<()> {
    let mut making = JoinSet::new();
    for ((kind, bits), path) in KEYS.into_iter().zip(paths) {
        let path = path.clone();
        making.spawn(async move { make_key(kind, bits, &path).await });
    }
    let mut error = None;
    let mut made = false;
    while !made && let Some(one) = making.join_next().await {
        match one.map_err(io::Error::other).flatten() {
            Ok(()) => made = true,
            Err(why) => error = Some(why),
        }
    }
    if !made {
        return Err(error.unwrap_or_else(|| io::Error::other("no kind of host key is known")));
    }
    let _ = timeout(WAIT, async { while making.join_next().await.is_some() {} }).await;
    making.detach_all();
    Ok(())
}

/// Makes a host key. A process that ends halfway leaves none.
async fn make_key(kind: &str, bits: &str, key: &Path) -> io::Result<()> {
    let unfinished = key.with_extension("new");
    remove(&unfinished)?;
    let output = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-b", bits, "-N", "", "-C", "workspace", "-f"])
        .arg(&unfinished)
        .stdin(Stdio::null())
        .output()
        .await?;
    if !output.status.success() {
        // It says most to its standard output.
        let said = [output.stdout, output.stderr].concat();
        return Err(io::Error::other(format!(
            "ssh-keygen: {}",
            String::from_utf8_lossy(&said).trim()
        )));
    }
    fs::rename(unfinished, key)
}

/// Removes a file, if there is one.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
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
        Image {
            passwd: folder.join("passwd"),
            ..Image::new(
                sshd.into(),
                vec![("SECRET".into(), "s3cret".into())],
                folder.join("own"),
            )
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// The kind of a host key, as ssh-keygen reads it.
    fn kind(key: &Path) -> String {
        let output = std::process::Command::new("ssh-keygen")
            .args(["-y", "-P", "", "-f"])
            .arg(key)
            .output()
            .unwrap();
        let public = String::from_utf8(output.stdout).unwrap();
        public.split(' ').next().unwrap().to_owned()
    }

    #[tokio::test]
    async fn keys_of_all_kinds_and_settings_are_made_once_and_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let image = image(folder.path(), "/bin/true");
        let command = image.command().await.unwrap();
        let settings = image.folder.join("sshd_config");
        let words: Vec<_> = command.as_std().get_args().collect();
        assert_eq!(
            words,
            ["-i".as_ref(), "-e".as_ref(), "-f".as_ref(), settings.as_os_str()]
        );
        assert!(fs::read_to_string(&settings).unwrap().contains("SECRET=s3cret"));
        let keys = image.keys();
        // A connection does not wait for RSA on a busy machine.
        while !keys[2].exists() {
            tokio::task::yield_now().await;
        }
        let kinds = keys.each_ref().map(|key| kind(key));
        assert_eq!(kinds, ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]);
        let read = || keys.each_ref().map(|key| fs::read(key).unwrap());
        let before = read();
        image.command().await.unwrap();
        assert_eq!(read(), before);
        for path in keys.iter().chain([&settings]) {
            assert_eq!(mode(path), 0o600, "{}", path.display());
        }
        assert_eq!(mode(&image.folder), 0o700);
    }

    #[tokio::test]
    async fn what_a_killed_run_or_a_user_left_of_them_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let image = image(folder.path(), "/bin/true");
        fs::create_dir(&image.folder).unwrap();
        let key = &image.keys()[0];
        for name in ["sshd_config", "ssh_host_ed25519_key", "ssh_host_ed25519_key.new"] {
            fs::write(image.folder.join(name), "").unwrap();
        }
        image.command().await.unwrap();
        assert_eq!(kind(key), "ssh-ed25519");
        // As `rm -rf /tmp/*` does.
        while fs::remove_dir_all(&image.folder).is_err() {
            // The last key is being made.
            tokio::task::yield_now().await;
        }
        image.command().await.unwrap();
        assert_eq!(kind(key), "ssh-ed25519");
        assert!(image.folder.join("sshd_config").exists());
    }

    #[tokio::test]
    async fn an_image_without_sshd_says_what_it_needs() {
        let folder = tempfile::tempdir().unwrap();
        let why = image(folder.path(), "/nothing/sshd").command().await.unwrap_err();
        assert_eq!(why.refusal(), SshRefusal::NoServer);
        assert!(why.to_string().contains("/nothing/sshd"), "{why}");
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let image = image(folder.path(), "/bin/true");
        fs::write(&image.folder, "a file").unwrap();
        let why = image.command().await.unwrap_err();
        assert_eq!(why.refusal(), SshRefusal::NotWritable);
        assert!(
            why.to_string().contains(&image.folder.display().to_string()),
            "{why}"
        );
        // The control.
        fs::remove_file(&image.folder).unwrap();
        image.command().await.unwrap();
    }

    /// `/proc` has no space for files, and says so as a full file system does.
    #[test]
    fn each_reason_is_told_by_its_code() {
        let folder = |folder: &str| Unavailable::Folder {
            folder: folder.into(),
            error: io::Error::other("no"),
        };
        let start = |errno: Errno| Unavailable::Start(errno.into());
        let temporary = tempfile::tempdir().unwrap();
        for (why, expected) in [
            (NoPlace::OfAll.into(), SshRefusal::Full),
            (NoPlace::OfGuests.into(), SshRefusal::FullOfGuests),
            (Unavailable::NoServer("/sshd".into()), SshRefusal::NoServer),
            (Unavailable::NoAccount(1), SshRefusal::NoAccount),
            (Unavailable::Password(1), SshRefusal::Password),
            (
                folder(&temporary.path().display().to_string()),
                SshRefusal::NotWritable,
            ),
            (folder("/proc/nothing"), SshRefusal::DiskFull),
            (start(Errno::NOMEM), SshRefusal::NoMemory),
            (start(Errno::AGAIN), SshRefusal::NoMemory),
            (start(Errno::NOENT), SshRefusal::Failed),
        ] {
            assert_eq!(why.refusal(), expected, "{why}");
        }
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
