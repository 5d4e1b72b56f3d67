//! Conversion of text at the C boundary.

use std::ffi::{CStr, c_char, c_int};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::slice;

use crate::wire::sip::Headers;

/// The octets of a counted string; none for a null or negative one.
///
/// # Safety
/// A non-null `start` points to `length` octets that stay as they are for `'a`.
pub(crate) unsafe fn octets<'a>(start: *const c_char, length: c_int) -> &'a [u8] {
    match usize::try_from(length) {
        // SAFETY: the caller promises the octets.
        Ok(length) if !start.is_null() => unsafe { slice::from_raw_parts(start.cast(), length) },
        _ => &[],
    }
}

/// The address of a text for a host. Rust's address of an empty slice belongs to nobody, and hosts
/// read the first octet before they check the length.
pub(crate) fn start(octets: &[u8]) -> *mut c_char {
    match octets {
        [] => c"".as_ptr().cast_mut(),
        octets => octets.as_ptr().cast_mut().cast(),
    }
}

/// A C string as text; empty for null.
///
/// # Safety
/// A non-null `text` is NUL-terminated.
pub(crate) unsafe fn of_c(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller promises the terminator.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// Octets as text; invalid UTF-8 becomes the replacement character.
pub(crate) fn lossy(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// Header lines in tm's form. The host adds `Server` and `User-Agent` itself where the operator
/// lets it.
pub(crate) fn header_lines(headers: &Headers) -> String {
    let mut lines = String::new();
    for header in headers.iter() {
        if header.name == "Server" || header.name == "User-Agent" {
            continue;
        }
        lines.push_str(&header.name);
        lines.push_str(": ");
        lines.push_str(&header.value);
        lines.push_str("\r\n");
    }
    lines
}

/// The header lines of a request, its route set first.
pub(crate) fn request_lines(routes: &[String], headers: &Headers) -> String {
    let mut lines = String::new();
    for route in routes {
        lines.push_str("Route: ");
        lines.push_str(route);
        lines.push_str("\r\n");
    }
    lines + &header_lines(headers)
}

/// An address as both hosts store it: a family and sixteen octets.
pub(crate) fn address(family: u32, octets: [u8; 16]) -> IpAddr {
    if family == libc::AF_INET6 as u32 {
        IpAddr::V6(Ipv6Addr::from(octets))
    } else {
        let [a, b, c, d, ..] = octets;
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    }
}

/// The inverse: family, length and octets.
pub(crate) fn address_octets(address: IpAddr) -> (u32, u32, [u8; 16]) {
    match address {
        IpAddr::V4(address) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&address.octets());
            (libc::AF_INET as u32, 4, octets)
        }
        IpAddr::V6(address) => (libc::AF_INET6 as u32, 16, address.octets()),
    }
}

/// A host's address text in the form of a URI: IPv6 in brackets.
pub(crate) fn uri_host(text: String) -> String {
    if text.contains(':') && !text.starts_with('[') {
        format!("[{text}]")
    } else {
        text
    }
}

/// The name of a transport by the number both hosts give it.
pub(crate) fn transport(number: c_int) -> &'static str {
    match number {
        2 => "tcp",
        3 => "tls",
        4 => "sctp",
        5 => "ws",
        6 => "wss",
        _ => "udp",
    }
}

/// The inverse: the number both hosts give a transport.
pub(crate) fn protocol(transport: &str) -> u16 {
    let of = |number: &c_int| self::transport(*number) == transport;
    let number = [2, 3, 4, 5, 6].into_iter().find(of).unwrap_or(1);
    u16::try_from(number).unwrap_or(1)
}

/// The output of the host's `pv_printf`; empty on failure.
pub(crate) fn printed(buffer: &[u8], result: c_int, length: c_int) -> &[u8] {
    let length = usize::try_from(length).unwrap_or(0);
    match result {
        0.. => buffer.get(..length).unwrap_or_default(),
        _ => &[],
    }
}

/// The value of a script's pseudo-variables; the hosts print a missing value as `<null>`. Octets
/// that are not UTF-8 count as missing: replacing them could give several users the same name.
pub(crate) fn evaluated(octets: &[u8]) -> String {
    let text = std::str::from_utf8(octets).unwrap_or_default();
    // Missing addresses are left out, except for the first, which is the identity.
    let mut parts = text.split(',');
    let first = parts.next().unwrap_or_default();
    if first.contains("<null>") {
        return String::new();
    }
    let others = parts.filter(|part| !part.contains("<null>"));
    let present: Vec<_> = std::iter::once(first).chain(others).collect();
    present.join(",").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_tm_takes() {
        let headers = Headers::new()
            .with("Contact", "<sip:lobby@h>;isfocus")
            .with("User-Agent", "x");
        assert_eq!(header_lines(&headers), "Contact: <sip:lobby@h>;isfocus\r\n");
        assert_eq!(
            request_lines(&["<sip:p;lr>".into()], &headers),
            "Route: <sip:p;lr>\r\nContact: <sip:lobby@h>;isfocus\r\n"
        );
    }

    #[test]
    fn addresses_of_both_families() {
        let mut octets = [0; 16];
        octets[..4].copy_from_slice(&[127, 0, 0, 1]);
        assert_eq!(address(2, octets).to_string(), "127.0.0.1");
        let loopback = Ipv6Addr::LOCALHOST.octets();
        assert_eq!(address(libc::AF_INET6 as u32, loopback).to_string(), "::1");
        for text in ["192.0.2.1", "2001:db8::1"] {
            let (family, length, octets) = address_octets(text.parse().unwrap());
            assert_eq!(address(family, octets).to_string(), text);
            assert_eq!(length, if text.contains(':') { 16 } else { 4 });
        }
        assert_eq!(uri_host("::1".into()), "[::1]");
        assert_eq!(uri_host("10.0.0.1".into()), "10.0.0.1");
    }

    #[test]
    fn a_missing_value_is_nobody() {
        assert_eq!(evaluated(b"sip:<null>@example.com"), "");
        assert_eq!(evaluated(b"sip:a@b,<null>, <tel:+1>"), "sip:a@b, <tel:+1>");
        assert_eq!(evaluated(b"<null>,sip:a@b"), "");
        assert_eq!(evaluated(b"sip:\xe5lice@example.com"), "");
        assert_eq!(evaluated(b" sip:a@b "), "sip:a@b");
    }
}
