//! Targets and redirects.

use super::*;

fn url(target: &str) -> Url {
    Url { tls: false, address: "10.0.0.1:8080".parse().unwrap(), target: target.into() }
}

fn moved(from: &str, status: u16, location: &str) -> Next {
    let location = HeaderValue::try_from(location).unwrap();
    url(from).next(StatusCode::from_u16(status).unwrap(), Some(&location))
}

#[test]
fn a_path_becomes_a_target() {
    for (path, expected) in [
        ("", "/"),
        ("live", "/live"),
        ("/live?x=1&y=%20", "/live?x=1&y=%20"),
        ("?x", "/?x"),
        ("/a b/\u{e4}#there", "/a%20b/%C3%A4"),
        ("/{id}", "/%7Bid%7D"),
    ] {
        assert_eq!(target(path), expected, "{path}");
        assert!(url(expected).request(&HeaderMap::new()).is_ok(), "{expected}");
    }
}

#[test]
fn redirects_within_the_authority_keep_it() {
    for (location, expected) in [
        ("/ready", "/ready"),
        ("ready?x", "/a/ready?x"),
        ("./ready", "/a/./ready"),
        ("?y", "/a/b?y"),
        ("#part", "/a/b?x"),
    ] {
        assert_eq!(moved("/a/b?x", 302, location), Next::Here(url(expected)), "{location}");
    }
}

#[test]
fn redirects_to_another_port_or_scheme_of_the_host_are_followed() {
    let there = |tls, address: &str, target: &str| {
        Next::There(Url { tls, address: address.parse().unwrap(), target: target.into() })
    };
    for (location, expected) in [
        ("https://10.0.0.1/live", there(true, "10.0.0.1:443", "/live")),
        ("HTTPS://10.0.0.1:8443", there(true, "10.0.0.1:8443", "/")),
        ("http://10.0.0.1?x#y", there(false, "10.0.0.1:80", "/?x")),
        ("//10.0.0.1:81/a", there(false, "10.0.0.1:81", "/a")),
    ] {
        assert_eq!(moved("/", 307, location), expected, "{location}");
    }
}

#[test]
fn a_redirect_to_elsewhere_is_the_end() {
    for location in [
        "http://example.com/",
        "https://10.0.0.2:8080/",
        "//db/",
        "ftp://10.0.0.1/",
        "mailto:a",
        "http://[/",
        "http:///",
        "",
    ] {
        assert_eq!(moved("/", 301, location), Next::Done, "{location}");
    }
}

#[test]
fn only_redirects_redirect() {
    for status in [200, 201, 300, 304] {
        assert_eq!(moved("/", status, "/elsewhere"), Next::Done, "{status}");
    }
    assert_eq!(url("/").next(StatusCode::FOUND, None), Next::Done);
}

#[test]
fn ipv6_hosts_are_known_in_brackets() {
    let url = Url { tls: false, address: "[fd00::1]:80".parse().unwrap(), target: "/".into() };
    let location = HeaderValue::from_static("https://[fd00::1]:8443/x");
    let expected =
        Url { tls: true, address: "[fd00::1]:8443".parse().unwrap(), target: "/x".into() };
    assert_eq!(url.next(StatusCode::FOUND, Some(&location)), Next::There(expected));
}
