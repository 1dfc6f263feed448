//! Failure that a test wants -> its description for the in-memory API server (pure).
//!
//! This file contains shared types without logic.

use std::{fmt, time::Duration};

use http::Method;

use super::ApiServer;

/// An answer that the server gives instead of processing the request.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Method of the affected calls.
    pub method: Method,
    /// Part of the path of the affected calls.
    pub path_part: &'static str,
    /// HTTP status code of the answer.
    pub code: u16,
    /// `reason` of the `Status` object in the answer.
    pub reason: &'static str,
    /// `message` of the `Status` object in the answer.
    pub message: String,
    /// Number of calls that it affects.
    pub times: usize,
}

impl Fault {
    /// An internal error of the API server: 500.
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

    /// A refusal of the API server with this message: 403.
    pub fn forbidden(method: Method, path_part: &'static str, message: &str, times: usize) -> Self {
        Self {
            code: 403,
            reason: "Forbidden",
            message: message.to_owned(),
            ..Self::internal(method, path_part, times)
        }
    }
}

/// A failure of one call.
pub enum Disruption {
    /// The server processes the call and answers after this time.
    Late(Duration),
    /// The server processes the call after this time, but the caller has given up: there is no answer.
    Unanswered(Duration),
    /// The call does not reach the server. The caller gets an error.
    Lost,
    /// The call does not reach the server, and the caller gets no error: the connection is dead.
    NoAnswer,
    /// Another client acts just before the server processes the call.
    Meanwhile(Box<dyn FnOnce(&ApiServer) + Send>),
}

impl fmt::Debug for Disruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Late(_) => "Late",
            Self::Unanswered(_) => "Unanswered",
            Self::Lost => "Lost",
            Self::NoAnswer => "NoAnswer",
            Self::Meanwhile(_) => "Meanwhile",
        })
    }
}

/// How long the process of a client lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// It dies at this call, counted from 1. No later call reaches the server.
    pub calls: usize,
    /// Whether the server still processes that last call.
    pub last_is_done: bool,
}
