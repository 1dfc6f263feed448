//! Path of an end-to-end test -> its stage, its order and the release's values (pure).

/// Tests that may run concurrently. Stages run in sequence.
#[derive(Debug)]
pub(super) struct Stage {
    /// Its name in the output.
    pub(super) name: &'static str,
    run: When,
    /// The state of the cluster for these tests.
    pub(super) release: Release,
    /// Maximum number of concurrently working tests, on a machine with two cores.
    pub(super) at_once: usize,
    groups: &'static [Group],
}

/// The runs that include a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// In whole runs, and if a filter selects its tests.
    Always,
    /// Only if a filter selects its tests: they are slow, and test code that rarely changes (docs/decisions/0135).
    Named,
}

/// The state of the cluster while a stage runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Release {
    /// The release, with these values of the chart added to those of its installation, as `helm --set` takes them.
    Installed(&'static [&'static str]),
    /// An empty cluster, beside a registry to install from. No other stage can follow.
    InRegistry,
}

/// Tests of a stage with a lower limit of concurrency.
#[derive(Debug)]
struct Group {
    at_once: usize,
    /// Prefixes of its tests' paths. If the limit is one, the tests run in this order.
    tests: &'static [&'static str],
}

/// All stages. If several prefixes match a path, the longest counts. A test without a match runs in the first stage, in no group.
pub(super) static STAGES: [Stage; 7] = [
    Stage {
        name: "as installed",
        run: When::Always,
        release: Release::Installed(&[]),
        // They wait more than they work. With more of them, the cluster would be the bottleneck.
        at_once: 6,
        groups: &[
            // Each causes six failures at once, and has a limit of seconds.
            Group {
                at_once: 2,
                tests: &["failures::"],
            },
            // With more browsers at once, pages are so slow that tests run into their timeouts.
            Group {
                at_once: 2,
                tests: &["portal::"],
            },
            // `helm test` creates an account with permissions, and the first test searches accounts of jobs without any.
            Group {
                at_once: 1,
                tests: &["contract::accounts::", "installation::"],
            },
            // It waits for minutes, in which keys change and no request may fail.
            Group {
                at_once: 1,
                tests: &["disruption::keys::", "flow::lifecycle::manually_deleted"],
            },
        ],
    },
    Stage {
        name: "with other settings",
        run: When::Always,
        // Tickets and sessions that end soon, tokens in place of a browser's cookie, bounds that only warn, guests who start workspaces,
        // pods without a node that soon count as failed.
        release: Release::Installed(&[
            "gateway.session.ticketSeconds=60",
            "gateway.session.lifetimeMinutes=11",
            "gateway.bearer.enabled=true",
            "webhook.enforcement=Warn",
            "manager.authorization.start=Connectors",
            "settings.unschedulableGraceSeconds=10",
        ]),
        at_once: 5,
        groups: &[
            Group {
                at_once: 4,
                tests: &["bounds_warn::", "short_tickets::", "tokens::"],
            },
            // The first test reads the logs of pods that have just started. The last one measures milliseconds while the others only wait.
            Group {
                at_once: 1,
                tests: &["tokens::no_credential", "disruption::grace::", "revocation::"],
            },
        ],
    },
    Stage {
        name: "components stop",
        run: When::Always,
        release: Release::Installed(&[]),
        at_once: 2,
        groups: &[
            // It kills a replica of the gateway.
            Group {
                at_once: 1,
                tests: &["disruption::replicas::"],
            },
            // They stop operator and webhook, or change their requirements, and open no workspace.
            Group {
                at_once: 1,
                tests: &[
                    "disruption::another_build::",
                    "disruption::definitions::",
                    "disruption::storage_class::",
                    "admission_down::",
                ],
            },
        ],
    },
    Stage {
        name: "nothing happens",
        run: When::Always,
        release: Release::Installed(&[]),
        at_once: 2,
        groups: &[
            Group {
                at_once: 1,
                tests: &["idle_calls::"],
            },
            // They start their own API servers, which the servers of the release do not know.
            Group {
                at_once: 1,
                tests: &["rendered::"],
            },
        ],
    },
    Stage {
        name: "one at a time",
        run: When::Always,
        release: Release::Installed(&[]),
        at_once: 1,
        groups: &[Group {
            at_once: 1,
            tests: &[
                "disruption::",
                "upgrade::",
                // It checks the calls that all other tests caused.
                "rights_in_use::",
            ],
        }],
    },
    Stage {
        name: "before a release",
        run: When::Named,
        release: Release::Installed(&[]),
        at_once: 1,
        groups: &[Group {
            at_once: 1,
            tests: &["before_release::", "disruption::before_release::"],
        }],
    },
    Stage {
        name: "from a registry",
        run: When::Named,
        release: Release::InRegistry,
        at_once: 1,
        groups: &[Group {
            at_once: 1,
            // The second test uses the images that the first one pulled.
            tests: &["registry::helm_3", "registry::helm_4", "registry::"],
        }],
    },
];

