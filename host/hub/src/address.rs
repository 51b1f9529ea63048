//! Web addresses: encodes parts of the hub's addresses, resolves redirects, and compares servers.
//! Called by `client`.

/// Whether a byte needs no encoding here. `/` stays, because file names contain folders.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte)
}

/// Encodes a file's path for an address.
pub(super) fn encode_path(path: &str) -> String {
    path.bytes()
        .map(|byte| {
            if is_plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// Encodes a revision as one part of an address, whatever characters it contains.
pub(super) fn encode_revision(revision: &str) -> String {
    encode_path(revision).replace('/', "%2F")
}

/// The scheme and the server with its port: `https://host`. `None` if this is not a web address.
pub(super) fn origin(address: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://")?;
    let scheme = scheme.to_lowercase();
    let server = rest.split(['/', '?', '#']).next()?.to_lowercase();
    let server = match scheme.as_str() {
        "https" => server.strip_suffix(":443").unwrap_or(&server),
        "http" => server.strip_suffix(":80").unwrap_or(&server),
        _ => return None,
    };
    (!server.is_empty() && !server.contains('@')).then(|| format!("{scheme}://{server}"))
}

/// Resolves the `Location` of an answer from `address`.
pub(super) fn redirected(address: &str, location: &str) -> Option<String> {
    if location.contains("://") {
        return origin(location).map(|_| location.to_owned());
    }
    let (scheme, rest) = address.split_once("://")?;
    let (server, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    if let Some(elsewhere) = location.strip_prefix("//") {
        return Some(format!("{scheme}://{elsewhere}"));
    }
    if location.starts_with('/') {
        return Some(format!("{scheme}://{server}{location}"));
    }
    let path = path.split(['?', '#']).next().unwrap_or("/");
    let folder = &path[..=path.rfind('/')?];
    Some(format!("{scheme}://{server}{folder}{location}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_encoded() {
        assert_eq!(encode_path("a b/c+d#.csv"), "a%20b/c%2Bd%23.csv");
        assert_eq!(encode_revision("refs/pr/1"), "refs%2Fpr%2F1");
    }

    #[test]
    fn a_server_is_its_scheme_name_and_port() {
        assert_eq!(
            origin("https://Hub.co:443/a?b"),
            Some("https://hub.co".into())
        );
        assert_eq!(origin("http://h:8080"), Some("http://h:8080".into()));
        assert_ne!(origin("http://h"), origin("https://h"));
        assert_eq!(origin("file:///etc/passwd"), None);
        assert_eq!(origin("https://user@h/"), None);
    }

    #[test]
    fn redirects_lead_anywhere() {
        let from = "https://h:1/a/b?c=/d";
        for (location, expected) in [
            ("https://cdn/x?y", Some("https://cdn/x?y")),
            ("/x", Some("https://h:1/x")),
            ("x", Some("https://h:1/a/x")),
            ("//cdn/x", Some("https://cdn/x")),
            ("file:///etc/passwd", None),
        ] {
            assert_eq!(
                redirected(from, location).as_deref(),
                expected,
                "{location}"
            );
        }
    }
}
