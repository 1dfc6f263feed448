//! Sign-ins -> a file for ssh and editors, and one line in ~/.ssh/config (IO).

use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, iter};

use anyhow::{Context as _, anyhow, bail};
use rules::names::{SSH_SUFFIX, host_patterns, ssh_host};

use super::options::{self, options};
use super::ssh::{no_ssh, own_path};
use crate::args::{Connection, SshConfig};
use crate::cluster::kubeconfig;
use crate::console::Console;
use crate::failure::Failure;
use crate::remote::file;
use crate::remote::state::State;
use crate::system;

/// The line in the user's configuration.
const INCLUDE: &str = "Include ~/.ssh/kubectl-workspace.conf";

/// Files of ssh in the user's home.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
}

impl Files {
    pub(super) fn of_user() -> Result<Self, Failure> {
        let home = env::var_os(system::HOME)
            .map(PathBuf::from)
            .filter(|home| home.is_absolute());
        let home =
            home.ok_or_else(|| Failure::Usage(format!("there is no home folder: set ${}", system::HOME)))?;
        Ok(Self {
            folder: home.join(".ssh"),
        })
    }

    fn own(&self) -> PathBuf {
        self.folder.join("kubectl-workspace.conf")
    }

    fn config(&self) -> PathBuf {
        self.folder.join("config")
    }

    /// Whether ssh calls workspaces by name in the cluster that these flags lead to.
    pub(super) fn leads_as(&self, flags: &Connection) -> bool {
        let own = fs::read_to_string(self.own()).unwrap_or_default();
        let wanted = recorded(flags);
        own.lines().any(|line| line == wanted)
    }

    /// Whether ssh finds workspaces, and finds this host.
    pub(super) fn covers(&self, host: &str) -> bool {
        let includes = fs::read(self.config()).is_ok_and(|text| includes(&text));
        let own = fs::read_to_string(self.own()).unwrap_or_default();
        let mut patterns = own
            .lines()
            .filter_map(|line| line.strip_prefix("Host ")?.split(' ').next());
        includes && patterns.any(|first| host.ends_with(first.trim_start_matches(['*', '-', '?'])))
    }
}

/// Writes the file and the line, or takes them away.
pub(super) fn run(flags: &Connection, args: &SshConfig, console: &mut Console<'_>) -> Result<(), Failure> {
    let files = Files::of_user()?;
    let (own, config) = (files.own(), files.config());
    if args.remove {
        exclude(&config)?;
        if let Err(error) = fs::remove_file(&own)
            && error.kind() != ErrorKind::NotFound
        {
            let error = anyhow::Error::from(error);
            return Err(error
                .context(format!("{} cannot be removed", own.display()))
                .into());
        }
        return Ok(writeln!(
            console.out,
            "removed {} and its line in {}",
            own.display(),
            config.display()
        )?);
    }
    let state = State::of_user()?;
    let bases = state.sign_ins()?.into_iter();
    let bases: Vec<_> = bases.map(|sign_in| sign_in.auth.base().host).collect();
    let program = own_path()?;
    // ssh runs this program in any folder, whenever, and an editor with variables of the desktop.
    let in_force = kubeconfig::in_force(flags)?;
    let text = text(&program, &in_force.flags, &args.user, &bases);
    let text = text.map_err(Failure::Usage)?;
    let made = system::make_private_folder(&files.folder);
    made.with_context(|| format!("{} cannot be made", files.folder.display()))?;
    check(&config)?;
    replace(&own, text.as_bytes())?;
    include(&config)?;
    let example = ssh_host("NAMESPACE", "NAME");
    let cluster = match in_force.described {
        Some(described) => {
            format!(
                " by {described}, whatever is current later: to change it, run kubectl workspace ssh-config again"
            )
        }
        None => {
            ", which needs a kubeconfig: when you have one, run kubectl workspace ssh-config again".to_owned()
        }
    };
    let hosts = match bases.join(", ") {
        none if none.is_empty() => {
            "you are not signed in: run kubectl workspace login, then this again, for hosts of URLs, too"
                .to_owned()
        }
        bases => format!("they also know the hosts of workspaces in {bases}"),
    };
    writeln!(
        console.out,
        "wrote {}: ssh, scp, rsync, git and editors {} {example}{cluster}",
        own.display(),
        if bases.is_empty() { "will know" } else { "now know" }
    )?;
    Ok(writeln!(console.out, "{hosts}")?)
}

