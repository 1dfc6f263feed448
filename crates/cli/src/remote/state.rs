//! Sign-ins of the user, and their tickets <-> files that only the user can read (IO).

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::{env, fmt};

use anyhow::Context as _;
use k8s_openapi::jiff::Timestamp;
use k8s_openapi::jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::address::Place;
use super::{file, secret};
use crate::system;

/// Name of the folder in the user's state directory.
const FOLDER: &str = "kubectl-workspace";
/// Bytes of a file at most: a token, and the certificates of an authority.
const MOST: u64 = 1 << 20;

/// A sign-in at an installation.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SignIn {
    /// Where it was: the host that signs in.
    #[serde(rename = "url")]
    pub(crate) auth: Place,
    /// The name by which the gateway knows the user.
    pub(crate) user: String,
    pub(crate) expires_at: Timestamp,
    /// In PEM: what the installation's certificates are trusted by, beside the system's authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_authority: Option<String>,
    pub(crate) token: String,
}

impl SignIn {
    pub(crate) fn new(auth: &Place, user: String, expires_at: Timestamp, token: String) -> Self {
        Self {
            auth: auth.clone(),
            user,
            expires_at,
            certificate_authority: None,
            token,
        }
    }

    /// When it ends, in the time zone of the user: the day only if it is another.
    pub(crate) fn end(&self) -> String {
        let zone = TimeZone::system();
        let (end, now) = (
            self.expires_at.to_zoned(zone.clone()),
            Timestamp::now().to_zoned(zone),
        );
        let form = if end.date() == now.date() {
            "%H:%M"
        } else {
            "%Y-%m-%d %H:%M"
        };
        end.strftime(form).to_string()
    }
}

/// Without the token.
impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignIn({} as {:?})", self.auth, self.user)
    }
}

/// A ticket in its file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeptTicket {
    ticket: String,
    /// By this computer's clock.
    expires_at: Timestamp,
}

/// The plugin's folder in the user's state directory.
#[derive(Debug, Clone)]
pub(crate) struct State(PathBuf);

impl State {
    /// The folder as the environment names it; it need not exist.
    pub(crate) fn of_user() -> anyhow::Result<Self> {
        let absolute = |name: &str| {
            env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let parent = absolute(system::STATE).or_else(|| Some(system::state_in(&absolute(system::HOME)?)));
        let parent = parent.with_context(|| {
            format!(
                "there is no folder for the sign-in: set ${} or ${}",
                system::HOME,
                system::STATE
            )
        })?;
        Ok(Self(parent.join(FOLDER)))
    }

    /// Makes the folder if it is not there.
    pub(crate) fn make(&self) -> anyhow::Result<()> {
        let made = system::make_private_folder(&self.0);
        made.with_context(|| format!("{} cannot be made", self.0.display()))?;
        self.check_folder().map(drop)
    }

    /// All sign-ins, in the order of their files' names.
    pub(crate) fn sign_ins(&self) -> anyhow::Result<Vec<SignIn>> {
        if !self.check_folder()? {
            return Ok(Vec::new());
        }
        let failed = || format!("{} cannot be read", self.0.display());
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.0).with_context(failed)? {
            let path = entry.with_context(failed)?.path();
            if path.extension().is_some_and(|end| end == "json") {
                files.push(path);
            }
        }
        files.sort();
        files.iter().map(|file| read(file)).collect()
    }

    /// The sign-in at this place as it is now, if there is one that can be read.
    pub(crate) fn sign_in(&self, auth: &Place) -> Option<SignIn> {
        read(&self.file(auth)).ok()
    }

