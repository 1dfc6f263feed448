//! Pods whose image has a door, an older one, or none.

use super::*;

/// An answer that says that there is a door.
fn by_door(answer: &str) -> String {
    answer.replacen("\r\n", "\r\nWorkspace-Door: 1\r\n", 1)
}

/// What a door of these images tells, and hands on.
fn behind_door(
    state: &str,
    paths: &[&str],
    line: &str,
    application: fn(&str) -> Option<String>,
) -> Option<String> {
    if line.split(' ').nth(1)? == "/jupyter-k8s/activity" {
        let times = r#""lastActivity": "2026-01-01T11:50:00Z", "outOfMemory": null"#;
        return Some(by_door(&json(&format!(
            "{{{state}, {times}, \"activityPaths\": {paths:?}}}"
        ))));
    }
    Some(by_door(&application(line)?))
}

const TIMES: &str = r#""user": "2026-01-01T11:10:00Z", "presence": "2026-01-01T11:50:00Z""#;
const OF_JUPYTER: [&str; 3] = ["/api/status", "/api/kernels", "/api/terminals"];

/// Names of signals with their minutes after eleven.
fn minutes(answer: Answered) -> Vec<(&'static str, Option<i64>)> {
    let eleven = "2026-01-01T11:00:00Z".parse::<Timestamp>().unwrap();
    let minute = |time: Timestamp| time.duration_since(eleven).as_mins();
    let signals = answer.unwrap().signals.into_iter();
    signals
        .map(|it| (it.name, it.last_activity.map(minute)))
        .collect()
}

#[tokio::test]
async fn a_door_s_two_times_replace_what_jupyter_counts_as_use() {
    let (port, seen) = pod(|line| behind_door(TIMES, &OF_JUPYTER, line, jupyter)).await;
    let expected = [
        ("user", Some(10)),
        ("presence", Some(50)),
        ("kernels", Some(0)),
        ("terminals", Some(30)),
    ];
    assert_eq!(minutes(ask(at(port)).await), expected);
    // Once it is known, it is asked first, and Jupyter's own page no more.
    let mut known = at(port);
    known.has_door = true;
    seen.lock().unwrap().clear();
    assert_eq!(minutes(ask(known).await), expected);
    let seen = seen.lock().unwrap();
    assert!(
        seen[0].starts_with("GET /jupyter-k8s/activity ") && seen.len() == 3,
        "{seen:?}"
    );
}

