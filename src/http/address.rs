//! The address guard: which URLs and which addresses may be reached.
//!
//! Invariant: a name's addresses are checked where the connection is made from them, in the
//! resolver, so that what was checked is what is connected to. Addresses written in the URL are
//! checked after the URL was normalized, in every spelling that it knows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::hooks::Lookup;

/// Which addresses a client may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AddressRule {
    /// Public addresses only.
    #[default]
    PublicOnly,
    /// Public addresses, and these hosts whatever their address: `name`, `name:port`,
    /// `127.0.0.1:8080`, `[::1]:8080`. Without a port, all ports of that host.
    PublicAnd(Vec<String>),
}

/// A host that was permitted by name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Permit {
    host: Host<String>,
    port: Option<u16>,
}

/// The rule, ready to be asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Guard {
    permits: Vec<Permit>,
    https_only: bool,
}

impl Guard {
    /// # Errors
    ///
    /// The entry of the rule that is no host.
    pub fn new(rule: &AddressRule, https_only: bool) -> Result<Self, String> {
        let AddressRule::PublicAnd(entries) = rule else {
            return Ok(Self { permits: Vec::new(), https_only });
        };
        let permits = entries.iter().map(|entry| permit(entry).ok_or_else(|| entry.clone()));
        Ok(Self { permits: permits.collect::<Result<_, _>>()?, https_only })
    }

    /// Whether the URL's host and port were permitted by name.
    pub fn permits(&self, url: &Url) -> bool {
        let (Some(host), port) = (url.host(), url.port_or_known_default()) else { return false };
        self.permits
            .iter()
            .any(|permit| permit.host == host.to_owned() && (permit.port.is_none() || permit.port == port))
    }

    /// Everything that can be said about a URL before its name is looked up.
    ///
    /// # Errors
    ///
    /// Why it is refused.
    pub fn check(&self, url: &Url) -> Result<(), String> {
        match url.scheme() {
            "https" => {}
            "http" if !self.https_only || self.permits(url) => {}
            "http" => return Err("plain http is switched off".to_owned()),
            other => return Err(format!("`{other}:` is neither http nor https")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a user name or password stands in the URL".to_owned());
        }
        let address = match url.host() {
            None => return Err("the URL has no host".to_owned()),
            Some(Host::Domain("" | ".")) => return Err("the URL has no host".to_owned()),
            Some(Host::Domain(_)) => return Ok(()),
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
        };
        match not_public(address) {
            Some(why) if !self.permits(url) => Err(format!("{address} is {why}")),
            _ => Ok(()),
        }
    }
}

fn permit(entry: &str) -> Option<Permit> {
    let entry = entry.trim();
    if entry.is_empty() || entry.contains(['/', '@', '?', '#', '\\']) {
        return None;
    }
    let url = Url::parse(&format!("http://{entry}/")).ok()?;
    // `name:80` is the default port of http, which `Url` leaves out.
    let port = url.port().or_else(|| entry.ends_with(":80").then_some(80));
    Some(Permit { host: url.host()?.to_owned(), port })
}

/// Looks names up and hands on public addresses only.
pub(super) struct PublicResolver(pub Lookup);

/// Looks names up and hands on everything: for hosts that were permitted by name.
pub(super) struct OpenResolver(pub Lookup);

/// A name of which no address may be reached.
#[derive(Debug, thiserror::Error)]
#[error("{address} is {why}")]
pub(super) struct Refused {
    address: IpAddr,
    why: &'static str,
}

/// A name without an address.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoAddress(pub String);

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let found = (self.0)(name.as_str().to_owned());
        Box::pin(async move {
            let all = found.await.map_err(|e| NoAddress(e.to_string()))?;
            let public: Vec<IpAddr> = all.iter().copied().filter(|a| not_public(*a).is_none()).collect();
            match (public.is_empty(), all.first()) {
                (false, _) => Ok(addresses(public)),
                (true, Some(&address)) => {
                    Err(Refused { address, why: not_public(address).unwrap_or_default() }.into())
                }
                (true, None) => Err(NoAddress("the name has no address".to_owned()).into()),
            }
        })
    }
}

impl Resolve for OpenResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let found = (self.0)(name.as_str().to_owned());
        Box::pin(async move {
            let all = found.await.map_err(|e| NoAddress(e.to_string()))?;
            if all.is_empty() {
                return Err(NoAddress("the name has no address".to_owned()).into());
            }
            Ok(addresses(all))
        })
    }
}

/// Port 0: the connection takes the URL's.
fn addresses(all: Vec<IpAddr>) -> Addrs {
    Box::new(all.into_iter().map(|ip| SocketAddr::new(ip, 0)))
}

/// Why an address is not one of the public internet; `None` when it is.
pub(super) fn not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => not_public_v4(v4),
        IpAddr::V6(v6) => not_public_v6(v6),
    }
}

fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    Some(match address.octets() {
        [0, ..] => "an address of \"this network\" (0.0.0.0/8)",
        [127, ..] => "this machine (127.0.0.0/8)",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "an address of a private network",
        [168, 63, 129, 16] => "where Azure gives its machines their settings (168.63.129.16)",
        [169, 254, ..] => "a link-local address, where clouds keep credentials (169.254.0.0/16)",
        [100, 64..=127, ..] => "an address shared by a provider's customers (100.64.0.0/10)",
        [192, 0, 0, _] => "reserved for protocols (192.0.0.0/24)",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "an address for documentation",
        [192, 88, 99, _] => "a relay between IPv4 and IPv6 (192.88.99.0/24)",
        [198, 18 | 19, ..] => "an address for measurements (198.18.0.0/15)",
        [224..=239, ..] => "a multicast address",
        [240..=255, ..] => "reserved or broadcast (240.0.0.0/4)",
        _ => return None,
    })
}

fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    let s = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        not_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("the unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("this machine (::1)"),
        [0, 0, 0, 0, 0, 0xffff, high, low] => v4(high, low),
        [0, 0, 0, 0, 0, 0, ..] => Some("an outdated form of an IPv4 address (::/96)"),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x64, 0xff9b, ..] => Some("a translated address of a local network (64:ff9b:1::/48)"),
        // Who runs the tunnel's end decides where it leads.
        [0x2001, 0..=0x1ff, ..] => Some("a tunnel or reserved for protocols (2001::/23)"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some("an address for documentation"),
        [0x2002, high, low, ..] => v4(high, low),
        [0x2000..=0x3fff, .., 0 | 0x200, 0x5efe, high, low] => v4(high, low),
        [0x2000..=0x3fff, ..] => None,
        [0xfc00..=0xfdff, ..] => Some("an address of a private network (fc00::/7)"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address (fe80::/10)"),
        [0xfec0..=0xfeff, ..] => Some("a site-local address (fec0::/10)"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        _ => Some("outside the addresses in public use (2000::/3)"),
    }
}