/// What the written command begins with, so that ssh finds the sign-in and trusts the gateway where these variables are not set.
fn variables() -> Result<String, String> {
    let mut set = String::new();
    for name in [system::STATE, "SSL_CERT_FILE", "SSL_CERT_DIR"] {
        let value = env::var_os(name).filter(|value| cfg!(unix) && Path::new(value).is_absolute());
        if let Some(value) = value {
            let word = format!("{name}={}", options::text(name, &value)?);
            let _ = write!(set, " {}", system::quote(&word)?);
        }
    }
    Ok(if set.is_empty() { set } else { format!("env{set} ") })
}

/// What ssh is told, for names of workspaces and for hosts of installations.
fn text(program: &Path, flags: &Connection, user: &str, bases: &[String]) -> Result<String, String> {
    let mut text = "# Written by kubectl workspace ssh-config, which writes it anew. To take it away: kubectl workspace ssh-config --remove\n"
        .to_owned();
    let options = options(&variables()?, program, flags, "%h", user)?;
    let _ = writeln!(text, "{}", recorded(flags));
    let of_bases = bases.iter().map(|base| host_patterns(base).join(" "));
    // One block for each, since what one excludes may be of another.
    for patterns in iter::once(format!("*{SSH_SUFFIX}")).chain(of_bases) {
        // A host, as a repository of others may name it, must not end the quotes of ProxyCommand.
        let _ = writeln!(text, "Host {patterns} {}", system::UNSAFE_HOSTS);
        for (key, value) in &options {
            let _ = writeln!(text, "  {key} {value}");
        }
    }
    Ok(text)
}

/// The line by which `code` sees whether the file leads where its own flags lead.
fn recorded(flags: &Connection) -> String {
    let words = flags.words();
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    format!("# The cluster: {}", words.join(" "))
}

/// Refuses to touch a configuration that ssh does not understand.
fn check(config: &Path) -> Result<(), Failure> {
    if !config.exists() {
        return Ok(());
    }
    let example = ssh_host("namespace", "name");
    let asked = Command::new("ssh")
        .arg("-G")
        .arg("-F")
        .arg(config)
        .arg("--")
        .arg(example)
        .output();
    let answer = asked.map_err(no_ssh)?;
    if answer.status.success() {
        return Ok(());
    }
    Err(Failure::Other(anyhow!(
        "{} was left as it is, because ssh does not understand it: {}",
        config.display(),
        String::from_utf8_lossy(&answer.stderr).trim()
    )))
}

/// Whether a configuration has the line where it counts for all hosts.
fn includes(config: &[u8]) -> bool {
    let is_block = |line: &[u8]| {
        let word = line
            .split(|byte| byte.is_ascii_whitespace() || *byte == b'=')
            .next()
            .unwrap_or_default();
        word.eq_ignore_ascii_case(b"host") || word.eq_ignore_ascii_case(b"match")
    };
    let lines = config.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut before_blocks = lines.take_while(|line| !is_block(line));
    before_blocks.any(|line| line == INCLUDE.as_bytes())
}

fn include(config: &Path) -> anyhow::Result<()> {
    let Some(file) = follow_link(config)? else {
        return replace(config, format!("{INCLUDE}\n").as_bytes());
    };
    let before = read(&file)?;
    if includes(&before) {
        return Ok(());
    }
    let mut after = format!("{INCLUDE}\n").into_bytes();
    after.extend(before);
    rewrite(&file, &after)
}

