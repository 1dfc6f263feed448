//! named conditions -> ready or what is missing (pure).

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// What must hold before the process takes traffic. Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    gates: Arc<Mutex<Vec<Gate>>>,
    remark: Arc<Mutex<Option<String>>>,
}

/// One condition of a [`Readiness`]; it starts closed.
#[derive(Clone, Debug)]
pub struct Gate {
    name: &'static str,
    open: Arc<AtomicBool>,
}

impl Readiness {
    /// Adds a condition, named as it should read behind "waiting for".
    pub fn gate(&self, name: &'static str) -> Gate {
        let gate = Gate {
            name,
            open: Arc::default(),
        };
        self.gates
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(gate.clone());
        gate
    }

    /// Something that is wrong, although the process works and takes traffic; `None`: nothing is any more.
    pub fn remark(&self, remark: Option<String>) {
        *self.remark.lock().unwrap_or_else(PoisonError::into_inner) = remark;
    }

    /// What is wrong although the process is ready.
    pub fn remarked(&self) -> Option<String> {
        self.remark.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Names of the conditions that do not hold.
    pub fn missing(&self) -> Vec<&'static str> {
        let gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates
            .iter()
            .filter(|gate| !gate.is_open())
            .map(|gate| gate.name)
            .collect()
    }
}

impl Gate {
    /// The condition holds.
    pub fn open(&self) {
        self.open.store(true, Ordering::Release);
    }

    /// The condition no longer holds.
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
