//! The address guard in every spelling, at every hop, at every moment.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::dns::{Name, Resolve};
use url::Url;

use super::address::{Guard, OpenResolver, PublicResolver, not_public};
use super::fake::{Fake, Reply};
use super::hooks::{FakeTime, Lookup};
use super::*;

fn guard(permitted: &[&str]) -> Guard {
    let rule = AddressRule::PublicAnd(permitted.iter().map(|s| (*s).to_owned()).collect());
    Guard::new(&rule, false).unwrap()
}

/// What the guard says before anything is looked up.
fn refused(url: &str) -> Option<String> {
    match Url::parse(url) {
        Err(e) => Some(format!("broken: {e}")),
        Ok(url) => guard(&[]).check(&url).err(),
    }
}

#[test]
fn every_spelling_of_a_private_address_is_refused() {
    for url in [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://127.0.1/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0X7F.0x0.0x0.0x1/",
        "http://2130706433/",
        "http://017700000001/",
        "http://0177.0.0.1/",
        "http://0177.1/",
        "http://127.0.0.1./",
        "http://0/",
        "http://0.0.0.0/",
        "http:127.0.0.1",
        "http:\\\\127.0.0.1\\",
        "http:////127.0.0.1/",
        "http://%31%32%37.0.0.1/",
        "http://１２７.０.０.１/",
        "http://①②⑦.⓪.⓪.①/",
        "http://127。0。0。1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://168.63.129.16/",
        "http://[::ffff:168.63.129.16]/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://10.1.2.3/",
        "http://172.16.0.1/",
        "http://172.31.255.255/",
        "http://192.168.1.1/",
        "http://100.64.0.1/",
        "http://100.127.255.255/",
        "http://198.18.0.1/",
        "http://198.19.255.255/",
        "http://192.0.0.1/",
        "http://192.0.2.1/",
        "http://198.51.100.1/",
        "http://203.0.113.1/",
        "http://192.88.99.1/",
        "http://224.0.0.1/",
        "http://239.255.255.255/",
        "http://240.0.0.1/",
        "http://255.255.255.255/",
        "http://[::]/",
        "http://[::1]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[::127.0.0.1]/",
        "http://[::8.8.8.8]/",
        "http://[::ffff:0:127.0.0.1]/",
        "http://[64:ff9b::127.0.0.1]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[64:ff9b:1::1]/",
        "http://[2002:7f00:1::]/",
        "http://[2002:a9fe:a9fe::1]/",
        "http://[2002:c0a8:101::1]/",
        "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
        "http://[2001:0:7f00:1::]/",
        "http://[2001:2::1]/",
        "http://[2001:10::1]/",
        "http://[2001:db8::1]/",
        "http://[3fff::1]/",
        "http://[2606:4700::5efe:10.0.0.1]/",
        "http://[2606:4700::200:5efe:10.0.0.1]/",
        "http://[fc00::1]/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
        "http://[febf::1]/",
        "http://[fec0::1]/",
        "http://[ff02::1]/",
        "http://[100::1]/",
        "http://[5f00::1]/",
        "http://[4000::1]/",
        // Not only addresses.
        "http://a@127.0.0.1/",
        "http://a@example.com/",
        "http://a:b@example.com/",
        "http://:b@example.com/",
        "https://example.com:443@127.0.0.1/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "data:text/plain,x",
        "javascript:1",
        "http://",
        "http:///",
        "http://./",
        "http://[fe80::1%25eth0]/",
        "http://256.1.1.1/",
        "http://1.2.3.4.5/",
    ] {
        assert!(refused(url).is_some(), "{url} was taken");
    }
    for url in [
        "http://8.8.8.8/",
        "https://134744072/",
        "http://172.15.255.255/",
        "http://172.32.0.1/",
        "http://100.63.255.255/",
        "http://100.128.0.1/",
        "http://169.253.1.1/",
        "http://168.63.129.17/",
        "http://198.17.0.1/",
        "http://223.255.255.255/",
        "https://[2606:4700:4700::1111]/",
        "http://[::ffff:8.8.8.8]/",
        "http://[64:ff9b::8.8.8.8]/",
        "http://[2002:808:808::1]/",
        "https://example.com/",
        "https://example.com:8443/a?b#c",
        // Names are decided where they are looked up.
        "http://localhost/",
    ] {
        assert_eq!(refused(url), None, "{url}");
    }
    let https_only = Guard::new(&AddressRule::PublicOnly, true).unwrap();
    assert!(https_only.check(&Url::parse("http://example.com/").unwrap()).is_err());
    assert!(https_only.check(&Url::parse("https://example.com/").unwrap()).is_ok());
}