fn exclude(config: &Path) -> anyhow::Result<()> {
    let Some(file) = follow_link(config)? else {
        return Ok(());
    };
    let before = read(&file)?;
    let lines = before.split_inclusive(|byte| *byte == b'\n');
    let kept = lines.filter(|line| line.trim_ascii() != INCLUDE.as_bytes());
    let after = kept.collect::<Vec<_>>().concat();
    match () {
        () if after.len() == before.len() => Ok(()),
        // Only the line was in it.
        () if after.is_empty() && file == config => {
            fs::remove_file(&file).with_context(|| format!("{} cannot be removed", file.display()))
        }
        () => rewrite(&file, &after),
    }
}

/// The file behind a link, or the file itself; `None`: there is none.
fn follow_link(config: &Path) -> anyhow::Result<Option<PathBuf>> {
    match fs::symlink_metadata(config) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", config.display())),
        Ok(found) if !found.is_symlink() => Ok(Some(config.to_owned())),
        Ok(_) => fs::canonicalize(config).map(Some).with_context(|| {
            format!(
                "{} was left as it is, because it is a link to a file that does not exist: make the file, or remove the link",
                config.display()
            )
        }),
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}

/// Writes a file of the user anew, with the mode that it has.
fn rewrite(file: &Path, text: &[u8]) -> anyhow::Result<()> {
    let permissions = fs::metadata(file)?.permissions();
    if permissions.readonly() {
        bail!(
            "{} was left as it is, because it is read-only: write this line at its top, or remove it there, by hand: {INCLUDE}",
            file.display()
        );
    }
    file::replace(file, text, Some(permissions)).with_context(|| {
        format!(
            "{} was left as it is, because it cannot be written; the line is: {INCLUDE}",
            file.display()
        )
    })
}

/// Writes a file that only the user can read.
fn replace(file: &Path, text: &[u8]) -> anyhow::Result<()> {
    file::replace(file, text, system::private_permissions())
        .with_context(|| format!("{} cannot be written", file.display()))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Self {
            let folder = env::temp_dir().join(format!("cli-ssh-config-{}-{test}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn one_line_is_added_at_the_top_and_taken_away_again() {
        let folder = Folder::new("line");
        let config = folder.path("config");
        for before in [
            "Host a\n  User b\n",
            "# no end of line",
            "",
            "Host x\n  Include ~/.ssh/kubectl-workspace.conf.other\n",
        ] {
            fs::write(&config, before).unwrap();
            fs::set_permissions(&config, Permissions::from_mode(0o644)).unwrap();
            for _ in 0..2 {
                include(&config).unwrap();
                let text = fs::read_to_string(&config).unwrap();
                assert_eq!(text, format!("{INCLUDE}\n{before}"));
            }
            assert_eq!(fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o644);
            for _ in 0..2 {
                exclude(&config).unwrap();
                assert_eq!(fs::read_to_string(&config).unwrap_or_default(), before);
            }
        }
        // A line within a block counts for that block alone.
        fs::write(&config, format!("Host a\n{INCLUDE}\n")).unwrap();
        include(&config).unwrap();
        assert!(includes(&fs::read(&config).unwrap()));
    }

    #[test]
    fn a_missing_file_is_made_and_goes_again() {
        let folder = Folder::new("missing");
        let config = folder.path("config");
        include(&config).unwrap();
        assert_eq!(fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);
        exclude(&config).unwrap();
        assert!(!config.exists());
        exclude(&config).unwrap();
    }

    #[test]
    fn a_link_is_followed_and_what_cannot_be_changed_is_left() {
        let folder = Folder::new("links");
        let (config, real) = (folder.path("config"), folder.path("real"));
        std::os::unix::fs::symlink(&real, &config).unwrap();
        let error = include(&config).unwrap_err().to_string();
        assert!(
            error.contains("is a link to a file that does not exist"),
            "{error}"
        );
        assert!(!real.exists());
        fs::write(&real, "Host a\n").unwrap();
        include(&config).unwrap();
        assert!(fs::symlink_metadata(&config).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), format!("{INCLUDE}\nHost a\n"));
        fs::set_permissions(&real, Permissions::from_mode(0o444)).unwrap();
        let error = exclude(&config).unwrap_err().to_string();
        assert!(error.contains("read-only"), "{error}");
        assert_eq!(fs::read_to_string(&real).unwrap(), format!("{INCLUDE}\nHost a\n"));
    }
}
