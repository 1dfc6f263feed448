//! Folder of the workspace's disk -> how much of it is used (IO, on a thread of its own).
//!
//! A system call on a network disk whose server is gone does not return. Then its thread waits, no second one is started, and the door
//! answers without these figures.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags, open, statvfs};
use rustix::io::Errno;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// How long figures are given again: the operator asks each five minutes, or each minute, and a block is written for each reading.
const FRESH: Duration = Duration::from_mins(4);
/// How long an answer waits for new figures.
const WAIT: Duration = Duration::from_secs(1);
/// What is written to learn whether there is room.
const BLOCK: [u8; 4096] = [b'.'; 4096];
/// The file that is written where file systems have no unnamed ones. It is removed before it is written.
const NAMED: &str = ".jupyter-k8s-disk-check";

/// What a file system tells of its use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    size_bytes: u64,
    used_bytes: u64,
    /// What the user may still write, without what is reserved for root.
    available_bytes: u64,
    used_inodes: u64,
    available_inodes: u64,
    /// Not even a block can be written.
    is_full: bool,
}

type Read = Arc<dyn Fn() -> Option<Figures> + Send + Sync>;
/// When figures were read, and what they are.
type Last = Option<(Instant, Option<Figures>)>;

/// The disk, and its last figures.
pub(crate) struct Disk {
    read: Read,
    last: watch::Sender<Last>,
    under_way: Mutex<UnderWay>,
}

/// The last reading, which its thread keeps alive.
#[derive(Default)]
struct UnderWay {
    reading: Weak<()>,
    since: Option<Instant>,
}

impl Disk {
    /// `folder`: where the disk is mounted. Without one nothing is known.
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        Self::with(move || figures(folder.as_deref()?))
    }

    /// Reads with a function, which may never return.
    pub(crate) fn with(read: impl Fn() -> Option<Figures> + Send + Sync + 'static) -> Self {
        Self {
            read: Arc::new(read),
            last: watch::Sender::new(None),
            under_way: Mutex::default(),
        }
    }

    /// The figures, as JSON; null where they are not known, or the disk does not answer.
    pub(crate) async fn figures(&self) -> Value {
        let Some(since) = self.begin() else {
            return Value::Null;
        };
        let mut last = self.last.subscribe();
        let fresh = last.wait_for(|last| last.as_ref().is_some_and(is_fresh));
        let known = match timeout_at(since + WAIT, fresh).await {
            Ok(Ok(last)) => last.as_ref().and_then(|(_, figures)| figures.clone()),
            Ok(Err(_)) | Err(_) => None,
        };
        known.map_or(Value::Null, |figures| figures.to_json())
    }

    /// Starts a reading unless there are fresh figures or one is under way. Returns when the last one began; `None`: no thread is left.
    fn begin(&self) -> Option<Instant> {
        let mut under_way = self.under_way.lock();
        let is_known = self.last.borrow().as_ref().is_some_and(is_fresh);
        if is_known || under_way.reading.strong_count() > 0 {
            return under_way.since;
        }
        let (now, alive) = (Instant::now(), Arc::new(()));
        let (read, last, reading) = (Arc::clone(&self.read), self.last.clone(), Arc::downgrade(&alive));
        let thread = thread::Builder::new().name("disk".to_owned());
        let started = thread.spawn(move || {
            last.send_replace(Some((now, read())));
            drop(alive);
        });
        started.ok()?;
        *under_way = UnderWay {
            reading,
            since: Some(now),
        };
        under_way.since
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk").finish_non_exhaustive()
    }
}

impl Figures {
    fn to_json(&self) -> Value {
        json!({
            "sizeBytes": self.size_bytes,
            "usedBytes": self.used_bytes,
            "availableBytes": self.available_bytes,
            "usedInodes": self.used_inodes,
            "availableInodes": self.available_inodes,
            "full": self.is_full,
        })
    }
}

fn is_fresh((time, _): &(Instant, Option<Figures>)) -> bool {
    time.elapsed() < FRESH
}

/// What the folder's file system tells.
fn figures(folder: &Path) -> Option<Figures> {
    let stat = statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Some(Figures {
        size_bytes: bytes(stat.f_blocks),
        used_bytes: bytes(stat.f_blocks.saturating_sub(stat.f_bfree)),
        available_bytes: bytes(stat.f_bavail),
        used_inodes: stat.f_files.saturating_sub(stat.f_ffree),
        available_inodes: stat.f_favail,
        is_full: write_block(folder).is_err_and(|error| is_of_space(&error)),
    })
}

