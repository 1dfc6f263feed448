//! current request -> its identifier in pages, log and audit log (pure but for randomness).
//!
//! `SetRequestIdLayer` of tower-http makes one for every request, or keeps the one that the client sent. This one is made on demand,
//! ignores the client's, and reaches the audit log without being passed along.

use std::cell::OnceCell;

use crate::tokens::random::random;

tokio::task_local! {
    static CURRENT: OnceCell<String>;
}

/// Runs the code of one request. The identifier is made on first use: most requests need none.
pub(crate) async fn scope<F: Future>(request: F) -> F::Output {
    CURRENT.scope(OnceCell::new(), request).await
}

/// 16 hexadecimal digits, the same throughout one [`scope`]; outside of any, new ones each time. Always made here: an identifier
/// from the client is ignored.
pub(crate) fn current() -> String {
    CURRENT
        .try_with(|id| id.get_or_init(fresh).clone())
        .unwrap_or_else(|_| fresh())
}

/// Zeros if the system provides no random bytes, so that the request is still answered.
fn fresh() -> String {
    let bytes = random::<8>().unwrap_or_default();
    format!("{:016x}", u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_request_has_its_own_id() {
        let one = scope(async { (current(), current()) }).await;
        let other = scope(async { current() }).await;
        assert_eq!(one.0, one.1);
        assert_ne!(one.0, other);
        assert_ne!(current(), current(), "outside of requests");
        assert!(one.0.len() == 16 && one.0.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
