//! Ports and networks that a pod has left alone, by annotation.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use remora_manifest::Field;

use crate::InjectError;
use crate::config::OWN_PORTS;
use crate::settings::find;

pub(crate) const SKIP_INBOUND_PORTS: &str = "remora.dev/skip-inbound-ports";
pub(crate) const SKIP_OUTBOUND_PORTS: &str = "remora.dev/skip-outbound-ports";
pub(crate) const SKIP_OUTBOUND_CIDRS: &str = "remora.dev/skip-outbound-cidrs";

/// The most entries of one annotation: each is a rule that every connection passes by.
const MAX_ENTRIES: usize = 32;

/// The init container's flags for what the annotations say.
pub(crate) fn read(annotations: Option<&Field<'_>>) -> Result<Vec<String>, InjectError> {
    let checks: [(&str, &str, Check); 3] = [
        (SKIP_INBOUND_PORTS, "--skip-inbound-ports", inbound_ports),
        (SKIP_OUTBOUND_PORTS, "--skip-outbound-ports", ports),
        (SKIP_OUTBOUND_CIDRS, "--skip-outbound-cidrs", cidr),
    ];
    let mut flags = Vec::new();
    for (annotation, flag, check) in checks {
        if let Some(field) = find(annotations, annotation)? {
            flags.extend([flag.to_owned(), list(&field, check)?]);
        }
    }
    Ok(flags)
}

/// What is wrong with an entry, and the remedy.
type Check = fn(&str) -> Result<(), (String, String)>;

/// The entries, separated by commas alone.
fn list(field: &Field<'_>, check: Check) -> Result<String, InjectError> {
    let entries: Vec<&str> = field.string()?.split(',').map(str::trim).collect();
    if entries.len() > MAX_ENTRIES {
        let remedy = "join some: a range of ports, or a larger network";
        return Err(field.error(format!("has more than {MAX_ENTRIES} entries"), remedy).into());
    }
    for entry in &entries {
        check(entry).map_err(|(problem, remedy)| field.error(problem, remedy))?;
    }
    Ok(entries.join(","))
}

/// Our own ports take whoever comes: they need no exception, and get none.
fn inbound_ports(text: &str) -> Result<(), (String, String)> {
    let (first, last) = range(text)?;
    match OWN_PORTS.iter().find(|port| (first..=last).contains(*port)) {
        None => Ok(()),
        Some(own) => {
            let remedy = "leave it out".to_owned();
            Err((format!("`{text}` holds {own}, a port of Remora's sidecar"), remedy))
        }
    }
}

fn ports(text: &str) -> Result<(), (String, String)> {
    range(text).map(drop)
}

fn range(text: &str) -> Result<(u16, u16), (String, String)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        _ => {
            let remedy = "write ports from 1 to 65535, or ranges such as 8000-8010";
            Err((format!("`{text}` is no port, nor a range of ports"), remedy.to_owned()))
        }
    }
}

fn cidr(text: &str) -> Result<(), (String, String)> {
    let wrong =
        |problem: &str, remedy: &str| Err((format!("`{text}` {problem}"), remedy.to_owned()));
    let form = "write networks such as 10.1.0.0/16 or fd00:1::/32";
    let (ip, length) = text.split_once('/').map_or((text, None), |(ip, rest)| (ip, Some(rest)));
    let Ok(ip) = ip.parse::<IpAddr>() else { return wrong("is no network", form) };
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => longest,
        Some("0") => {
            let remedy =
                "name the networks; do not inject a pod of which nothing is to be redirected";
            return wrong("is every address there is", remedy);
        }
        Some(length) => match number(length).filter(|length| *length <= longest) {
            Some(length) => length,
            None => return wrong("is no network", form),
        },
    };
    if matches!(ip, IpAddr::V6(v6) if v6.to_ipv4().is_some() && !v6.is_loopback()) {
        return wrong("maps IPv4 into IPv6", "write the IPv4 network");
    }
    if !is_masked(ip, length) {
        let remedy = "write the network's own address, or all of its bits";
        return wrong("has bits set beyond its length", remedy);
    }
    Ok(())
}

/// A number above zero: digits alone, no sign, no leading zero.
fn number(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_plain)
}

fn is_masked(ip: IpAddr, length: u16) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.to_bits() & u32::MAX.checked_shr(length.into()).unwrap_or(0) == 0,
        IpAddr::V6(ip) => ip.to_bits() & u128::MAX.checked_shr(length.into()).unwrap_or(0) == 0,
    }
}
