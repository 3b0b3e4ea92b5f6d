//! The parts that addresses of brokers and of Sentinels have in common.
//!
//! Errors never repeat the address, because it may hold a password.

use percent_encoding::percent_decode_str;

/// `host[:port]`. An IPv6 address stands in brackets, and keeps them.
pub fn split_port(place: &str) -> Result<(&str, Option<u16>), &'static str> {
    // The colons of an IPv6 address are inside its brackets.
    let after_host = place.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match place[after_host..].rfind(':') {
        Some(colon) => (
            &place[..after_host + colon],
            Some(&place[after_host + colon + 1..]),
        ),
        None => (place, None),
    };
    if host.is_empty() || (host.contains(':') && without_brackets(host) == host) {
        return Err("has no valid host (an IPv6 address stands in brackets)");
    }
    if host.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("has white space or a control character in its host");
    }
    match port.map(str::parse::<u16>) {
        None => Ok((host, None)),
        Some(Ok(port)) if port > 0 => Ok((host, Some(port))),
        Some(_) => Err("has no valid port"),
    }
}

/// A host as a resolver wants it.
pub fn without_brackets(host: &str) -> &str {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    bare.unwrap_or(host)
}

/// A percent-encoded part.
pub fn decode(text: &str) -> Result<String, &'static str> {
    percent_decode_str(text)
        .decode_utf8()
        .map(|text| text.into_owned())
        .map_err(|_| "has a part that is not UTF-8")
}