/// Whether a whole run has the test with this path. The others run only if a filter selects them.
pub(super) fn is_in_whole_runs(path: &str) -> bool {
    STAGES[Placement::of(path).stage].run == When::Always
}

/// The position of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Placement {
    /// Its stage in [`STAGES`].
    pub(super) stage: usize,
    /// Its group in the stage, and its position in that group.
    group: Option<(usize, usize)>,
}

impl Placement {
    /// The position of the test with this path, `suite::module::name`.
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

    /// Whether a test at this position may start, while some of its stage work and others wait.
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
        assert_eq!(stage("disruption::evictions::a"), "one at a time");
        assert_eq!(stage("disruption::replicas::a"), "components stop");
        assert_eq!(stage("disruption::keys::change"), "as installed");
        // A suite whose name only starts like another's is another one.
        assert_eq!(stage("why_not::a"), "as installed");
        assert_eq!(Placement::of("why_not::a").group, None);
    }

    #[test]
    fn tests_that_change_settings_or_stop_components_run_in_later_stages() {
        let suites = [
            "admission_down",
            "before_release",
            "bounds_warn",
            "disruption",
            "revocation",
            "short_tickets",
            "idle_calls",
            "tokens",
            "rendered",
            "registry",
            "upgrade",
        ];
        for suite in suites {
            assert!(Placement::of(&format!("{suite}::a")).stage > 0, "{suite}");
        }
        assert_eq!(STAGES[0].release, Release::Installed(&[]), "as it was installed");
        // Concurrent tests of a stage are in groups of one, or only wait.
        for stage in STAGES.iter().skip(2) {
            assert_eq!(stage.at_once, stage.groups.len(), "{}", stage.name);
            assert!(
                stage.groups.iter().all(|group| group.at_once == 1),
                "{}",
                stage.name
            );
        }
    }

    #[test]
    fn the_values_of_the_release_change_twice_in_a_whole_run() {
        let stages = || STAGES.iter().filter(|stage| stage.run == When::Always);
        let changes = stages().zip(stages().skip(1));
        let changes = changes.filter(|(before, after)| before.release != after.release);
        assert_eq!(changes.count(), 2);
    }

    #[test]
    fn stages_of_named_tests_come_last_and_only_the_last_one_empties_the_cluster() {
        let named = STAGES.iter().map(|stage| stage.run == When::Named);
        assert!(named.is_sorted());
        let empty = STAGES.iter().map(|stage| stage.release == Release::InRegistry);
        assert_eq!(empty.filter(|empty| *empty).count(), 1);
        assert_eq!(stage("registry::helm_4_installs"), STAGES[STAGES.len() - 1].name);
        for (path, expected) in [
            ("registry::helm_4_installs", false),
            ("before_release::identity::a", false),
            ("disruption::before_release::outage::a", false),
            ("installation::check::a", true),
            ("rights_in_use::a", true),
        ] {
            assert_eq!(is_in_whole_runs(path), expected, "{path}");
        }
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
        let [replicas, another, definitions, webhook] = [
            "disruption::replicas::a",
            "disruption::another_build::a",
            "disruption::definitions::a",
            "admission_down::a",
        ]
        .map(Placement::of);
        let left = [webhook, definitions, replicas, another];
        assert!(replicas.may_begin(&[], &left) && another.may_begin(&[], &left));
        assert!(!definitions.may_begin(&[], &left) && !webhook.may_begin(&[], &left));
        assert!(!definitions.may_begin(&[another], &[webhook]));
        assert!(definitions.may_begin(&[replicas], &[webhook, definitions]));
        assert!(webhook.may_begin(&[replicas], &[]));
        // Two of the same position: the first one in the list.
        assert!(definitions.may_begin(&[], &[definitions, webhook]));
    }
}