/// Whether a write fails because space or a quota is used up. A read-only disk, for example, is not full.
fn is_of_space(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Writes a block that nothing keeps. Servers of network disks say only at the end that they have no room.
fn write_block(folder: &Path) -> io::Result<()> {
    let mut file = unnamed(folder)?;
    file.write_all(&BLOCK)?;
    file.sync_data()
}

/// A file without a name, which is gone once it is closed.
fn unnamed(folder: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::TMPFILE;
    match open(folder, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(file.into()),
        // The file system, or the kernel, has none.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => removed(&folder.join(NAMED)),
        Err(error) => Err(error.into()),
    }
}

/// A file that is removed at once. What a door left there that ended between the two goes first.
fn removed(path: &Path) -> io::Result<File> {
    let _ = fs::remove_file(path);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    fs::remove_file(path)?;
    Ok(file)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    pub(crate) const FIGURES: Figures = Figures {
        size_bytes: 1000,
        used_bytes: 900,
        available_bytes: 50,
        used_inodes: 7,
        available_inodes: 3,
        is_full: false,
    };

    /// A disk whose readings each wait for a message, and how many began.
    fn waiting() -> (Disk, mpsc::Sender<Figures>, Arc<AtomicUsize>) {
        let (sender, receiver) = mpsc::channel();
        let (receiver, began) = (Mutex::new(receiver), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&began);
        let read = move || {
            count.fetch_add(1, Ordering::SeqCst);
            receiver.lock().recv().ok()
        };
        (Disk::with(read), sender, began)
    }

    #[tokio::test]
    async fn a_disk_that_does_not_answer_costs_its_figures_alone_and_one_thread() {
        let (disk, server, began) = waiting();
        let before = Instant::now();
        for _ in 0..50 {
            assert_eq!(disk.figures().await, Value::Null);
        }
        // Only answers in the first moments of the reading wait for it.
        assert!(before.elapsed() < WAIT * 4, "{:?}", before.elapsed());
        assert_eq!(began.load(Ordering::SeqCst), 1);
        // Its server is back.
        server.send(FIGURES).unwrap();
        let mut last = disk.last.subscribe();
        last.wait_for(Option::is_some).await.unwrap();
        assert_eq!(disk.figures().await["usedBytes"], 900);
        assert_eq!(began.load(Ordering::SeqCst), 1, "fresh figures are given again");
    }

    #[tokio::test]
    async fn answers_at_the_same_time_share_one_reading() {
        let (disk, server, began) = waiting();
        server.send(FIGURES).unwrap();
        let (one, other) = tokio::join!(disk.figures(), disk.figures());
        assert_eq!(one, other);
        assert_eq!(one["availableInodes"], 3);
        assert_eq!(began.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_reading_that_panics_is_followed_by_another() {
        let began = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&began);
        let disk = Disk::with(move || {
            assert!(count.fetch_add(1, Ordering::SeqCst) > 0, "the first one");
            Some(FIGURES)
        });
        assert_eq!(disk.figures().await, Value::Null);
        // Its thread may still tell of the panic.
        while disk.under_way.lock().reading.strong_count() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(disk.figures().await["sizeBytes"], 1000);
    }

    #[tokio::test]
    async fn without_a_folder_nothing_is_known() {
        assert_eq!(Disk::new(None).figures().await, Value::Null);
        let missing = Disk::new(Some("/nowhere/at/all".into()));
        assert_eq!(missing.figures().await, Value::Null);
    }

    #[test]
    fn a_folder_with_room_is_not_full_and_nothing_is_left_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let found = figures(folder.path()).unwrap();
        assert!(!found.is_full);
        assert!(found.used_bytes + found.available_bytes <= found.size_bytes);
        assert!(found.available_bytes > 0);
        let stale = folder.path().join(NAMED);
        fs::write(&stale, "of an earlier door").unwrap();
        let mut file = removed(&stale).unwrap();
        file.write_all(&BLOCK).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn only_a_lack_of_space_or_a_quota_is_a_full_disk() {
        for (error, is_full) in [
            (Errno::NOSPC, true),
            (Errno::DQUOT, true),
            (Errno::ROFS, false),
            (Errno::ACCESS, false),
            (Errno::IO, false),
        ] {
            assert_eq!(is_of_space(&error.into()), is_full, "{error}");
        }
        // The kernel's own answer, without a mount.
        let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        assert!(is_of_space(&full.write_all(&BLOCK).unwrap_err()));
    }
}
