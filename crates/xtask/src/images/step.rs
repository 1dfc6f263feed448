//! Name of an image -> one build: intermediate files, its log, its lines of progress (IO).

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;

use crate::paths::Paths;
use crate::progress::Progress;

/// Maximum length of a shown log line, in characters.
const SHOWN: usize = 100;

/// A running build. Its folder is removed when it ends, whether it succeeds or not.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    pub(crate) folder: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) progress: &'a Progress,
    what: String,
    started: Instant,
}

impl<'a> Step<'a> {
    /// Starts with an empty folder and an empty log.
    ///
    /// # Errors
    /// When the cache folder cannot be written.
    pub(crate) fn start(
        name: &str,
        what: &str,
        paths: &Paths,
        progress: &'a Progress,
    ) -> anyhow::Result<Self> {
        let folder = paths.cache().join("buildah").join(format!("work-{name}"));
        let log = paths.logs().join(format!("images-{name}.log"));
        let _ = fs::remove_dir_all(&folder);
        let _ = fs::remove_file(&log);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        progress.line(format_args!("building {what}"));
        Ok(Self {
            folder,
            log,
            progress,
            what: what.to_owned(),
            started: Instant::now(),
        })
    }

    /// For lines of a command's output: shows one of them from time to time, as progress of a long build.
    pub(crate) fn beat(&self) -> impl FnMut(&str) + use<'a> {
        let mut beat = self.progress.beat();
        move |line| beat.line(|| format!("  {}", line.chars().take(SHOWN).collect::<String>()))
    }

    /// Prints that the build is complete, and its duration.
    ///
    /// # Errors
    /// When the folder cannot be removed.
    pub(crate) fn done(self) -> anyhow::Result<()> {
        fs::remove_dir_all(&self.folder)
            .with_context(|| format!("cannot remove {}", self.folder.display()))?;
        self.progress.line(format_args!(
            "built {} in {:.0} s",
            self.what,
            self.started.elapsed().as_secs_f64()
        ));
        Ok(())
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
