//! Leaf of the chart's values, beside what servers are -> what becomes of it (pure).

use crate::table::Rule::{Code, Lost, Same, SameIf, Stays};
use crate::table::Table;

const POLICY: &str = "the manager's networkPolicy says it here: egress to public addresses alone (PublicInternet), Any or None";
const CLAIMS: &str = "claims stay as they are; a disk of a workspace has the labels of the workspace's own";
const FILE: &str = "a file must have a mountPath and one of stringData, data and binaryData";
const PULLER: &str = "the label workspaces.jupyter.org/pre-pull of a template pulls its images to the nodes";
const ROOM: &str =
    "the label workspaces.jupyter.org/pre-pull of a template keeps room: see docs/templates.md";
const SCHEDULER: &str = "workspaces have the cluster's scheduler";
const PULL_SECRET: &str = "make the Secret with the registry's credentials, and name it in the execution profile's imagePullSecrets";
const OF_HUB: &str = "the hub's own";
const GONE: &str = "goes with the hub: nothing here needs it";
const OIDC: &str = "users sign in at the gateway by OpenID Connect: oidc.issuerUrl, oidc.clientId and the client's Secret of the chart";
const WHO: &str = "the provider says who signs in (oidc.allowedGroups, oidc.allowedEmailDomains); Roles say who uses a template";
const ADMINS: &str = "authorization.adminUsers of a WorkspaceManager lets them in everywhere; a binding of the ClusterRole of administrators lets them manage";
const CODE: &str = "no hub runs it: its effect on servers belongs into a template, its effect on sign-in into the gateway's settings";
const QUOTA: &str = "a ResourceQuota of the users' namespace bounds workspaces (userNamespaces of the chart)";
const TLS: &str = "hosts and TLS are the installation's: routing.baseDomain of the chart";
const USERS: &str = "users are the provider's: none is deleted here";

/// What servers are, for either fate of the hub.
pub(super) const SERVERS: &Table = &[
    ("singleuser.profileList", Code),
    ("singleuser.image.name", Code),
    ("singleuser.image.tag", Code),
    ("singleuser.imagePullSecret", Lost(PULL_SECRET)),
    ("singleuser.extraFiles", Code),
    (
        "singleuser.cloudMetadata.blockWithIptables",
        Same(
            "no pod reaches the addresses of metadata: the manager's network policy leaves them out, without a privileged container",
        ),
    ),
    (
        "singleuser.cloudMetadata.enabled",
        SameIf(
            &["false"],
            "no pod reaches the addresses of metadata: allow them by egress Any of a manager's networkPolicy",
        ),
    ),
    (
        "singleuser.cloudMetadata.ip",
        SameIf(&["169.254.169.254"], POLICY),
    ),
    (
        "singleuser.networkTools",
        Same("no container sets up the network: network policies do"),
    ),
    (
        "singleuser.networkPolicy.enabled",
        SameIf(
            &["true"],
            "the manager's networkPolicy.enabled: false takes the policies away",
        ),
    ),
    (
        "singleuser.networkPolicy.egressAllowRules.nonPrivateIPs",
        SameIf(&["true"], POLICY),
    ),
    (
        "singleuser.networkPolicy.egressAllowRules.privateIPs",
        SameIf(&["false"], POLICY),
    ),
    (
        "singleuser.networkPolicy.egressAllowRules.cloudMetadataServer",
        SameIf(&["false"], POLICY),
    ),
    (
        "singleuser.networkPolicy.egressAllowRules.dnsPortsKubeSystemNamespace",
        SameIf(
            &["true"],
            "names are resolved where the manager's networkPolicy.dns says",
        ),
    ),
    (
        "singleuser.networkPolicy.egressAllowRules",
        Same("names are resolved where the manager's networkPolicy.dns says"),
    ),
    (
        "singleuser.networkPolicy.interNamespaceAccessLabels",
        SameIf(
            &["ignore"],
            "the manager's networkPolicy.ingressFrom says who connects",
        ),
    ),
    (
        "singleuser.networkPolicy.allowedIngressPorts",
        Lost("one port is open here: let the program serve the rest below it"),
    ),
    (
        "singleuser.networkPolicy.ingress",
        Lost("the manager's networkPolicy.ingressFrom says who connects"),
    ),
    ("singleuser.networkPolicy", Lost(POLICY)),
    (
        "singleuser.events",
        Same("steps and reasons of a start are in the workspace's status"),
    ),
    ("singleuser.podNameTemplate", Same("the operator names pods")),
    ("singleuser.storage.type", Code),
    ("singleuser.storage.static", Code),
    ("singleuser.storage.capacity", Code),
    ("singleuser.storage.homeMountPath", Code),
    ("singleuser.storage.dynamic.storageClass", Code),
    ("singleuser.storage.dynamic.pvcNameTemplate", Code),
    (
        "singleuser.storage.dynamic.volumeNameTemplate",
        Same("the operator names volumes"),
    ),
    (
        "singleuser.storage.dynamic.storageAccessModes[0]",
        SameIf(
            &["ReadWriteOnce"],
            "a workspace's own disk is ReadWriteOnce: make claims of another mode yourself, and name them by storage.claimName",
        ),
    ),
    (
        "singleuser.storage.dynamic.subPath",
        Lost("a disk of its own is mounted whole: storage.subPath of a Workspace names a folder of a claim"),
    ),
    ("singleuser.storage.extraLabels", Lost(CLAIMS)),
    ("imagePullSecret", Lost(PULL_SECRET)),
    ("imagePullSecrets", Code),
    ("prePuller.hook.enabled", SameIf(&["false"], PULLER)),
    ("prePuller.continuous.enabled", SameIf(&["false"], PULLER)),
    ("prePuller", Lost(PULLER)),
    ("scheduling.userScheduler.enabled", SameIf(&["false"], SCHEDULER)),
    ("scheduling.userScheduler", Lost(SCHEDULER)),
    ("scheduling.userPlaceholder.enabled", SameIf(&["false"], ROOM)),
    ("scheduling.userPlaceholder.replicas", SameIf(&["0"], ROOM)),
    ("scheduling.userPlaceholder", Lost(ROOM)),
    (
        "scheduling.podPriority.enabled",
        SameIf(
            &["false"],
            "name a PriorityClass of yours in the execution profile's priorityClassName",
        ),
    ),
    (
        "scheduling.podPriority",
        Lost("name a PriorityClass of yours in the execution profile's priorityClassName"),
    ),
    ("scheduling.userPods", Code),
    ("scheduling.corePods", Stays(OF_HUB)),
];

