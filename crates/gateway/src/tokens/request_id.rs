//! current request -> its identifier in pages, log and audit log (pure but for randomness).
//!
//! tower-http makes one for every request and carries it in headers. This one is made on demand and reaches the audit log.

use std::cell::OnceCell;

use crate::tokens::random::random;

tokio::task_local! {
    static CURRENT: OnceCell<String>;
}

/// Runs what belongs to one request. The identifier is made when it is first asked for: most requests need none.
pub(crate) async fn scope<F: Future>(request: F) -> F::Output {
    CURRENT.scope(OnceCell::new(), request).await
}

/// 16 hexadecimal digits, the same for all that happens in one [`scope`]; outside of any, others each time. Ours alone: what a client
/// calls its request is nobody's business.
pub(crate) fn current() -> String {
    CURRENT
        .try_with(|id| id.get_or_init(fresh).clone())
        .unwrap_or_else(|_| fresh())
}

/// Zeros where the system gives no random bytes, which must not keep anything from being answered.
fn fresh() -> String {
    let bytes = random::<8>().unwrap_or_default();
    format!("{:016x}", u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_that_happens_in_one_request_has_one_identifier_and_the_next_another() {
        let one = scope(async { (current(), current()) }).await;
        let other = scope(async { current() }).await;
        assert_eq!(one.0, one.1);
        assert_ne!(one.0, other);
        assert_ne!(current(), current(), "outside of requests");
        assert!(one.0.len() == 16 && one.0.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
