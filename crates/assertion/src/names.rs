//! Meaning -> the name that pods and servers use for it (pure).

/// Header of a request to a workspace: the user, as the sender attests.
pub const ASSERTION_HEADER: &str = "workspace-assertion";
/// Issuer of the gateway's assertions. Also its field manager and user agent.
pub const GATEWAY: &str = "jupyter-k8s-gateway";
/// Issuer of the operator's assertions. Also its field manager for children and finalizers, and its user agent.
pub const OPERATOR: &str = "jupyter-k8s-operator";
/// File with the gateway's keys, a JSON Web Key Set, in the folder of [`ASSERTION_KEYS_VARIABLE`].
pub const GATEWAY_KEYS: &str = "gateway.json";
/// File with the operator's keys.
pub const OPERATOR_KEYS: &str = "operator.json";
/// Environment variable with the location of the keys that verify assertions: a folder, or [`NO_ASSERTIONS`]. Only the operator sets it.
pub const ASSERTION_KEYS_VARIABLE: &str = "WORKSPACE_ASSERTION_KEYS";
/// Value of [`ASSERTION_KEYS_VARIABLE`] if the gateway does not decide who may connect.
pub const NO_ASSERTIONS: &str = "none";
/// Environment variable with the workspace's UID: the audience of assertions for it. Only the operator sets it.
pub const UID_VARIABLE: &str = "WORKSPACE_UID";
/// Environment variable of the application: the path of its URL, with `/` at both ends. Set unless it is `/` (routing mode Path).
pub const BASE_PATH_VARIABLE: &str = "WORKSPACE_BASE_PATH";
/// Environment variable of the application and of ssh sessions: a door runs. The image's Jupyter starts one where it is missing.
pub const DOOR_VARIABLE: &str = "WORKSPACE_DOOR";
/// Environment variable of the application in recovery: where the disk is, because the home is empty. Only the operator sets it.
pub const RECOVERY_DISK_VARIABLE: &str = "WORKSPACE_RECOVERY_DISK";
/// Termination message of a workspace's container that ended with exit code 0 because its user wants the workspace stopped.
pub const STOP_REQUEST: &str = "stop-workspace";
/// Header of a pod's answer to the operator: when ssh was last used, as RFC 3339. None: not since the start.
pub const LAST_ACTIVITY_HEADER: &str = "workspace-last-activity";
/// Header of each answer of a door to the operator, also of a refusal: it answers [`DOOR_ACTIVITY`] with the times of the last use.
pub const DOOR_HEADER: &str = "workspace-door";
/// Path of the door below the workspace's base path: when a user last did something, and when a page was last open.
pub const DOOR_ACTIVITY: &str = "jupyter-k8s/activity";
/// Header by which the door tells the operator when a process of the container was last ended because memory ran out, as RFC 3339.
pub const OUT_OF_MEMORY_HEADER: &str = "workspace-out-of-memory";
/// Header by which the operator tells a door which stop the status announces: time (RFC 3339, whole seconds), rule, and `true` if files are lost.
pub const STOPS_AT_HEADER: &str = "workspace-stops-at";
/// The rule in [`STOPS_AT_HEADER`] whose time an act of a user moves.
pub const IDLE_RULE: &str = "Idle";
/// Headers about one connection, which nobody hands on (RFC 9110, section 7.6.1).
pub const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "upgrade",
    "te",
    "trailer",
    "transfer-encoding",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "keep-alive",
    "http2-settings",
];

/// Why the door ends a connection by ssh: the code of its close frame (RFC 6455, section 7.4.2). A pod without a door can send any of them,
/// so clients have their own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum SshRefusal {
    /// All connections are taken.
    Full = 4100,
    /// Those of guests are taken.
    FullOfGuests = 4101,
    /// The image has no server.
    NoServer = 4102,
    /// The pod's user has no entry in the image's `/etc/passwd`.
    NoAccount = 4103,
    /// The pod's user has a password there.
    Password = 4104,
    /// Host keys and settings cannot be written.
    NotWritable = 4105,
    /// There is no space for them.
    DiskFull = 4106,
    /// There is no memory for a process, or no process is left.
    NoMemory = 4107,
    /// The server cannot be run, or ended without a word.
    Failed = 4108,
}

impl SshRefusal {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Full,
        Self::FullOfGuests,
        Self::NoServer,
        Self::NoAccount,
        Self::Password,
        Self::NotWritable,
        Self::DiskFull,
        Self::NoMemory,
        Self::Failed,
    ];

    /// The one with this code.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| *refusal as u16 == code)
    }
}
