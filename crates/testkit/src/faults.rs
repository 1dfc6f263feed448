//! What may go wrong between a client and the API server in memory (a leaf: shared data, no logic).

use std::{fmt, time::Duration};

use http::Method;

use crate::api_server::ApiServer;

/// An answer that the server gives in place of doing what it is asked.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Calls that it hits.
    pub method: Method,
    /// Part of the path of the calls that it hits.
    pub path_part: &'static str,
    /// HTTP status code of the answer.
    pub code: u16,
    /// `reason` of the Status object in the answer.
    pub reason: &'static str,
    /// `message` of the Status object in the answer.
    pub message: String,
    /// How often it strikes before it is spent.
    pub times: usize,
}

impl Fault {
    /// The API server's own failure: 500.
    pub fn internal(method: Method, path_part: &'static str, times: usize) -> Self {
        Self {
            method,
            path_part,
            code: 500,
            reason: "InternalError",
            message: "etcd is gone".to_owned(),
            times,
        }
    }
}

/// What happens, once, to a call on its way.
pub enum Hindrance {
    /// It is done and answered after this time.
    Late(Duration),
    /// It is done, after this time, although whoever asked has long given up: no answer.
    Unanswered(Duration),
    /// It reaches nobody: not done, and an error for whoever asked.
    Lost,
    /// It reaches nobody and nobody says so: the connection is dead.
    Silence,
    /// Just before it is done, somebody else acts.
    Meanwhile(Box<dyn FnOnce(&ApiServer) + Send>),
}

impl fmt::Debug for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Late(_) => "Late",
            Self::Unanswered(_) => "Unanswered",
            Self::Lost => "Lost",
            Self::Silence => "Silence",
            Self::Meanwhile(_) => "Meanwhile",
        })
    }
}

/// How long the process lives that a client belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// It dies at this call, counted from 1; no later one reaches the server.
    pub calls: usize,
    /// Whether the server still does what that last call asks.
    pub last_is_done: bool,
}
