//! Events of a trace -> the longest task of a page (pure).

use serde_json::Value;

/// What the events are about: tasks of all threads, and marks that pages make.
pub(super) const CATEGORIES: [&str; 2] = ["toplevel", "blink.user_timing"];
/// The mark that the page makes, from its thread for scripts, layout and input.
pub(super) const MARK: &str = "performance.mark('of the page').name";
const MARKED: &str = "of the page";
/// What a task is called.
const TASK: &str = "ThreadControllerImpl::RunTask";

/// Milliseconds of the longest task of the thread with the mark. `None`: the trace has no such task.
pub(super) fn longest_task(events: &[Value]) -> Option<f64> {
    let thread = |event: &Value| Some((event["pid"].as_u64()?, event["tid"].as_u64()?));
    let marked = events.iter().find(|event| event["name"] == MARKED)?;
    let tasks = events
        .iter()
        .filter(|event| event["name"] == TASK && thread(event) == thread(marked));
    let millis = tasks.filter_map(|task| Some(task["dur"].as_f64()? / 1e3));
    millis.max_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_longest_task_is_of_the_page_and_of_no_other_thread() {
        let event = |pid: u32, tid: u32, name: &str, micros: u32| json!({"name": name, "pid": pid, "tid": tid, "dur": micros});
        let events = [
            event(1, 1, TASK, 12_500),
            event(1, 1, TASK, 40_250),
            event(1, 1, "another event", 90_000),
            event(1, 2, TASK, 200_000),
            event(2, 1, TASK, 45_000),
            event(1, 1, MARKED, 0),
        ];
        assert_eq!(longest_task(&events), Some(40.25));
        assert_eq!(longest_task(&events[..5]), None);
        assert_eq!(longest_task(&events[5..]), None);
    }

    #[test]
    fn the_page_makes_the_mark_that_is_looked_for() {
        assert!(MARK.contains(&format!("'{MARKED}'")));
    }
}
