//! Records -> chains that the check accepts or refuses (tests).

use serde_json::json;

use super::*;

fn lines(id: &str, count: u64) -> Vec<String> {
    let mut chain = Chain::new(id.to_owned());
    let records = (0..count).map(|count| json!({"event": "denied_more", "count": count}));
    let all = std::iter::once(json!({"event": "start"}))
        .chain(records)
        .chain([json!({"event": "end"})]);
    all.map(|record| chain.line(&record, Timestamp::UNIX_EPOCH).unwrap())
        .collect()
}

fn check(lines: &[String]) -> Result<Verified, Broken> {
    let mut checker = Checker::default();
    for line in lines {
        checker.check(line)?;
    }
    Ok(checker.finish())
}

#[test]
fn interleaved_chains_and_lines_of_other_logs_pass() {
    let (one, two) = (lines("a", 3), lines("b", 1));
    let mut mixed = vec![
        "{\"level\":\"INFO\",\"message\":\"gateway starts\"}".to_owned(),
        String::new(),
    ];
    mixed.extend([&one[0], &two[0], &one[1], &two[1], &one[2]].map(Clone::clone));
    mixed.push(format!("2026-01-01T00:00:00.1Z stdout F {}\r\n", one[3]));
    mixed.extend([two[2].clone()]);
    let verified = check(&mixed).unwrap();
    assert_eq!((verified.records, verified.chains, verified.open), (7, 2, 1));
}

#[test]
fn a_changed_removed_added_moved_or_damaged_line_is_found() {
    let good = lines("a", 4);
    let broken = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = good.clone();
        change(&mut lines);
        check(&lines).unwrap_err().line
    };
    assert_eq!(
        broken(&|lines| lines[2] = lines[2].replace("\"count\":1", "\"count\":7")),
        4
    );
    assert_eq!(broken(&|lines| drop(lines.remove(2))), 3);
    assert_eq!(broken(&|lines| drop(lines.remove(0))), 1);
    assert_eq!(broken(&|lines| lines.swap(1, 2)), 2);
    assert_eq!(broken(&|lines| lines.insert(3, lines[2].clone())), 4);
    assert_eq!(broken(&|lines| lines[3].truncate(40)), 4);
    assert_eq!(broken(&|lines| lines.push(lines[5].clone())), 7);
    assert_eq!(broken(&|lines| lines.extend(self::lines("b", 1).split_off(1))), 7);
}

#[test]
fn lines_that_are_missing_at_the_end_leave_the_chain_open() {
    let mut cut = lines("a", 4);
    assert_eq!(check(&cut).unwrap().open, 0);
    cut.truncate(3);
    assert_eq!(check(&cut).unwrap().open, 1);
}

#[test]
fn lines_split_by_the_container_runtime_are_joined() {
    let good = lines("a", 2);
    let mut cut = Vec::new();
    for line in &good {
        let (head, tail) = line.split_at(50);
        cut.push(format!("2026-01-01T00:00:00.1Z stdout P {head}"));
        cut.push("2026-01-01T00:00:00.1Z stderr F {\"level\":\"INFO\"}".to_owned());
        cut.push(format!("2026-01-01T00:00:00.1Z stdout F {tail}"));
    }
    assert_eq!(check(&cut).unwrap().records, 4);
    cut[5] = cut[5].replace("\"count\":0", "\"count\":9");
    assert!(check(&cut).is_err());
    let long = format!("{{\"log\":\"audit\",\"text\":\"{}\"}}", "x".repeat(LONGEST));
    assert_eq!(check(&[long]).unwrap_err().line, 1);
}

#[test]
fn a_recorded_end_reveals_a_rewritten_or_truncated_log() {
    let all = lines("a", 4);
    let noted = check(&all[..4]).unwrap().ends;
    let noted: Point = noted[0].to_string().parse().unwrap();
    assert_eq!((noted.chain.as_str(), noted.seq), ("a", 3));
    let missing = |lines: &[String]| {
        let mut checker = Checker::expecting(vec![noted.clone()]);
        for line in lines {
            checker.check(line).unwrap();
        }
        checker.finish().missing
    };
    assert_eq!(missing(&all), []);
    assert_eq!(missing(&all[..3]), std::slice::from_ref(&noted));
    let mut anew = Chain::new("a".to_owned());
    let records = [json!({"event": "start", "version": "2"}), json!({"event": "end"})];
    let anew = records.map(|record| anew.line(&record, Timestamp::UNIX_EPOCH).unwrap());
    assert_eq!(missing(&anew), std::slice::from_ref(&noted));
    assert!("a/b/c".parse::<Point>().is_err());
}
