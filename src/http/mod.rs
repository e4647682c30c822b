//! The one HTTP client: deadlines, retries, pace, body caps, the address guard, no leaked secrets.
//!
//! ```no_run
//! # async fn example(token: secrecy::SecretString) -> Result<(), Box<dyn std::error::Error>> {
//! use rxpulse::http::{Client, ClientOptions, Request};
//! let client = Client::new(ClientOptions::default())?;
//! let request = Request::get("https://example.com/new?limit=100").accept("application/json");
//! let response = client.send(request.secret_header("authorization", token)).await?;
//! let page: serde_json::Value = response.json()?;
//! # Ok(()) }
//! ```
//!
//! An answer that a caller can act on (200, 304, 401, 404, …) is a [`Response`]. What is worth
//! another try (429, 5xx, lost connections) is tried again, and is an [`HttpError`] when the
//! tries are spent. A person's base URL that points at a private address works only when that
//! host is permitted in [`AddressRule`].
//!
//! Invariants: a server is never asked again sooner than its `Retry-After`; no connection is
//! made to an address that is not public and not permitted, at any hop; no more than the cap of
//! a body is held; no query string, header value or body stands in an error, a log or a
//! [`Call`]; every request that was made is told to the observer exactly once, also when its
//! future is dropped.
//!
//! Knows nothing of who calls. [`Client`] is async; [`BlockingClient`] blocks its thread.

mod address;
mod blocking;
mod body;
mod call;
mod charset;
mod client;
mod error;
mod exchange;
#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod hooks;
mod options;
mod rate;
mod redirect;
mod request;
mod response;
mod retry;
mod robots;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_address;
#[cfg(test)]
mod tests_faults;

pub use address::AddressRule;
pub use blocking::BlockingClient;
pub use call::{Call, Observer};
pub use client::Client;
pub use error::{ErrorKind, HttpError};
pub use hooks::Hooks;
pub use options::ClientOptions;
pub use request::Request;
pub use reqwest::Method;
pub use response::Response;
pub use robots::{Robots, RobotsVerdict};
