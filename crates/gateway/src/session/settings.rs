//! command line and environment -> how long sessions and tickets last, checked (pure).

use kit::process::InvalidSetting;

use super::content::Lifetimes;

/// How long users stay signed in.
#[derive(Debug, Clone, clap::Args)]
pub struct SessionLimits {
    /// Minutes after which a user must sign in again in any case; at most 1440.
    #[arg(long, env = "SESSION_LIFETIME_MINUTES", default_value_t = 12 * 60)]
    pub session_lifetime_minutes: u32,

    /// Minutes without a request after which a session ends. The last use is recorded to within an eighth of this.
    #[arg(long, env = "SESSION_IDLE_MINUTES", default_value_t = 2 * 60)]
    pub session_idle_minutes: u32,

    /// Minutes for which a session is valid without a new confirmation by the provider: while the provider cannot be reached, or if
    /// it issues no refresh tokens.
    #[arg(long, env = "SESSION_MAX_UNREFRESHED_MINUTES", default_value_t = 60)]
    pub session_max_unrefreshed_minutes: u32,

    /// Lifetime of a workspace's cookie in seconds, 60 to 900. Requests renew it while the session lasts. A copied cookie expires
    /// after this time.
    #[arg(long, env = "SESSION_TICKET_SECONDS", default_value_t = 900)]
    pub session_ticket_seconds: u32,
}

/// Maximum lifetime of a session, in minutes. Sealing keys are kept this long, so a longer session could not be opened.
const LONGEST: u32 = 24 * 60;

/// Lifetime of a ticket, in seconds. JupyterLab sends requests twice a minute, which renew it.
const TICKETS: std::ops::RangeInclusive<u32> = 60..=900;

impl SessionLimits {
    /// Checks the settings.
    ///
    /// # Errors
    /// A value is out of its range; the error names it.
    pub(crate) fn limits(&self) -> Result<Lifetimes, InvalidSetting> {
        let table = [
            ("session-lifetime-minutes", self.session_lifetime_minutes),
            ("session-idle-minutes", self.session_idle_minutes),
            (
                "session-max-unrefreshed-minutes",
                self.session_max_unrefreshed_minutes,
            ),
        ];
        for (setting, minutes) in table {
            // A renewal must fit in this time.
            if !(10..=LONGEST).contains(&minutes) {
                return Err(InvalidSetting::new(
                    setting,
                    format!("{minutes} is not between 10 and {LONGEST}"),
                ));
            }
        }
        let ticket = self.session_ticket_seconds;
        if !TICKETS.contains(&ticket) {
            let rule = format!(
                "{ticket} is not between {} and {}",
                TICKETS.start(),
                TICKETS.end()
            );
            return Err(InvalidSetting::new("session-ticket-seconds", rule));
        }
        let [life, idle, unrefreshed] = table.map(|(_, minutes)| i64::from(minutes) * 60);
        Ok(Lifetimes {
            life,
            idle,
            unrefreshed,
            ticket: ticket.into(),
        })
    }
}
