//! User name -> lock for signing in, among all tests of this machine (IO).
//!
//! Keycloak treats two simultaneous sign-ins of one user as an attack, and refuses one of them. Users do not do that,
//! but tests that run in parallel would.

use std::{env, fs::File};

use anyhow::Context as _;

/// Held while the user signs in.
#[derive(Debug)]
pub(crate) struct SignInLock {
    /// The file is locked until it is closed.
    _file: File,
}

/// Waits until no other test signs in as `user`.
pub(crate) async fn acquire(user: &str) -> anyhow::Result<SignInLock> {
    let path = env::temp_dir().join(format!("jupyter-k8s-e2e-signs-in-{user}"));
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        file.lock()
            .with_context(|| format!("cannot lock {}", path.display()))?;
        anyhow::Ok(file)
    });
    Ok(SignInLock {
        _file: locked.await??,
    })
}