#[tokio::test]
async fn an_application_without_jupyter_behind_a_door_needs_no_detection() {
    let (port, _) = pod(|line| {
        behind_door(TIMES, &["/healthz"], line, |_| {
            Some("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_owned())
        })
    })
    .await;
    let expected = [("user", Some(10)), ("presence", Some(50))];
    assert_eq!(minutes(ask(at(port)).await), expected);
    // What workspace or template name is asked for: its silence is no word of idleness.
    let mut given = at(port);
    given.idle.as_mut().unwrap().question.is_given = true;
    assert_eq!(ask(given).await.unwrap_err().name, "kernels");
    let (port, _) = pod(|line| {
        behind_door(TIMES, &["/healthz"], line, |_| {
            Some(json(r#"{"lastHeartbeat": 1767268200}"#))
        })
    })
    .await;
    let with_endpoint = [("user", Some(10)), ("presence", Some(50)), ("endpoint", Some(50))];
    assert_eq!(minutes(ask(endpoint(port)).await), with_endpoint);
}

#[tokio::test]
async fn a_door_of_an_earlier_version_is_read_as_before_and_an_image_without_one_is_asked_nothing_new() {
    let old = |line: &str| {
        if line.contains("jupyter-k8s/activity") {
            return Some(json(
                r#"{"lastActivity": "2026-01-01T11:50:00Z", "outOfMemory": null}"#,
            ));
        }
        Some(used_by_ssh(&jupyter(line)?, "2026-01-01T11:45:00Z"))
    };
    let (port, seen) = pod(old).await;
    let names: Vec<_> = minutes(ask(at(port)).await)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["server", "kernels", "terminals", "ssh"]);
    assert!(
        seen.lock()
            .unwrap()
            .iter()
            .all(|request| request.starts_with("GET /api/"))
    );
}

#[tokio::test]
async fn a_door_that_fails_or_answers_nonsense_is_an_error_and_no_silence() {
    const FAILURES: [fn(&str) -> Option<String>; 8] = [
        |_| Some(json("<html>")),
        |_| Some(json("{}")),
        |_| Some(json(r#"{"lastActivity": "2026-01-01T11:50:00Z"}"#)),
        |_| Some(json(r#"{"user": -5, "presence": null, "activityPaths": []}"#)),
        |_| {
            Some(json(
                r#"{"user": "-000001-01-01T00:00:00Z", "presence": null, "activityPaths": []}"#,
            ))
        },
        |_| Some(json(&format!("\"{}\"", "x".repeat(1024 * 1024)))),
        |_| Some("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned()),
        |_| Some("SSH-2.0-OpenSSH\r\n".to_owned()),
    ];
    for failure in FAILURES {
        // Both what says for the first time that it is a door, and what is known as one.
        for has_door in [false, true] {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            tokio::spawn(async move {
                let mut is_first = !has_door;
                while let Ok((stream, _)) = listener.accept().await {
                    let answer = if is_first {
                        |line: &str| Some(by_door(&jupyter(line)?))
                    } else {
                        failure
                    };
                    is_first = false;
                    serve(stream, answer, Arc::default()).await;
                }
            });
            let mut subject = at(port);
            subject.has_door = has_door;
            assert_eq!(ask(subject).await.unwrap_err().name, "user");
        }
    }
}

#[tokio::test]
async fn a_door_s_time_ahead_of_now_is_now() {
    const AHEAD: &str = r#""user": "2027-01-01T00:00:00Z", "presence": "9999-12-01T00:00:00Z""#;
    let (port, _) = pod(|line| behind_door(AHEAD, &OF_JUPYTER, line, jupyter)).await;
    let found = minutes(ask(at(port)).await);
    assert_eq!(found[..2], [("user", Some(60)), ("presence", Some(60))]);
}

#[tokio::test]
async fn each_question_tells_of_the_announced_stop_and_of_nothing_where_there_is_none() {
    const STOP: &str = "2026-01-01T12:10:00Z MaxAge true";
    let (port, seen) = pod(|line| behind_door(TIMES, &OF_JUPYTER, line, jupyter)).await;
    let told = async |announced: Option<&str>| {
        let mut subject = at(port);
        subject.announced = announced.map(str::to_owned);
        ask(subject).await.unwrap();
        let requests = std::mem::take(&mut *seen.lock().unwrap());
        let header = |request: &String| {
            let mut values = request
                .lines()
                .filter_map(|line| line.strip_prefix("workspace-stops-at: "));
            values.next().map(str::to_owned)
        };
        requests.iter().map(header).collect::<Vec<_>>()
    };
    assert_eq!(told(Some(STOP)).await, vec![Some(STOP.to_owned()); 4]);
    assert_eq!(told(None).await, vec![None; 4]);
}

/// A pod of which only its disk is of interest.
fn disk_alone(port: u16) -> Subject {
    let mut subject = Subject {
        address: Ipv4Addr::LOCALHOST.into(),
        ..with_disk_alone()
    };
    subject.door.port = port;
    subject
}

/// A door's answer that tells this of its disk.
#[expect(clippy::unnecessary_wraps, reason = "an answer beside those that never come")]
fn with_disk(disk: &str) -> Option<String> {
    Some(by_door(&json(&format!(
        "{{{TIMES}, \"activityPaths\": [], \"disk\": {disk}}}"
    ))))
}

const DISK: &str = r#"{"sizeBytes": 100, "usedBytes": 60, "availableBytes": 40, "usedInodes": 1, "availableInodes": 2, "full": true}"#;

#[tokio::test]
async fn a_disk_is_read_from_the_door_s_answer_also_where_nothing_else_is_asked() {
    let (port, seen) = pod(|_| with_disk(DISK)).await;
    let alone = ask(disk_alone(port)).await.unwrap();
    let disk = alone.disk.unwrap();
    assert_eq!((disk.used_bytes, disk.available_inodes, disk.full), (60, 2, true));
    assert!(!alone.signals.is_empty());
    let requests = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(requests.len(), 1);
    assert!(
        requests[0].starts_with("GET /jupyter-k8s/activity "),
        "{requests:?}"
    );
    let mut known = at(port);
    known.has_door = true;
    assert_eq!(ask(known.clone()).await.unwrap().disk.as_ref(), Some(&disk));
    // Its application fails, perhaps because of it.
    known.idle.as_mut().unwrap().question.is_given = true;
    let failed = ask(known).await.unwrap_err();
    assert_eq!((failed.name, failed.disk), ("kernels", Some(disk)));
}

#[tokio::test]
async fn a_new_door_is_asked_in_time_beside_an_application_that_never_answers() {
    let hangs = async |subject: fn(u16) -> Subject, name: &str| {
        let (port, seen) = pod(|line| {
            let state = format!("{TIMES}, \"disk\": {DISK}");
            behind_door(&state, &OF_JUPYTER, line, |_| None)
        })
        .await;
        let unanswered = ask(subject(port)).await.unwrap_err();
        assert_eq!(
            (unanswered.name, unanswered.why.as_str()),
            (name, "no answer within 5 s")
        );
        assert!(unanswered.disk.unwrap().full);
        assert_eq!(seen.lock().unwrap().len(), 2);
    };
    // Its silence on pages of Jupyter tells nothing of an application that has none.
    let without_jupyter = async {
        let (port, _) = pod(|line| behind_door(TIMES, &["/healthz"], line, |_| None)).await;
        let expected = [("user", Some(10)), ("presence", Some(50))];
        assert_eq!(minutes(ask(at(port)).await), expected);
    };
    tokio::join!(hangs(at, "server"), hangs(endpoint, "endpoint"), without_jupyter);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_on_another_port_that_never_answers_leads_to_no_door() {
    let (silent, asked) = pod(|_| None).await;
    let (door, seen) = pod(|_| with_disk(DISK)).await;
    let mut subject = endpoint(silent);
    subject.door.port = door;
    let unanswered = ask(subject).await.unwrap_err();
    assert_eq!((unanswered.name, unanswered.disk), ("endpoint", None));
    assert_eq!((asked.lock().unwrap().len(), seen.lock().unwrap().len()), (1, 0));
}

#[tokio::test]
async fn figures_of_a_disk_that_cannot_be_read_cost_no_other_signal() {
    const NONSENSE: [fn(&str) -> Option<String>; 7] = [
        |_| with_disk("null"),
        |_| with_disk("[]"),
        |_| with_disk("{}"),
        |_| with_disk(&DISK.replace("60", "-60")),
        |_| with_disk(&DISK.replace("60", "6e300")),
        |_| with_disk(&DISK.replace("60", "99999999999999999999999999")),
        |_| with_disk(&DISK.replace("true", "\"yes\"")),
    ];
    for nonsense in NONSENSE {
        let (port, _) = pod(nonsense).await;
        let reading = ask(disk_alone(port)).await.unwrap();
        assert_eq!(reading.disk, None);
        assert_eq!(reading.signals.len(), 2);
    }
    let (port, _) = pod(|_| with_disk(&format!("\"{}\"", "x".repeat(1024 * 1024)))).await;
    assert!(
        ask(disk_alone(port))
            .await
            .unwrap_err()
            .why
            .contains("longer than 256 KiB")
    );
}

#[tokio::test]
async fn an_image_without_a_door_is_told_from_one_that_does_not_answer() {
    const WITHOUT: [fn(&str) -> Option<String>; 2] = [
        |_| Some("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned()),
        |_| Some(json("<html>")),
    ];
    const UNKNOWN: [fn(&str) -> Option<String>; 3] = [
        |_| Some("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_owned()),
        |_| Some("SSH-2.0-OpenSSH\r\n".to_owned()),
        |_| None,
    ];
    for answer in WITHOUT {
        let (port, _) = pod(answer).await;
        assert_eq!(ask(disk_alone(port)).await.unwrap(), Reading::default());
    }
    for answer in UNKNOWN {
        let (port, _) = pod(answer).await;
        assert_eq!(ask(disk_alone(port)).await.unwrap_err().name, "disk");
    }
}
