//! Control group of the container -> its memory limit, and when memory ran out (IO).
//!
//! The kernel counts the processes that it ends (`oom_kill`). It tells no time, so the time is that of the first look at a higher count,
//! which is a minute later at most. Where the kubelet lets the kernel end the whole container, its default with control groups
//! of version 2, the door ends too, and the pod's status tells it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;

/// Where a container finds its own control group.
const FOLDER: &str = "/sys/fs/cgroup";
/// Version 1 has no other word for "no limit" than a number about as large as this.
const UNLIMITED: u64 = 1 << 62;

/// Files of a control group.
#[derive(Debug)]
pub(crate) struct Group {
    events: PathBuf,
    limit: PathBuf,
}

/// Processes of a control group that were ended for memory.
#[derive(Debug)]
pub(crate) struct Memory {
    group: Group,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    kills: u64,
    last: Option<Timestamp>,
}

impl Group {
    /// Of version 2 if it is there, else of version 1.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        let events = folder.join("memory.events");
        if events.exists() {
            let limit = folder.join("memory.max");
            return Self { events, limit };
        }
        Self {
            events: folder.join("memory/memory.oom_control"),
            limit: folder.join("memory/memory.limit_in_bytes"),
        }
    }

    /// How many processes were ended; 0 where that cannot be read.
    fn kills(&self) -> u64 {
        let text = fs::read_to_string(&self.events).unwrap_or_default();
        let mut counts = text.lines().filter_map(|line| line.strip_prefix("oom_kill "));
        counts
            .next()
            .and_then(|count| count.trim().parse().ok())
            .unwrap_or(0)
    }
}

impl Memory {
    pub(crate) fn of_this_container() -> Self {
        Self::new(Group::in_folder(Path::new(FOLDER)))
    }

    /// What was ended before does not count.
    pub(crate) fn new(group: Group) -> Self {
        let seen = Seen {
            kills: group.kills(),
            last: None,
        };
        Self {
            group,
            seen: Mutex::new(seen),
        }
    }

    /// Looks once a minute, for ever.
    pub(crate) async fn watch(&self) {
        let mut looks = tokio::time::interval(Duration::from_mins(1));
        loop {
            looks.tick().await;
            self.last_kill();
        }
    }

    /// When a process was last ended, as RFC 3339.
    pub(crate) fn last_kill(&self) -> Option<String> {
        let kills = self.group.kills();
        let mut seen = self.seen.lock();
        if kills > seen.kills {
            seen.kills = kills;
            seen.last = Some(Timestamp::now());
        }
        seen.last.map(|time| time.to_string())
    }

    /// Bytes, if there is a limit.
    pub(crate) fn limit(&self) -> Option<u64> {
        let text = fs::read_to_string(&self.group.limit).ok()?;
        text.trim().parse().ok().filter(|limit| *limit < UNLIMITED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_process_that_is_ended_for_memory_is_seen_in_both_versions_of_control_groups() {
        let of_2 = |kills| format!("low 0\nhigh 3\nmax 71\noom 9\noom_kill {kills}\noom_group_kill 7\n");
        let of_1 = |kills| format!("oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n");
        let events: [(&str, &dyn Fn(u8) -> String); 2] =
            [("memory.events", &of_2), ("memory/memory.oom_control", &of_1)];
        for (name, text) in events {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), name, &text(4));
            let memory = Memory::new(Group::in_folder(folder.path()));
            assert_eq!(memory.last_kill(), None, "{name}: before the start");
            write(folder.path(), name, &text(5));
            let first = memory.last_kill().unwrap();
            assert_eq!(memory.last_kill().as_deref(), Some(&*first), "{name}");
            write(folder.path(), name, &text(6));
            let time = |text: &str| text.parse::<Timestamp>().unwrap();
            assert!(time(&memory.last_kill().unwrap()) > time(&first), "{name}");
        }
    }

    #[test]
    fn a_limit_is_known_where_there_is_one() {
        for (name, text, limit) in [
            ("memory.max", "2147483648\n", Some(2_147_483_648)),
            ("memory.max", "max\n", None),
            ("memory/memory.limit_in_bytes", "268435456\n", Some(268_435_456)),
            ("memory/memory.limit_in_bytes", "9223372036854771712\n", None),
        ] {
            let folder = tempfile::tempdir().unwrap();
            if !name.contains('/') {
                write(folder.path(), "memory.events", "oom_kill 0\n");
            }
            write(folder.path(), name, text);
            let memory = Memory::new(Group::in_folder(folder.path()));
            assert_eq!(memory.limit(), limit, "{name} {text}");
        }
    }

    #[test]
    fn without_control_groups_nothing_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::new(Group::in_folder(folder.path()));
        assert_eq!((memory.last_kill(), memory.limit()), (None, None));
    }
}
