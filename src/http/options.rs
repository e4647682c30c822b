//! How a client behaves unless a request says otherwise.

use std::time::Duration;

use super::{AddressRule, Hooks};

/// How a [`Client`](super::Client) behaves. Change what differs:
/// `ClientOptions { max_attempts: 3, ..ClientOptions::default() }`.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Name, connection and TLS must be done within this: 10 s.
    pub connect_deadline: Duration,
    /// The answer's headers must arrive within this, counted from the beginning of the call: 30 s.
    pub first_byte_deadline: Duration,
    /// No pause within a body may be longer than this: 30 s.
    pub idle_deadline: Duration,
    /// One HTTP call must be over within this, body and all: 120 s. Every hop of a redirect and
    /// every try is a call of its own. Waits between calls do not count.
    pub total_deadline: Duration,
    /// The longest body that is taken, in bytes after decompression: 64 MiB.
    pub body_cap: u64,
    /// How often a request is tried in all: 5.
    pub max_attempts: u32,
    /// How long one request may wait in all between its tries, and the longest wait for its turn
    /// at a host: 15 min. What would take longer fails at once and says until when.
    pub max_wait: Duration,
    /// Calls to one host at the same time: 4. A host is a name with a port.
    pub max_concurrent_per_host: usize,
    /// The least time between the beginnings of two calls to one host: none.
    pub spacing: Duration,
    /// `rxpulse/VERSION`.
    pub user_agent: String,
    /// Which addresses may be reached: public ones.
    pub allow: AddressRule,
    /// Refuses `http://` except for permitted hosts: no.
    pub https_only: bool,
    /// Time, waiting, chance, names: the real ones.
    pub hooks: Hooks,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_deadline: Duration::from_secs(10),
            first_byte_deadline: Duration::from_secs(30),
            idle_deadline: Duration::from_secs(30),
            total_deadline: Duration::from_secs(120),
            body_cap: 64 << 20,
            max_attempts: 5,
            max_wait: Duration::from_secs(15 * 60),
            max_concurrent_per_host: 4,
            spacing: Duration::ZERO,
            user_agent: concat!("rxpulse/", env!("CARGO_PKG_VERSION")).to_owned(),
            allow: AddressRule::PublicOnly,
            https_only: false,
            hooks: Hooks::default(),
        }
    }
}
