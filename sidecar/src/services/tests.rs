//! What is found of which address, and what is refused.

use super::*;

fn backend(address: &str, port: u32) -> Backend {
    Backend { address: address.into(), port }
}

fn service(addresses: &[&str], port: u32, backends: Vec<Backend>) -> wire::Service {
    wire::Service {
        namespace: "shop".into(),
        name: "cart".into(),
        addresses: addresses.iter().map(|&address| address.into()).collect(),
        ports: vec![wire::ServicePort { port, backends }],
        affinity_seconds: 0,
    }
}

fn backends(services: &Services, at: &str) -> Vec<String> {
    match services.find(at.parse().unwrap()) {
        Found::Port(port) => port.backends.iter().map(ToString::to_string).collect(),
        other => panic!("{at} is {other:?}"),
    }
}

#[test]
fn a_service_is_found_by_each_of_its_addresses() {
    let both = [backend("10.0.0.1", 8080), backend("fd00::1", 8080)];
    let services =
        Services::compile(&[service(&["10.96.0.1", "fd96::1"], 80, both.to_vec())]).unwrap();
    assert_eq!(services.len(), 2);
    for at in ["10.96.0.1:80", "[fd96::1]:80"] {
        assert_eq!(backends(&services, at), ["10.0.0.1:8080", "[fd00::1]:8080"]);
    }
    for (at, found) in [
        ("10.96.0.1:81", Found::NoSuchPort),
        ("[fd96::1]:81", Found::NoSuchPort),
        ("10.96.0.2:80", Found::NoService),
        ("10.0.0.1:8080", Found::NoService),
    ] {
        assert_eq!(services.find(at.parse().unwrap()), found, "{at}");
    }
}

#[test]
fn what_two_services_claim_is_answered_by_either() {
    let one = service(&["10.96.0.1"], 80, vec![backend("10.0.0.1", 80)]);
    let other = service(&["10.96.0.1"], 80, vec![backend("10.0.0.2", 80)]);
    let sticky = wire::Service { affinity_seconds: 1, ..other };
    let services = Services::compile(&[one, sticky]).unwrap();
    assert_eq!(backends(&services, "10.96.0.1:80"), ["10.0.0.1:80", "10.0.0.2:80"]);
    let found = services.find("10.96.0.1:80".parse().unwrap());
    assert!(matches!(found, Found::Port(port) if port.is_sticky));
}

#[test]
fn mapped_addresses_are_those_they_map() {
    let service = service(&["::ffff:10.96.0.1"], 80, vec![backend("::ffff:10.0.0.1", 80)]);
    let services = Services::compile(&[service]).unwrap();
    assert_eq!(backends(&services, "10.96.0.1:80"), ["10.0.0.1:80"]);
}

#[test]
fn what_is_wrong_is_refused_by_name() {
    let good = || vec![backend("10.0.0.1", 80)];
    for (service, says) in [
        (service(&["cart"], 80, good()), "service shop/cart: `cart` is no address"),
        (service(&["10.96.0.0/16"], 80, good()), "`10.96.0.0/16` is no address"),
        (service(&["10.96.0.1"], 0, good()), "service shop/cart: 0 is no port"),
        (service(&["10.96.0.1"], 65_536, good()), "65536 is no port"),
        (service(&["10.96.0.1"], 80, vec![backend("", 80)]), "`` is no address"),
        (service(&["10.96.0.1"], 80, vec![backend("10.0.0.1", 0)]), "0 is no port"),
    ] {
        let error = Services::compile(&[service]).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn so_many_ports_and_backends_and_no_more() {
    // Few bytes could ask for many pairs: each address with each port.
    let wide = |ports: u32| {
        let addresses = vec!["10.96.0.1"; 2];
        let mut service = service(&addresses, 1, Vec::new());
        service.ports = vec![wire::ServicePort { port: 1, backends: Vec::new() }; ports as usize];
        Services::compile(&[service]).map(drop)
    };
    let half = u32::try_from(MAX_PORTS / 2).unwrap();
    assert_eq!(wide(half), Ok(()));
    assert_eq!(wide(half + 1), Err(ServicesError::TooManyPorts));

    let deep = |backends: usize| {
        let service = service(&["10.96.0.1"], 1, vec![backend("10.0.0.1", 80); backends]);
        Services::compile(&[service]).map(drop)
    };
    assert_eq!(deep(MAX_BACKENDS), Ok(()));
    assert_eq!(deep(MAX_BACKENDS + 1), Err(ServicesError::TooManyBackends));
}
