//! Where a redirect leads, and whether it is followed. Pure.

use reqwest::Method;
use url::Url;

/// How many redirects one try follows.
pub const MAX_HOPS: u32 = 5;

/// The next call of a redirected request.
#[derive(Debug, PartialEq, Eq)]
pub struct Hop {
    pub url: Url,
    pub method: Method,
    /// Scheme, host or port differ: secrets stay behind, from here on.
    pub elsewhere: bool,
}

/// Whether this status asks the client to go on at its `Location`.
pub fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// The hop after the answer `status` with `location` to `method from`. The URL is not yet
/// checked by the address guard.
///
/// # Errors
///
/// Why it is not followed.
pub fn next(from: &Url, method: &Method, status: u16, location: &str) -> Result<Hop, &'static str> {
    let mut url = from.join(location).map_err(|_| "its Location is no URL")?;
    url.set_fragment(None);
    if from.scheme() == "https" && url.scheme() == "http" {
        return Err("it leads from https to http");
    }
    let elsewhere = from.origin() != url.origin();
    let method = match (status, method) {
        (303, _) | (301 | 302, &Method::POST) => Method::GET,
        (_, method) => method.clone(),
    };
    if elsewhere && method != Method::GET {
        return Err("it wants the request's body sent to another host");
    }
    Ok(Hop { url, method, elsewhere })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_redirects_lead() {
        let from = Url::parse("https://a.example/x/y?q=1").unwrap();
        let go = |method, status, location| {
            next(&from, &method, status, location).map(|hop| (hop.url.to_string(), hop.method, hop.elsewhere))
        };
        let ok = |url: &str, method, elsewhere| Ok((url.to_owned(), method, elsewhere));
        assert_eq!(go(Method::GET, 302, "z"), ok("https://a.example/x/z", Method::GET, false));
        assert_eq!(go(Method::GET, 308, "/z#part"), ok("https://a.example/z", Method::GET, false));
        assert_eq!(go(Method::GET, 302, "//b.example"), ok("https://b.example/", Method::GET, true));
        assert_eq!(
            go(Method::GET, 302, "https://a.example:8443/"),
            ok("https://a.example:8443/", Method::GET, true)
        );
        assert_eq!(
            go(Method::GET, 302, "https://a.example:443/"),
            ok("https://a.example/", Method::GET, false)
        );
        assert_eq!(go(Method::POST, 302, "/z"), ok("https://a.example/z", Method::GET, false));
        assert_eq!(go(Method::POST, 307, "/z"), ok("https://a.example/z", Method::POST, false));
        assert_eq!(go(Method::POST, 303, "https://b.example/"), ok("https://b.example/", Method::GET, true));
        assert!(go(Method::POST, 308, "https://b.example/").unwrap_err().contains("body"));
        assert!(go(Method::GET, 301, "http://a.example/").unwrap_err().contains("https to http"));
        assert!(go(Method::GET, 301, "https://[").unwrap_err().contains("no URL"));
        for status in [300, 304, 305, 306, 200] {
            assert!(!is_redirect(status));
        }
    }
}
