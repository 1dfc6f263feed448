//! File with the gateway's public keys -> who a request's assertion names (IO: reads the file).

use std::path::{Path, PathBuf};

use arc_swap::ArcSwap;
use assertion::{InvalidAssertion, Verifier};
use kit::assertion_signer::check_identity;
use kit::process::{InvalidSetting, file};

use crate::user::{Authenticator, NoUser, User};

/// The gateway's public keys.
#[derive(Debug)]
pub(crate) struct Keys {
    path: PathBuf,
    current: ArcSwap<Verifier>,
}

impl Keys {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or is no key set.
    pub(crate) fn read(path: &Path) -> Result<Self, InvalidSetting> {
        Ok(Self {
            path: path.to_owned(),
            current: ArcSwap::from_pointee(file("assertion-keys-file", path, Verifier::new)?),
        })
    }

    /// Reads the file again.
    ///
    /// # Errors
    /// As [`Self::read`]; the keys stay as they were.
    pub(crate) fn reread(&self) -> Result<(), InvalidSetting> {
        let verifier = file("assertion-keys-file", &self.path, Verifier::new)?;
        self.current.store(verifier.into());
        Ok(())
    }
}

impl Authenticator for Keys {
    fn user(&self, assertion: &str, now: i64) -> Result<User, NoUser> {
        let check = || {
            self.current
                .load()
                .check(assertion, api::names::GATEWAY, api::names::PORTAL_AUDIENCE, now)
        };
        let claims = check().or_else(|invalid| {
            // The gateway may have a new key that this process has not read yet.
            let is_new = invalid == InvalidAssertion::UnknownKey && self.reread().is_ok();
            if is_new { check() } else { Err(invalid) }
        });
        let claims = claims.map_err(|_| NoUser::NotSignedIn)?;
        if claims.bearer || claims.session_end.is_none() {
            return Err(NoUser::NotSignedIn);
        }
        check_identity(&claims.subject, &claims.groups).map_err(|_| NoUser::Unusable(UNUSABLE))?;
        Ok(User {
            name: claims.subject,
            groups: claims.groups,
            session_end: claims.session_end,
            assertion_end: claims.ends,
        })
    }
}

/// Shown to a user whose identity cannot be sent to the API server.
const UNUSABLE: &str = "Your user name or a group of yours cannot be used with Kubernetes: it begins with `system:` or \
     `kubeadm:`, contains control characters, or begins or ends with a space; or you are in more than 1,000 groups.";
