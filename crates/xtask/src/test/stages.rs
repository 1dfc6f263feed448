//! The path of an end-to-end test -> with which others it runs, in which order, and how the release is set meanwhile (pure).

/// Tests that may run beside each other. Stages come one after the other.
#[derive(Debug)]
pub(super) struct Stage {
    /// What the run calls it.
    pub(super) name: &'static str,
    /// What the tests find on the cluster.
    pub(super) release: Release,
    /// Tests at work at the same time, on a machine of two cores.
    pub(super) at_once: usize,
    groups: &'static [Group],
}

/// What is on the cluster while a stage runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Release {
    /// The release, with these values of the chart beside those that it was installed with, as `helm --set` takes them.
    Installed(&'static [&'static str]),
    /// Nothing, beside a registry to install from. No other stage can follow.
    InRegistry,
}

/// Tests of a stage of which fewer run at the same time.
#[derive(Debug)]
struct Group {
    at_once: usize,
    /// What the paths of its tests begin with. One at a time, they run in this order.
    tests: &'static [&'static str],
}

/// All stages. If several prefixes match a path, the longest counts. A test that matches none runs in the first stage, in no group.
pub(super) static STAGES: [Stage; 4] = [
    Stage {
        name: "as installed",
        release: Release::Installed(&[]),
        // They wait more than they work; with more of them the cluster is what they wait for.
        at_once: 6,
        groups: &[
            // Each stages six failures side by side, and is held to seconds.
            Group {
                at_once: 2,
                tests: &["failures::"],
            },
        ],
    },
    Stage {
        name: "with other settings",
        // Tickets and sessions that end soon, tokens in place of a browser's cookie, bounds that only warn, guests who start.
        release: Release::Installed(&[
            "gateway.session.ticketSeconds=60",
            "gateway.session.lifetimeMinutes=11",
            "gateway.bearer.enabled=true",
            "webhook.enforcement=Warn",
            "manager.authorization.start=Connectors",
        ]),
        at_once: 5,
        groups: &[
            Group {
                at_once: 4,
                tests: &["disruption::keys::", "short_tickets::", "tokens::"],
            },
            // The first reads the logs of pods that have just begun, the last measures milliseconds when the others only wait.
            Group {
                at_once: 1,
                tests: &["tokens::no_credential", "bounds_warn::", "revocation::"],
            },
        ],
    },
    Stage {
        name: "one at a time",
        release: Release::Installed(&[]),
        at_once: 1,
        groups: &[Group {
            at_once: 1,
            tests: &[
                // They start their own API servers. These use CPU time, so tests that measure time would fail beside them.
                "contract::impersonation::",
                "rendered::",
                "idle_calls::",
                "disruption::",
                "admission_down::",
                "folders::",
                "providers::",
                "identity::",
                "installation::",
                "certificates::",
                "fronts::",
                // It judges the calls that all others caused.
                "rights_in_use::",
            ],
        }],
    },
    Stage {
        name: "from a registry",
        release: Release::InRegistry,
        at_once: 1,
        groups: &[Group {
            at_once: 1,
            // The second finds the images that the first one pulled.
            tests: &["registry::helm_3", "registry::helm_4", "registry::"],
        }],
    },
];

/// Whether the test's stage removes everything from the node. Such tests run only when they are named.
pub(super) fn empties_the_node(path: &str) -> bool {
    STAGES[Placement::of(path).stage].release == Release::InRegistry
}

/// Where a test belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Placement {
    /// Its stage in [`STAGES`].
    pub(super) stage: usize,
    /// Its group there, and its position in that group.
    group: Option<(usize, usize)>,
}

