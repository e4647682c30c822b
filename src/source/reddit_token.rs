//! Tokens for Reddit's API: asked for once, kept in memory, never shown.
//!
//! Application-only access; there is no refresh token, a new one is asked for a minute before
//! the old one ends. Everyone who reads with the same credentials shares one token, and while
//! one asks for it the others wait. Blocks on the network.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};

use super::reddit::RedditDef;
use super::reddit_api::{Api, Halt};
use crate::http::Request;

/// A token is not used in its last minute.
const EARLY_MS: i64 = 60_000;
/// How long a token lives when Reddit does not say.
const USUAL_S: i64 = 3_600;
/// What Reddit documents for devices that must not be told apart.
const NO_DEVICE: &str = "DO_NOT_TRACK_THIS_DEVICE";
/// What the standard says is wrong with who asks, and not with the server.
const REFUSED: [&str; 8] = [
    "access_denied",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
];

/// The process's tokens. One for all readings: `Arc<TokenStore>`.
#[derive(Default)]
pub struct TokenStore {
    tokens: Mutex<Tokens>,
}

#[derive(Default)]
struct Tokens {
    last: u64,
    kept: HashMap<[u8; 32], Token>,
}

/// One token, which knows how often tokens were asked for before it.
#[derive(Clone)]
pub(super) struct Token {
    number: u64,
    pub text: SecretString,
    until_ms: i64,
}

impl std::fmt::Debug for TokenStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenStore")
    }
}

impl TokenStore {
    /// No tokens yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The token for these credentials, asked for when there is none that lasts.
    pub(super) fn token(&self, api: &Api<'_>) -> Result<Token, Halt> {
        let key = key(api.def());
        // Held while asking: whoever comes second takes what the first one got.
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = tokens.kept.get(&key)
            && api.steady_ms() < token.until_ms
        {
            return Ok(token.clone());
        }
        let (text, lasts_ms) = ask(api)?;
        tokens.last += 1;
        let token = Token { number: tokens.last, text, until_ms: api.steady_ms().saturating_add(lasts_ms) };
        tokens.kept.insert(key, token.clone());
        Ok(token)
    }

    /// Forgets a token that was refused, unless there is a newer one already.
    pub(super) fn refused(&self, def: &RedditDef, token: &Token) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key(def);
        if tokens.kept.get(&key).is_some_and(|kept| kept.number == token.number) {
            tokens.kept.remove(&key);
        }
    }
}

fn key(def: &RedditDef) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let device = def.device_id.as_deref().unwrap_or_default();
    for part in
        [def.token_url.as_str(), def.client_id.expose_secret(), def.client_secret.expose_secret(), device]
    {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// Asks for a token. Says how long it may be used.
fn ask(api: &Api<'_>) -> Result<(SecretString, i64), Halt> {
    let def = api.def();
    let request = Request::post(&def.token_url)
        .basic_auth(def.client_id.expose_secret(), def.client_secret.clone())
        .header("user-agent", &def.user_agent)
        .accept("application/json")
        .no_redirects()
        // A second token for the same question does no harm.
        .idempotent();
    // Without a secret, or with a device, it is an installed app.
    let installed = def.device_id.is_some() || def.client_secret.expose_secret().is_empty();
    let request = if installed {
        request.form([
            ("grant_type", "https://oauth.reddit.com/grants/installed_client"),
            ("device_id", def.device_id.as_deref().unwrap_or(NO_DEVICE)),
        ])
    } else {
        request.form([("grant_type", "client_credentials")])
    };
    let response = api.send(request)?;
    let status = response.status();
    match status {
        200..=299 => {}
        400 | 401 | 403 => return Err(Halt::blocked(format!("credentials refused (HTTP {status})"))),
        _ => return Err(Halt::failed(format!("HTTP {status} instead of a token"))),
    }
    let answer: Answer = response
        .json()
        .map_err(|error| Halt::failed(format!("no token: {}", super::reddit_api::shape(&error))))?;
    if let Some(error) = answer.error.as_str() {
        return Err(match REFUSED.iter().find(|known| **known == error) {
            Some(known) => Halt::blocked(format!("credentials refused ({known})")),
            None => Halt::failed("Reddit answered with an error instead of a token"),
        });
    }
    let token = match answer.access_token {
        Some(token) if answer.error.is_null() && !token.expose_secret().is_empty() => token,
        _ => return Err(Halt::failed("Reddit answered without a token")),
    };
    let lasts_s = answer.expires_in.as_f64().map_or(USUAL_S, |s| s.clamp(0.0, 1e6) as i64);
    Ok((token, (lasts_s * 1000 - EARLY_MS).max(lasts_s * 500)))
}

#[derive(serde::Deserialize)]
struct Answer {
    #[serde(default, deserialize_with = "secret")]
    access_token: Option<SecretString>,
    #[serde(default)]
    expires_in: serde_json::Value,
    #[serde(default)]
    error: serde_json::Value,
}

fn secret<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<SecretString>, D::Error> {
    use serde::Deserialize;
    Ok(Option::<String>::deserialize(d)?.map(SecretString::from))
}