/// Where the hub stays.
pub(super) const KEEP: &Table = &[
    (
        "hub.baseUrl",
        Stays("the hub's own; profiles.yaml has it in the audience of tokens"),
    ),
    (
        "hub.networkPolicy.ingress",
        Lost("hub-values.yaml has a list of its own, which takes the place of this one: add yours there"),
    ),
    ("hub", Stays("the hub's own")),
    (
        "proxy.https.type",
        SameIf(
            &["manual", "offload", "secret"],
            "Let's Encrypt needs a Role on Secrets, which hub-values.yaml turns off with all others: see docs/zero-to-jupyterhub.md",
        ),
    ),
    ("proxy", Stays(OF_HUB)),
    (
        "cull",
        Stays("the hub's culler works as it is; idle shutdown is off in the templates"),
    ),
    ("rbac", Stays("hub-values.yaml turns the chart's Roles off")),
    (
        "fullnameOverride",
        SameIf(
            &["", "null"],
            "hub-values.yaml and rights.yaml name the usual hub: write its name there",
        ),
    ),
    (
        "nameOverride",
        SameIf(
            &["", "null", "jupyterhub"],
            "hub-values.yaml and rights.yaml name the usual hub: write its name there",
        ),
    ),
    ("auth", Stays(OF_HUB)),
    ("ingress", Stays(OF_HUB)),
    ("httpRoute", Stays(OF_HUB)),
    ("debug", Stays(OF_HUB)),
    ("custom", Stays(OF_HUB)),
    ("global", Stays(OF_HUB)),
    ("enabled", Stays(OF_HUB)),
];

/// Where the hub goes.
pub(super) const REPLACE: &Table = &[
    ("cull.enabled", Code),
    ("cull.timeout", Code),
    ("cull.maxAge", Code),
    ("cull.users", SameIf(&["false"], USERS)),
    (
        "cull.adminUsers",
        SameIf(
            &["true"],
            "workspaces of administrators are stopped as others are: a template of their own says otherwise",
        ),
    ),
    (
        "cull.removeNamedServers",
        SameIf(
            &["false"],
            "a stopped workspace stays: who needs it no more deletes it",
        ),
    ),
    ("cull", Same("the operator looks by itself")),
    ("hub.config.*.allowed_users", Code),
    ("hub.config.*.admin_users", Code),
    ("hub.config.*.allow_all", Lost(WHO)),
    ("hub.config.*.allowed_groups", Lost(WHO)),
    ("hub.config.*.admin_groups", Lost(ADMINS)),
    ("hub.config.*.blocked_users", Lost(WHO)),
    ("hub.config.JupyterHub.admin_access", Lost(ADMINS)),
    ("hub.config", Lost(OIDC)),
    ("hub.extraConfig", Lost(CODE)),
    ("hub.extraFiles", Lost(CODE)),
    (
        "hub.services",
        Lost("no hub starts services: deploy them with an account of their own"),
    ),
    (
        "hub.loadRoles",
        Lost("rights are Kubernetes' Roles here: see docs/rights.md"),
    ),
    (
        "hub.allowNamedServers",
        Same("a user may have several workspaces"),
    ),
    ("hub.namedServerLimitPerUser", Lost(QUOTA)),
    ("hub.activeServerLimit", Lost(QUOTA)),
    (
        "hub.concurrentSpawnLimit",
        Same("the operator starts what the cluster has room for"),
    ),
    ("hub.templatePaths", Lost("pages are the portal's")),
    ("hub.templateVars", Lost("pages are the portal's")),
    (
        "hub.db",
        Stays("the hub's database goes with it: keep a copy, which names all users and servers"),
    ),
    ("hub", Stays(GONE)),
    ("auth.whitelist.users", Code),
    ("auth.allowedUsers", Code),
    ("auth.admin.users", Code),
    ("auth.admin", Lost(ADMINS)),
    ("auth", Lost(OIDC)),
    ("proxy.https.hosts", Lost(TLS)),
    ("proxy.https", Lost(TLS)),
    ("proxy", Stays(GONE)),
    ("ingress", Lost(TLS)),
    ("httpRoute", Lost(TLS)),
    ("rbac", Stays(GONE)),
    ("fullnameOverride", Stays(GONE)),
    ("nameOverride", Stays(GONE)),
    ("debug", Stays(GONE)),
    ("custom", Lost(CODE)),
    ("global", Stays("the chart's own")),
    ("enabled", Stays("the chart's own")),
];

/// What the code leaves. Patterns are below the chart's values.
pub(super) const REASONS: &[(&str, &str)] = &[
    ("hub.config.*.allowed_users", WHO),
    ("hub.config.*.admin_users", ADMINS),
    ("auth.admin.users", ADMINS),
    ("auth.whitelist.users", WHO),
    ("auth.allowedUsers", WHO),
    ("singleuser.extraFiles", FILE),
];
