//! Plan -> requests, and a line for each: due time, status, duration (microseconds) (IO).
//!
//! With a rate, each request has a due time that does not depend on earlier requests. Its duration counts from then. So a server that
//! stalls gets as many requests, and the figures include their wait.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;

use crate::text;
use crate::wire::Connection;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    address: SocketAddr,
    /// Name in the server's certificate.
    name: String,
    /// Authority of that certificate, PEM.
    authority: PathBuf,
    /// Certificate and key of the client, PEM.
    client: Option<[PathBuf; 2]>,
    /// Connections, each with one request at a time.
    connections: usize,
    /// Requests per second; absent: each as soon as its connection is free.
    rate: Option<f64>,
    /// Total number of requests.
    count: usize,
    /// One request per line: path, expected part of the answer, body; separated by tabs. Used in turns.
    requests: PathBuf,
    /// Whether answers are compared with that expected part.
    check: bool,
    /// File for the lines.
    log: PathBuf,
}

struct Question {
    bytes: Vec<u8>,
    expected: String,
}

struct Answer {
    due: Duration,
    status: u16,
    took: Duration,
}

pub(crate) fn run(plan: Plan) -> anyhow::Result<()> {
    let plan = Arc::new(plan);
    let questions = Arc::new(questions(&plan)?);
    ensure!(!questions.is_empty(), "no requests");
    let config = Arc::new(client(&plan)?);
    let course = Arc::new(Course {
        next: AtomicUsize::new(0),
        connected: Barrier::new(plan.connections),
        begin: OnceLock::new(),
    });
    let workers: Vec<_> = (0..plan.connections)
        .map(|_| {
            let (plan, questions, config, course) =
                (plan.clone(), questions.clone(), config.clone(), course.clone());
            thread::spawn(move || work(&plan, &questions, config, &course))
        })
        .collect();
    let mut lines = String::new();
    for worker in workers {
        let answers = worker.join().ok().context("a connection's thread panicked")??;
        for Answer { due, status, took } in answers {
            writeln!(lines, "{}\t{status}\t{}", due.as_micros(), took.as_micros())?;
        }
    }
    fs::write(&plan.log, lines).with_context(|| plan.log.display().to_string())
}

/// State that the connections share.
struct Course {
    next: AtomicUsize,
    connected: Barrier,
    begin: OnceLock<Instant>,
}

fn work(
    plan: &Plan,
    questions: &[Question],
    config: Arc<ClientConfig>,
    course: &Course,
) -> anyhow::Result<Vec<Answer>> {
    let name = ServerName::try_from(plan.name.clone())?;
    let connection = Connection::open(plan.address, name, config);
    // Also when this connection failed: the others would wait for ever.
    course.connected.wait();
    let mut connection = connection?;
    let begin = *course.begin.get_or_init(Instant::now);
    let mut answers = Vec::new();
    loop {
        let number = course.next.fetch_add(1, Ordering::Relaxed);
        if number >= plan.count {
            return Ok(answers);
        }
        let due = match plan.rate {
            #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
            Some(rate) => begin + Duration::from_secs_f64(number as f64 / rate),
            None => Instant::now(),
        };
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let question = &questions[number % questions.len()];
        let (status, body) = connection.ask(&question.bytes)?;
        let took = due.elapsed();
        if plan.check {
            let body = String::from_utf8_lossy(body);
            ensure!(
                body.contains(&question.expected),
                "request {number} was answered {status} without {:?}: {body}",
                question.expected
            );
        }
        answers.push(Answer {
            due: due - begin,
            status,
            took,
        });
    }
}

fn questions(plan: &Plan) -> anyhow::Result<Vec<Question>> {
    let question = |line: &str| {
        let mut parts = line.splitn(3, '\t');
        let mut next = || parts.next().context("a line with fewer than three parts");
        let (path, expected, body) = (next()?, next()?, next()?);
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: bench\r\nAccept: application/json\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            plan.name,
            body.len()
        );
        Ok(Question {
            bytes: [head.as_bytes(), body.as_bytes()].concat(),
            expected: expected.to_owned(),
        })
    };
    text(&plan.requests)?.lines().map(question).collect()
}

fn client(plan: &Plan) -> anyhow::Result<ClientConfig> {
    let certificates = |pem: String| -> anyhow::Result<Vec<CertificateDer<'static>>> {
        Ok(CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>()?)
    };
    let mut roots = RootCertStore::empty();
    for authority in certificates(text(&plan.authority)?)? {
        roots.add(authority)?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots);
    Ok(match &plan.client {
        None => config.with_no_client_auth(),
        Some([certificate, key]) => {
            let key = PrivateKeyDer::from_pem_slice(text(key)?.as_bytes())?;
            config.with_client_auth_cert(certificates(text(certificate)?)?, key)?
        }
    })
}
