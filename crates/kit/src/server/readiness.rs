//! Named conditions -> ready, or the names of what is missing (pure).

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;

/// Conditions that must hold before the process takes traffic. Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    gates: Arc<Mutex<Vec<Gate>>>,
    set_problem: Arc<Mutex<Option<String>>>,
}

/// One condition of a [`Readiness`]. It starts closed.
#[derive(Clone, Debug)]
pub struct Gate {
    name: &'static str,
    open: Arc<AtomicBool>,
}

impl Readiness {
    /// Adds a condition. Its name completes the text "waiting for".
    pub fn gate(&self, name: &'static str) -> Gate {
        let gate = Gate {
            name,
            open: Arc::default(),
        };
        self.gates.lock().push(gate.clone());
        gate
    }

    /// Sets a problem that does not stop the process from taking traffic. `None`: the problem is solved.
    pub fn set_problem(&self, set_problem: Option<String>) {
        *self.set_problem.lock() = set_problem;
    }

    /// The problem that the process has although it is ready.
    pub fn problem(&self) -> Option<String> {
        self.set_problem.lock().clone()
    }

    /// Names of the conditions that do not hold.
    pub fn missing(&self) -> Vec<&'static str> {
        let gates = self.gates.lock();
        gates
            .iter()
            .filter(|gate| !gate.is_open())
            .map(|gate| gate.name)
            .collect()
    }
}

impl Gate {
    /// Marks the condition as true.
    pub fn open(&self) {
        self.open.store(true, Ordering::Release);
    }

    /// Marks the condition as false.
    pub fn close(&self) {
        self.open.store(false, Ordering::Release);
    }

    /// Whether the condition holds.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_ready_only_while_every_gate_is_open() {
        let readiness = Readiness::default();
        let (cache, certificate) = (readiness.gate("the cache"), readiness.gate("the certificate"));
        cache.open();
        assert_eq!(readiness.missing(), ["the certificate"]);
        certificate.open();
        assert!(readiness.missing().is_empty());
        cache.close();
        assert_eq!(readiness.missing(), ["the cache"]);
    }
}
