//! command line and environment -> rate limits of the sign-in pages, checked (pure).

use std::net::IpAddr;

use kit::process::InvalidSetting;

use super::{Rate, Rates};

/// Rate limits of the sign-in host, per minute; half of it at once. Each kind of request is counted separately: beginning a login
/// or entering a workspace, ending it, starting a workspace, signing out. Requests above a limit are answered with 429.
#[derive(Debug, Clone, clap::Args)]
pub struct RequestLimits {
    /// Requests per minute of an address (of IPv6 a network of 64 bits) that is not signed in; 0: no limit. All users behind one
    /// address share it.
    #[arg(long, env = "ADDRESS_REQUESTS_PER_MINUTE", default_value_t = 600)]
    pub address_requests_per_minute: u32,

    /// Requests per minute of a session; 0: no limit.
    #[arg(long, env = "SESSION_REQUESTS_PER_MINUTE", default_value_t = 120)]
    pub session_requests_per_minute: u32,

    /// Logout messages of the identity provider, per minute and address; 0: no limit.
    #[arg(long, env = "PROVIDER_REQUESTS_PER_MINUTE", default_value_t = 6000)]
    pub provider_requests_per_minute: u32,

    /// Networks (`10.0.0.0/8`) of proxies before the own one whose X-Forwarded-For entries are trusted (repeatable; in the
    /// environment separated by commas) [default: none].
    #[arg(long, env = "TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<String>,
}

impl RequestLimits {
    /// Checks the settings.
    ///
    /// # Errors
    /// `trusted-proxies` names something that is not a network.
    pub(crate) fn rates(&self) -> Result<Rates, InvalidSetting> {
        let named = self.trusted_proxies.iter().filter(|text| !text.is_empty());
        let trusted = named.map(|text| {
            let network = text.trim();
            let network = network.parse().or_else(|_| network.parse().map(IpAddr::into));
            network.map_err(|_| {
                let problem = format!("{text:?} must be a network such as 10.0.0.0/8 or 2001:db8::/32");
                InvalidSetting::new("trusted-proxies", problem)
            })
        });
        Ok(Rates {
            address: Rate::per_minute(self.address_requests_per_minute),
            session: Rate::per_minute(self.session_requests_per_minute),
            provider: Rate::per_minute(self.provider_requests_per_minute),
            trusted: trusted.collect::<Result<_, _>>()?,
        })
    }
}