impl Placement {
    /// Of the test with this path, `suite::module::name`.
    pub(super) fn of(path: &str) -> Self {
        let of_group = |stage, group, tests: &'static [&'static str]| {
            let place = move |position| Self {
                stage,
                group: Some((group, position)),
            };
            let each = tests.iter().enumerate();
            each.map(move |(position, begin)| (*begin, place(position)))
        };
        let of_stage = |(number, stage): (usize, &'static Stage)| {
            let groups = stage.groups.iter().enumerate();
            groups.flat_map(move |(group, it)| of_group(number, group, it.tests))
        };
        STAGES
            .iter()
            .enumerate()
            .flat_map(of_stage)
            .filter(|(begin, _)| path.starts_with(begin))
            .max_by_key(|(begin, _)| begin.len())
            .map_or(
                Self {
                    stage: 0,
                    group: None,
                },
                |(_, place)| place,
            )
    }

    /// Whether a test may begin that belongs here, while some of its stage are at work and others are still to come.
    pub(super) fn may_begin(self, working: &[Self], left: &[Self]) -> bool {
        let Some((number, position)) = self.group else {
            return true;
        };
        let group = &STAGES[self.stage].groups[number];
        let of_group = |other: &&Self| other.group.is_some_and(|(other, _)| other == number);
        let is_before = |other: &Self| other.group.is_some_and(|(_, other)| other < position);
        working.iter().filter(of_group).count() < group.at_once
            && (group.at_once > 1 || !left.iter().filter(of_group).any(is_before))
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    fn stage(path: &str) -> &'static str {
        STAGES[Placement::of(path).stage].name
    }

    #[test]
    fn the_longest_prefix_determines_the_placement_of_a_test() {
        assert_eq!(stage("flow::access::a"), "as installed");
        assert_eq!(stage("failures::images::a"), "as installed");
        assert_eq!(stage("tokens::a_service_account"), "with other settings");
        assert_eq!(stage("disruption::workspaces_outlive"), "one at a time");
        assert_eq!(stage("disruption::keys::change"), "with other settings");
        // A suite whose name only begins like another's is another one.
        assert_eq!(stage("why_not::a"), "as installed");
        assert_eq!(Placement::of("why_not::a").group, None);
    }

    #[test]
    fn tests_that_change_settings_or_stop_components_run_in_later_stages() {
        let suites = [
            "admission_down",
            "bounds_warn",
            "certificates",
            "disruption",
            "folders",
            "fronts",
            "providers",
            "revocation",
            "short_tickets",
            "idle_calls",
            "tokens",
            "rendered",
            "registry",
        ];
        for suite in suites {
            assert!(Placement::of(&format!("{suite}::a")).stage > 0, "{suite}");
        }
        assert_eq!(STAGES[0].release, Release::Installed(&[]), "as it was installed");
        for stage in &STAGES[2..] {
            assert_eq!((stage.at_once, stage.groups.len()), (1, 1), "{}", stage.name);
        }
    }

    #[test]
    fn only_the_last_stage_empties_the_cluster() {
        let empty = STAGES.iter().map(|stage| stage.release == Release::InRegistry);
        assert_eq!(empty.collect::<Vec<_>>(), [false, false, false, true]);
        assert_eq!(stage("registry::helm_4_installs"), "from a registry");
        assert!(empties_the_node("registry::helm_4_installs") && !empties_the_node("installation::check::a"));
        assert_eq!(stage("installation::check::a"), "one at a time");
    }

    #[test]
    fn a_group_limits_its_tests_and_does_not_delay_others() {
        let (failure, flow) = (Placement::of("failures::a"), Placement::of("flow::a"));
        assert!(failure.may_begin(&[], &[failure, failure]));
        assert!(failure.may_begin(&[failure, flow], &[]));
        assert!(!failure.may_begin(&[failure, failure], &[]));
        assert!(flow.may_begin(&[failure, failure, flow], &[]));
    }

    #[test]
    fn a_group_of_one_runs_in_order() {
        let [tickets, logs, bounds, revocation] = [
            "short_tickets::a",
            "tokens::no_credential_is_in_a_log",
            "bounds_warn::a",
            "revocation::a",
        ]
        .map(Placement::of);
        let left = [revocation, bounds, tickets, logs];
        assert!(logs.may_begin(&[], &left) && tickets.may_begin(&[], &left));
        assert!(!bounds.may_begin(&[], &left) && !revocation.may_begin(&[], &left));
        assert!(!bounds.may_begin(&[logs], &[revocation]));
        assert!(bounds.may_begin(&[tickets], &[revocation, bounds]));
        assert!(revocation.may_begin(&[tickets], &[]));
        // Two of the same position: whichever comes first.
        assert!(logs.may_begin(&[], &[logs, revocation]));
    }
}
