//! From which addresses the node speaks to this pod.
//!
//! A kubelet's connection need not come from `status.hostIP`: where pods hang
//! on a bridge, it comes from the bridge's address, which is the pod's gateway.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The gateways of the default routes in the network that this thread is in;
/// none where the kernel does not say.
pub(super) fn gateways() -> Vec<IpAddr> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let v4 = read("/proc/thread-self/net/route");
    let v6 = read("/proc/thread-self/net/ipv6_route");
    v4.lines().filter_map(gateway_v4).chain(v6.lines().filter_map(gateway_v6)).collect()
}

/// A line of `/proc/PID/net/route`: interface, destination, gateway, …, the mask as
/// the eighth column. Addresses are numbers in the machine's order of bytes.
fn gateway_v4(line: &str) -> Option<IpAddr> {
    let columns: Vec<_> = line.split_whitespace().collect();
    let address = |column: usize| u32::from_str_radix(columns.get(column)?, 16).ok();
    if (address(1)?, address(7)?) != (0, 0) {
        return None;
    }
    let gateway = Ipv4Addr::from(address(2)?.to_ne_bytes());
    (!gateway.is_unspecified()).then_some(gateway.into())
}

/// A line of `/proc/PID/net/ipv6_route`: destination, its length, source, its
/// length, next hop.
fn gateway_v6(line: &str) -> Option<IpAddr> {
    let mut columns = line.split_whitespace();
    let (destination, length) = (columns.next()?, columns.next()?);
    let next_hop = columns.nth(2)?;
    if destination.bytes().any(|digit| digit != b'0') || length != "00" {
        return None;
    }
    let gateway = Ipv6Addr::from(u128::from_str_radix(next_hop, 16).ok()?);
    (!gateway.is_unspecified()).then_some(gateway.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_routes_gateway_is_found() {
        let gateway = u32::from_ne_bytes([10, 200, 0, 1]);
        let route = |destination, gateway, mask| {
            format!("eth0\t{destination:08X}\t{gateway:08X}\t0003\t0\t0\t0\t{mask:08X}\t0\t0\t0")
        };
        assert_eq!(
            gateway_v4(&route(0, gateway, 0)),
            Some(IpAddr::from([10, 200, 0, 1])),
            "the default route"
        );
        assert_eq!(gateway_v4(&route(0, 0, 0)), None, "no gateway");
        assert_eq!(gateway_v4(&route(gateway, gateway, u32::MAX)), None, "another route");
        assert_eq!(gateway_v4("Iface\tDestination\tGateway \tFlags"), None, "the heading");
        assert_eq!(gateway_v4(""), None);
    }

    #[test]
    fn the_ipv6_default_routes_gateway_is_found() {
        let zero = "0".repeat(32);
        let hop = "fd000000000000000000000000000001";
        let route = |length, hop: &str| {
            format!("{zero} {length} {zero} 00 {hop} 00000400 00000001 00000000 00000003     eth0")
        };
        assert_eq!(gateway_v6(&route("00", hop)), Some("fd00::1".parse().unwrap()));
        assert_eq!(gateway_v6(&route("40", hop)), None, "another route");
        assert_eq!(gateway_v6(&route("00", &zero)), None, "no gateway");
        assert_eq!(gateway_v6(""), None);
    }

    #[test]
    fn this_machines_routes_can_be_read() {
        assert!(gateways().iter().all(|gateway| !gateway.is_unspecified()));
    }
}