    /// Keeps a sign-in in place of an earlier one at the same place, whose tickets go.
    pub(crate) fn save(&self, sign_in: &SignIn) -> anyhow::Result<()> {
        self.make()?;
        // One that stays, because another process writes it now, counts for the earlier sign-in alone.
        let _ = self.remove_tickets(&sign_in.auth);
        let path = self.file(&sign_in.auth);
        let text = serde_json::to_vec_pretty(sign_in).context("the sign-in cannot be written")?;
        let written = file::replace(&path, &text, system::private_permissions());
        written.with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Forgets the sign-in at this place, and its tickets.
    pub(crate) fn remove(&self, auth: &Place) -> anyhow::Result<()> {
        let file = self.file(auth);
        ignore_missing(fs::remove_file(&file), &file)?;
        self.remove_tickets(auth)
    }

    /// The ticket that is kept for a workspace, if it is valid.
    pub(crate) fn ticket(&self, sign_in: &SignIn, site: &str) -> Option<String> {
        let text = fs::read(self.ticket_file(sign_in, site)).ok()?;
        let kept: KeptTicket = serde_json::from_slice(&text).ok()?;
        (Timestamp::now() < kept.expires_at).then_some(kept.ticket)
    }

    /// Keeps a ticket for a workspace.
    pub(crate) fn keep_ticket(
        &self,
        sign_in: &SignIn,
        site: &str,
        ticket: &str,
        expires_at: Timestamp,
    ) -> anyhow::Result<()> {
        let ticket = ticket.to_owned();
        let text = serde_json::to_vec(&KeptTicket { ticket, expires_at })?;
        system::make_private_folder(&self.tickets(&sign_in.auth))?;
        file::replace(
            &self.ticket_file(sign_in, site),
            &text,
            system::private_permissions(),
        )
    }

    fn remove_tickets(&self, auth: &Place) -> anyhow::Result<()> {
        let folder = self.tickets(auth);
        ignore_missing(fs::remove_dir_all(&folder), &folder)
    }

    /// Folder of the tickets of the sign-in at this place.
    fn tickets(&self, auth: &Place) -> PathBuf {
        self.file(auth).with_extension("tickets")
    }

    /// It has another name after each sign-in, so no ticket counts for another user.
    fn ticket_file(&self, sign_in: &SignIn, site: &str) -> PathBuf {
        let name = secret::fingerprint(&format!("{} {site}", sign_in.token));
        self.tickets(&sign_in.auth).join(name)
    }

    fn file(&self, auth: &Place) -> PathBuf {
        self.0.join(format!("{}_{}.json", auth.host, auth.port))
    }

    /// Whether the folder is there. Others must not be able to read it.
    fn check_folder(&self) -> anyhow::Result<bool> {
        match fs::metadata(&self.0) {
            Ok(found) => system::check_private(&self.0, &found, 0o700).map(|()| true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", self.0.display())),
        }
    }
}

/// What is not there counts as removed.
fn ignore_missing(result: io::Result<()>, path: &Path) -> anyhow::Result<()> {
    match result {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", path.display()))
        }
        _ => Ok(()),
    }
}

fn read(file: &Path) -> anyhow::Result<SignIn> {
    let failed = || format!("{} cannot be read", file.display());
    let open = File::open(file).with_context(failed)?;
    system::check_private(file, &open.metadata().with_context(failed)?, 0o600)?;
    let mut text = Vec::new();
    open.take(MOST).read_to_end(&mut text).with_context(failed)?;
    serde_json::from_slice(&text).with_context(|| {
        format!(
            "{} must hold a sign-in, and does not: remove it, and sign in again: kubectl workspace login",
            file.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use k8s_openapi::jiff::SignedDuration;

    use super::*;

    /// A folder that does not exist yet. Dropping it removes it.
    struct Folder(State);

    impl Folder {
        fn new(test: &str) -> Self {
            Self(State(
                env::temp_dir().join(format!("cli-state-{}-{test}", std::process::id())),
            ))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0.0);
        }
    }

    fn sign_in(base: &str, token: &str) -> SignIn {
        let end = "2026-01-01T00:00:00Z".parse().unwrap();
        SignIn::new(
            &Place::auth_of(base, 443),
            "alice".to_owned(),
            end,
            token.to_owned(),
        )
    }

    #[test]
    fn there_is_one_sign_in_for_each_installation_and_only_the_user_can_read_it() {
        let folder = Folder::new("kept");
        let state = &folder.0;
        assert!(state.sign_ins().unwrap().is_empty());
        for (base, token) in [("a.example", "1"), ("b.example", "2"), ("a.example", "3")] {
            state.save(&sign_in(base, token)).unwrap();
        }
        let tokens: Vec<_> = state
            .sign_ins()
            .unwrap()
            .into_iter()
            .map(|found| found.token)
            .collect();
        assert_eq!(tokens, ["3", "2"]);
        let at = |base: &str| Place::auth_of(base, 443);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&state.0), 0o700);
        for entry in fs::read_dir(&state.0).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0o600);
        }
        state.remove(&at("a.example")).unwrap();
        state.remove(&at("a.example")).unwrap();
        assert_eq!(state.sign_ins().unwrap().len(), 1);
        assert!(!format!("{:?}", sign_in("a.example", "hidden")).contains("hidden"));
    }

    #[test]
    fn a_ticket_is_kept_for_one_workspace_and_one_sign_in_until_it_ends() {
        let folder = Folder::new("tickets");
        let state = &folder.0;
        let alice = sign_in("a.example", "1");
        state.save(&alice).unwrap();
        let (now, hour) = (Timestamp::now(), SignedDuration::from_hours(1));
        for (site, end) in [("lab.a.example", now + hour), ("old.a.example", now - hour)] {
            state.keep_ticket(&alice, site, "ticket", end).unwrap();
        }
        let kept = |sign_in, site| state.ticket(sign_in, site);
        assert_eq!(kept(&alice, "lab.a.example").as_deref(), Some("ticket"));
        assert_eq!(kept(&alice, "old.a.example"), None);
        assert_eq!(kept(&alice, "other.a.example"), None);
        assert_eq!(kept(&sign_in("a.example", "2"), "lab.a.example"), None);
        let tickets = state.tickets(&alice.auth);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&tickets), 0o700);
        for entry in fs::read_dir(&tickets).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0o600);
        }
        // The next sign-in begins without, and the end of a sign-in leaves none.
        state.save(&alice).unwrap();
        assert!(!tickets.exists());
        state
            .keep_ticket(&alice, "lab.a.example", "ticket", now + hour)
            .unwrap();
        state.remove(&alice.auth).unwrap();
        assert!(!tickets.exists());
    }

    #[test]
    fn what_others_can_read_is_refused_with_the_command_that_closes_it() {
        let folder = Folder::new("open");
        let state = &folder.0;
        state.save(&sign_in("a.example", "1")).unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let file = state.file(&Place::auth_of("a.example", 443));
        for (path, open, closed) in [(&file, 0o640, 0o600), (&state.0, 0o750, 0o700)] {
            set(path, open);
            let error = state.sign_ins().unwrap_err().to_string();
            assert!(
                error.ends_with(&format!("run chmod {closed:o} {}", path.display())),
                "{error}"
            );
            set(path, closed);
            assert_eq!(state.sign_ins().unwrap().len(), 1);
        }
        set(&state.0, 0o755);
        assert!(state.save(&sign_in("b.example", "2")).is_err());
        set(&state.0, 0o700);
        fs::write(&file, "{").unwrap();
        let error = state.sign_ins().unwrap_err().to_string();
        assert!(error.contains("remove it, and sign in again"), "{error}");
    }
}
