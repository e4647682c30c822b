//! What the client takes from the world: time, waiting, chance and names' addresses.
//!
//! Tests put their own in, so that waits of hours take no time and can be counted. Deadlines of
//! a connection are the only thing that always runs on the real clock.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;

/// A clock: milliseconds since a beginning of its own.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;
/// Waits for a duration.
pub type Sleep = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;
/// The addresses of a name, in the order of preference.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> + Send + Sync>;

/// The client's senses. [`Hooks::default`] is the real world.
#[derive(Clone)]
pub struct Hooks {
    /// The time of day, in milliseconds since 1970 (UTC).
    pub unix_ms: Clock,
    /// A clock that never jumps, in milliseconds.
    pub steady_ms: Clock,
    /// How the client waits between tries and for its turn.
    pub sleep: Sleep,
    /// A random number, at least 0 and below 1.
    pub random: Arc<dyn Fn() -> f64 + Send + Sync>,
    /// How names become addresses. What it answers is checked by the address guard.
    pub lookup: Lookup,
}

impl Default for Hooks {
    fn default() -> Self {
        let start = Instant::now();
        Self {
            unix_ms: Arc::new(|| jiff::Timestamp::now().as_millisecond()),
            steady_ms: Arc::new(move || i64::try_from(start.elapsed().as_millis()).unwrap_or(i64::MAX)),
            sleep: Arc::new(|wait| Box::pin(tokio::time::sleep(wait))),
            random: Arc::new(fastrand::f64),
            lookup: Arc::new(|name| {
                Box::pin(async move {
                    Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
                })
            }),
        }
    }
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hooks")
    }
}

/// A time that passes only by waiting, and remembers each wait.
#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct FakeTime(Arc<std::sync::Mutex<(i64, Vec<Duration>)>>);

#[cfg(test)]
impl FakeTime {
    /// 2026-11-01 00:00:00 UTC, where each fake time begins.
    pub const START_MS: i64 = 1_793_491_200_000;

    /// The waits asked for so far, in their order.
    pub fn waits(&self) -> Vec<Duration> {
        self.0.lock().unwrap().1.clone()
    }

    /// Lets time pass without a wait.
    pub fn pass(&self, time: Duration) {
        self.0.lock().unwrap().0 += time.as_millis() as i64;
    }

    /// Hooks on this time; chance always says `random`.
    pub fn hooks(&self, random: f64) -> Hooks {
        let (unix, steady, sleep) = (self.clone(), self.clone(), self.clone());
        Hooks {
            unix_ms: Arc::new(move || Self::START_MS + unix.0.lock().unwrap().0),
            steady_ms: Arc::new(move || steady.0.lock().unwrap().0),
            sleep: Arc::new(move |wait| {
                let mut at = sleep.0.lock().unwrap();
                at.0 += wait.as_nanos().div_ceil(1_000_000) as i64;
                at.1.push(wait);
                Box::pin(tokio::task::yield_now())
            }),
            random: Arc::new(move || random),
            ..Hooks::default()
        }
    }
}
