//! The path of an end-to-end test -> with which others it runs, in which order, and how the release is set meanwhile (pure).

/// Tests that may run beside each other. Stages come one after the other.
#[derive(Debug)]
pub(super) struct Stage {
    /// What the run calls it.
    pub(super) name: &'static str,
    /// Values of the chart beside those that it was installed with, as `helm --set` takes them.
    pub(super) values: &'static [&'static str],
    /// Tests at work at the same time, on a machine of two cores.
    pub(super) at_once: usize,
    lanes: &'static [Lane],
}

/// Tests of a stage of which fewer run at the same time.
#[derive(Debug)]
struct Lane {
    at_once: usize,
    /// What the paths of its tests begin with. One at a time, they run in this order.
    tests: &'static [&'static str],
}

/// All of them. Where several beginnings fit a path, the longest counts; what fits none is of the first stage, in no lane.
pub(super) static STAGES: [Stage; 3] = [
    Stage {
        name: "as installed",
        values: &[],
        // They wait more than they work; with more of them the cluster is what they wait for.
        at_once: 6,
        lanes: &[
            // Each stages six failures side by side, and is held to seconds.
            Lane {
                at_once: 2,
                tests: &["why::"],
            },
        ],
    },
    Stage {
        name: "with other settings",
        // Tickets and sessions that end soon, tokens in place of a browser's cookie, bounds that only warn, guests who start.
        values: &[
            "gateway.session.ticketSeconds=60",
            "gateway.session.lifetimeMinutes=11",
            "gateway.bearer.enabled=true",
            "webhook.enforcement=Warn",
            "manager.authorization.start=Connectors",
        ],
        at_once: 5,
        lanes: &[
            Lane {
                at_once: 4,
                tests: &["disruption::keys::", "short_tickets::", "tokens::"],
            },
            // The first reads the logs of pods that have just begun, the last measures milliseconds when the others only wait.
            Lane {
                at_once: 1,
                tests: &[
                    "tokens::nothing_that_lets_somebody_in",
                    "bounds_warn::",
                    "revocation::",
                ],
            },
        ],
    },
    Stage {
        name: "one at a time",
        values: &[],
        at_once: 1,
        lanes: &[Lane {
            at_once: 1,
            tests: &[
                "silence::",
                "disruption::",
                "admission_down::",
                "folders::",
                "providers::",
                "installation::",
            ],
        }],
    },
];

/// Where a test belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Its stage in [`STAGES`].
    pub(super) stage: usize,
    /// Its lane there, and its turn in that.
    lane: Option<(usize, usize)>,
}

impl Place {
    /// Of the test with this path, `suite::module::name`.
    pub(super) fn of(path: &str) -> Self {
        let of_lane = |stage, lane, tests: &'static [&'static str]| {
            let place = move |turn| Self {
                stage,
                lane: Some((lane, turn)),
            };
            let each = tests.iter().enumerate();
            each.map(move |(turn, begin)| (*begin, place(turn)))
        };
        let of_stage = |(number, stage): (usize, &'static Stage)| {
            let lanes = stage.lanes.iter().enumerate();
            lanes.flat_map(move |(lane, it)| of_lane(number, lane, it.tests))
        };
        STAGES
            .iter()
            .enumerate()
            .flat_map(of_stage)
            .filter(|(begin, _)| path.starts_with(begin))
            .max_by_key(|(begin, _)| begin.len())
            .map_or(Self { stage: 0, lane: None }, |(_, place)| place)
    }

    /// Whether a test may begin that belongs here, while some of its stage are at work and others are still to come.
    pub(super) fn may_begin(self, working: &[Self], left: &[Self]) -> bool {
        let Some((number, turn)) = self.lane else {
            return true;
        };
        let lane = &STAGES[self.stage].lanes[number];
        let of_lane = |other: &&Self| other.lane.is_some_and(|(other, _)| other == number);
        let is_before = |other: &Self| other.lane.is_some_and(|(_, other)| other < turn);
        working.iter().filter(of_lane).count() < lane.at_once
            && (lane.at_once > 1 || !left.iter().filter(of_lane).any(is_before))
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    fn stage(path: &str) -> &'static str {
        STAGES[Place::of(path).stage].name
    }

    #[test]
    fn the_longest_beginning_says_where_a_test_belongs() {
        assert_eq!(stage("flow::access::a"), "as installed");
        assert_eq!(stage("why::images::a"), "as installed");
        assert_eq!(stage("tokens::a_service_account"), "with other settings");
        assert_eq!(stage("disruption::workspaces_outlive"), "one at a time");
        assert_eq!(stage("disruption::keys::change"), "with other settings");
        // A suite whose name only begins like another's is another one.
        assert_eq!(stage("why_not::a"), "as installed");
        assert_eq!(Place::of("why_not::a").lane, None);
    }

    #[test]
    fn what_changes_settings_or_takes_components_away_is_not_beside_the_rest() {
        let suites = [
            "admission_down",
            "bounds_warn",
            "disruption",
            "folders",
            "providers",
            "revocation",
            "short_tickets",
            "silence",
            "tokens",
        ];
        for suite in suites {
            assert!(Place::of(&format!("{suite}::a")).stage > 0, "{suite}");
        }
        assert!(STAGES[0].values.is_empty(), "the first is as it was installed");
        let last = STAGES.last().unwrap();
        assert_eq!((last.at_once, last.lanes.len()), (1, 1));
    }

    #[test]
    fn a_lane_has_so_many_at_work_and_those_of_no_lane_pass_it() {
        let (why, flow) = (Place::of("why::a"), Place::of("flow::a"));
        assert!(why.may_begin(&[], &[why, why]));
        assert!(why.may_begin(&[why, flow], &[]));
        assert!(!why.may_begin(&[why, why], &[]));
        assert!(flow.may_begin(&[why, why, flow], &[]));
    }

    #[test]
    fn one_at_a_time_goes_by_turn_and_each_lane_for_itself() {
        let [tickets, logs, bounds, revocation] = [
            "short_tickets::a",
            "tokens::nothing_that_lets_somebody_in_is_in_a_log",
            "bounds_warn::a",
            "revocation::a",
        ]
        .map(Place::of);
        let left = [revocation, bounds, tickets, logs];
        assert!(logs.may_begin(&[], &left) && tickets.may_begin(&[], &left));
        assert!(!bounds.may_begin(&[], &left) && !revocation.may_begin(&[], &left));
        assert!(!bounds.may_begin(&[logs], &[revocation]));
        assert!(bounds.may_begin(&[tickets], &[revocation, bounds]));
        assert!(revocation.may_begin(&[tickets], &[]));
        // Two of the same turn: whichever comes first.
        assert!(logs.may_begin(&[], &[logs, revocation]));
    }
}