#[test]
fn what_is_permitted_is_permitted_with_its_port_only() {
    let guard = guard(&["127.0.0.1:8080", "[::1]:9", "Models.Internal", "plain:80"]);
    let permits = |url: &str| {
        let url = Url::parse(url).unwrap();
        (guard.permits(&url), guard.check(&url).is_ok())
    };
    assert_eq!(permits("http://127.0.0.1:8080/x"), (true, true));
    assert_eq!(permits("http://0x7f.1:8080/x"), (true, true));
    assert_eq!(permits("http://127.0.0.1:8081/"), (false, false));
    assert_eq!(permits("http://127.0.0.2:8080/"), (false, false));
    assert_eq!(permits("http://127.0.0.1/"), (false, false));
    assert_eq!(permits("http://[::1]:9/"), (true, true));
    assert_eq!(permits("http://a@127.0.0.1:8080/"), (true, false));
    assert_eq!(permits("https://models.internal:1234/"), (true, true));
    assert_eq!(permits("http://plain/"), (true, true));
    // A name that is not permitted goes to the resolver that refuses.
    assert_eq!(permits("https://plain/"), (false, true));
    for entry in ["", "http://x", "a@b", "a/b", "x:99999", "a b"] {
        let rule = AddressRule::PublicAnd(vec![entry.to_owned()]);
        assert_eq!(Guard::new(&rule, false).unwrap_err(), entry);
        let error = Client::new(ClientOptions { allow: rule, ..ClientOptions::default() }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    }
}

fn lookup(rounds: &'static [&'static [&'static str]]) -> Lookup {
    let round = Arc::new(AtomicUsize::new(0));
    Arc::new(move |_| {
        let now = rounds[round.fetch_add(1, Ordering::SeqCst).min(rounds.len() - 1)];
        Box::pin(async move { Ok(now.iter().map(|a| a.parse().unwrap()).collect()) })
    })
}

async fn resolve(resolver: &impl Resolve) -> Result<Vec<IpAddr>, String> {
    let name: Name = "rebind.example".parse().unwrap();
    resolver.resolve(name).await.map(|all| all.map(|a| a.ip()).collect()).map_err(|e| e.to_string())
}

#[tokio::test]
async fn names_are_checked_each_time_they_are_looked_up() {
    let rounds: &[&[&str]] = &[&["8.8.8.8"], &["127.0.0.1"], &["10.0.0.1", "8.8.4.4", "::1"], &[]];
    let resolver = PublicResolver(lookup(rounds));
    assert_eq!(resolve(&resolver).await.unwrap(), ["8.8.8.8".parse::<IpAddr>().unwrap()]);
    let error = resolve(&resolver).await.unwrap_err();
    assert!(error.contains("127.0.0.1 is this machine"), "{error}");
    assert_eq!(resolve(&resolver).await.unwrap(), ["8.8.4.4".parse::<IpAddr>().unwrap()]);
    assert!(resolve(&resolver).await.unwrap_err().contains("no address"));
    let open = OpenResolver(lookup(&[&["10.0.0.1", "8.8.4.4"]]));
    assert_eq!(resolve(&open).await.unwrap().len(), 2);
}

#[test]
fn every_private_address_wrapped_in_another_is_still_private() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..20_000 {
        let v4 = std::net::Ipv4Addr::from(random.u32(..));
        let [a, b, c, d] = v4.octets();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let private = not_public(v4.into()).is_some();
        for wrapped in [
            [0, 0, 0, 0, 0, 0xffff, high, low],
            [0x64, 0xff9b, 0, 0, 0, 0, high, low],
            [0x2002, high, low, random.u16(..), 1, 2, 3, 4],
            [0x2606, 0x4700, 0, 0, 0, 0x5efe, high, low],
        ] {
            let v6 = std::net::Ipv6Addr::from(wrapped);
            assert_eq!(not_public(v6.into()).is_some(), private, "{v6} around {v4}");
        }
        // What the standard library calls private is private here.
        if v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast()
        {
            assert!(private, "{v4}");
        }
    }
}

#[tokio::test]
async fn nothing_is_sent_to_a_private_address_by_name_by_number_or_by_redirect() {
    let secret = Fake::start(|_| Reply::text("secret"));
    let port = secret.port();
    let forms =
        ["127.0.0.1", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "[::ffff:127.0.0.1]", "[::1]"];
    let mut locations: Vec<String> = forms.iter().map(|form| format!("http://{form}:{port}/")).collect();
    locations.push(format!("http://a@127.0.0.1:{port}/"));
    locations.push(format!("//localhost:{port}/"));
    locations.push(format!("http://inside.example:{port}/"));
    locations.push("file:///etc/passwd".to_owned());
    let count = locations.len();
    let open = {
        let locations = locations.clone();
        Fake::start(move |seen| {
            let which: usize = seen.path[1..].parse().unwrap();
            Reply::redirect([301, 302, 303, 307, 308][which % 5], &locations[which])
        })
    };
    let hooks = Hooks { lookup: lookup(&[&["127.0.0.1"]]), ..FakeTime::default().hooks(0.5) };
    let allow = AddressRule::PublicAnd(vec![open.authority()]);
    let client = Client::new(ClientOptions { allow, hooks, ..ClientOptions::default() }).unwrap();
    for (which, location) in locations.iter().enumerate() {
        let direct = if location.starts_with("//") { format!("http:{location}") } else { location.clone() };
        let error = client.send(Request::get(direct)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Address, "{location}: {error}");
        assert_eq!(error.attempts(), 1);
        let error = client.send(Request::get(open.url(&format!("/{which}")))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Address, "redirect to {location}: {error}");
        assert!(error.advice().contains("permitted"));
    }
    assert_eq!(open.requests().len(), count);
    assert_eq!(secret.connections(), 0);
}

#[tokio::test]
async fn a_permitted_name_reaches_a_private_address() {
    let server = Fake::start(|seen| Reply::text(seen.header("host").unwrap_or_default()));
    let hooks = Hooks { lookup: lookup(&[&["127.0.0.1"]]), ..Hooks::default() };
    let allow = AddressRule::PublicAnd(vec![format!("models.internal:{}", server.port())]);
    let options = ClientOptions { allow, hooks, https_only: true, ..ClientOptions::default() };
    let client = Client::new(options).unwrap();
    let url = format!("http://models.internal:{}/", server.port());
    let response = client.send(Request::get(url)).await.unwrap();
    assert_eq!(response.text().unwrap(), format!("models.internal:{}", server.port()));
    // The same machine by another name is not permitted.
    let url = format!("https://other.internal:{}/", server.port());
    assert_eq!(client.send(Request::get(url)).await.unwrap_err().kind(), ErrorKind::Address);
}
