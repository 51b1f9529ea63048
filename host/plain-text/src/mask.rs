//! Replaces passwords and tokens in texts by `***`. They are found in addresses (before the `@` and
//! in the query), after `Bearer` and `Basic`, and as tokens of the hub. Known secrets are found
//! anywhere.

use std::{
    borrow::Cow,
    sync::{PoisonError, RwLock},
};

/// The replacement for a secret.
const MASK: &str = "***";

/// Shorter secrets would match inside unrelated words.
const SHORTEST_SECRET: usize = 8;

/// The minimum number of characters after the prefix of a hub token.
const SHORTEST_TOKEN: usize = 16;

/// The secrets known to this process.
static SECRETS: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// From now on [`masked`] replaces this text wherever it occurs, unless it is too short to be
/// distinctive.
pub fn keep_secret(secret: &str) {
    let secret = secret.trim();
    if secret.len() < SHORTEST_SECRET {
        return;
    }
    let mut secrets = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    if !secrets.iter().any(|known| known == secret) {
        secrets.push(secret.to_owned());
        // The longest comes first, because one may be a part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }
}

/// Like [`keep_secret`], for the password in an address, both as written and decoded.
pub fn keep_secrets_of_address(address: &str) {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let Some((user, _)) = rest.rsplit_once('@') else {
        return;
    };
    let password = user.split_once(':').map_or(user, |(_, password)| password);
    keep_secret(password);
    keep_secret(&percent_decoded(password));
}

fn percent_decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let code = code.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The text without the secrets in it. Text without any is returned unchanged.
pub fn masked(text: &str) -> Cow<'_, str> {
    let steps: [fn(&str) -> Option<String>; 5] = [known, addresses, queries, schemes, tokens];
    let mut result = Cow::Borrowed(text);
    for step in steps {
        if let Some(changed) = step(&result) {
            result = changed.into();
        }
    }
    result
}

/// Known secrets.
fn known(text: &str) -> Option<String> {
    let secrets = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    let mut result: Option<String> = None;
    for secret in secrets.iter() {
        let now = result.as_deref().unwrap_or(text);
        if now.contains(secret.as_str()) {
            result = Some(now.replace(secret.as_str(), MASK));
        }
    }
    result
}

/// Whether a character ends an address in a text.
fn ends_address(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>')
}

/// `scheme://user:password@host`.
fn addresses(text: &str) -> Option<String> {
    replace_parts(text, |rest| {
        let at = rest.find("://")?;
        let start = at + 3;
        let address = &rest[start..];
        let address = &address[..address.find(ends_address).unwrap_or(address.len())];
        let authority = address.find(['/', '?', '#']).unwrap_or(address.len());
        let end = match address[..authority].rfind('@') {
            Some(end) => Some(end),
            // This is a password with a slash that should have been encoded: the text in the place
            // of a port is not one.
            None => {
                let port = address[..authority].split_once(':').map(|(_, port)| port);
                let is_port = port.is_none_or(|port| port.chars().all(|c| c.is_ascii_digit()));
                if is_port { None } else { address.rfind('@') }
            }
        };
        Some((start, start + end.unwrap_or(0)))
    })
}

/// Names of query values that are secrets, or that identify the signer of a request.
fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let parts = [
        "token",
        "secret",
        "passw",
        "signature",
        "credential",
        "auth",
        "session",
        "jwt",
    ];
    let names = [
        "sig",
        "key",
        "pwd",
        "policy",
        "api_key",
        "apikey",
        "api-key",
        "access_key",
        "accesskey",
        "key-pair-id",
    ];
    parts.iter().any(|part| name.contains(part))
        || names.contains(&name.as_str())
        || name.ends_with("accesskeyid")
}

/// `?token=…` and `&X-Amz-Signature=…`.
fn queries(text: &str) -> Option<String> {
    replace_parts(text, |rest| {
        let at = rest.find(['?', '&'])?;
        let parameter = &rest[at + 1..];
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.%[]".contains(c);
        let name_end = parameter.find(|c| !is_name(c)).unwrap_or(parameter.len());
        let start = at + 1 + name_end;
        if !rest[start..].starts_with('=') || !is_secret_name(&parameter[..name_end]) {
            return Some((start, start));
        }
        let value = &rest[start + 1..];
        let end = value.find(|c| ends_address(c) || matches!(c, '&' | '#' | ';' | ')' | ','));
        Some((start + 1, start + 1 + end.unwrap_or(value.len())))
    })
}

/// `Bearer …` and `Basic …`.
fn schemes(text: &str) -> Option<String> {
    replace_parts(text, |rest| {
        let found = ["Bearer ", "bearer ", "Basic ", "basic "]
            .into_iter()
            .filter_map(|name| Some((rest.find(name)?, name.len())));
        let (at, length) = found.min()?;
        let start = at + length;
        let is_token = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
        let n = rest[start..]
            .find(|c| !is_token(c))
            .unwrap_or(rest.len() - start);
        // In prose, short words follow instead.
        Some((
            start,
            if n >= SHORTEST_TOKEN {
                start + n
            } else {
                start
            },
        ))
    })
}

/// `hf_…` and `api_org_…`.
fn tokens(text: &str) -> Option<String> {
    replace_parts(text, |rest| {
        let found = ["hf_", "api_org_"].into_iter();
        let (at, length) = found
            .filter_map(|name| Some((rest.find(name)?, name.len())))
            .min()?;
        let start = at + length;
        let n = rest[start..].find(|c: char| !c.is_ascii_alphanumeric());
        let n = n.unwrap_or(rest.len() - start);
        Some((
            start,
            if n >= SHORTEST_TOKEN {
                start + n
            } else {
                start
            },
        ))
    })
}

/// Replaces the parts that `next` finds in the rest of a text, given as ranges. An empty part is
/// not replaced, and the search continues after it. `None` if nothing was replaced.
fn replace_parts(text: &str, next: impl Fn(&str) -> Option<(usize, usize)>) -> Option<String> {
    let (mut result, mut rest, mut changed) = (String::new(), text, false);
    while let Some((start, end)) = next(rest) {
        result.push_str(&rest[..start]);
        if end > start {
            result.push_str(MASK);
            changed |= &rest[start..end] != MASK;
        }
        rest = &rest[end..];
    }
    changed.then(|| result + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_addresses_are_masked() {
        for (text, expected) in [
            (
                "http://user:PASSW0RD@127.0.0.1:9/api",
                "http://***@127.0.0.1:9/api",
            ),
            ("https://tok@h", "https://***@h"),
            (
                "HTTP://a:b@h and socks5://c:d@i:1",
                "HTTP://***@h and socks5://***@i:1",
            ),
            ("http://u:p%40q@h/x@y", "http://***@h/x@y"),
            ("http://u:p@q@h/", "http://***@h/"),
            ("http://u:pa/ss@h/x", "http://***@h/x"),
            ("http://:p@h", "http://***@h"),
            (
                "proxy \"http://u:p@h:3128\": no",
                "proxy \"http://***@h:3128\": no",
            ),
            ("http://h:80/a@b", "http://h:80/a@b"),
            ("https://huggingface.co/a/b", "https://huggingface.co/a/b"),
            ("git+ssh://git:x@h/r.git", "git+ssh://***@h/r.git"),
            ("mail a@b.c", "mail a@b.c"),
            ("http://[::1]:8080/x", "http://[::1]:8080/x"),
            ("http://u:p@[::1]:8080/x", "http://***@[::1]:8080/x"),
            ("http://", "http://"),
            ("a://b:c@d://e:f@g", "a://***@d://***@g"),
        ] {
            assert_eq!(masked(text), expected, "{text}");
            assert_eq!(masked(expected), expected, "a second time");
        }
    }

    #[test]
    fn secrets_in_queries_are_masked() {
        for (text, expected) in [
            ("https://h/x?token=abc", "https://h/x?token=***"),
            (
                "https://h/x?a=1&access_token=abc&b=2#f",
                "https://h/x?a=1&access_token=***&b=2#f",
            ),
            (
                "x?X-Amz-Signature=0f&X-Amz-Date=1",
                "x?X-Amz-Signature=***&X-Amz-Date=1",
            ),
            (
                "x?X-Amz-Credential=A/b&X-Amz-Security-Token=c d",
                "x?X-Amz-Credential=***&X-Amz-Security-Token=*** d",
            ),
            (
                "x?Policy=p&Signature=s&Key-Pair-Id=k",
                "x?Policy=***&Signature=***&Key-Pair-Id=***",
            ),
            ("(https://h?sig=a%2Fb)", "(https://h?sig=***)"),
            ("https://h?PASSWORD=x", "https://h?PASSWORD=***"),
            (
                "what is it? tokens = 3 & keys",
                "what is it? tokens = 3 & keys",
            ),
            ("https://h?download=true", "https://h?download=true"),
            ("https://h?token=", "https://h?token="),
        ] {
            assert_eq!(masked(text), expected, "{text}");
            assert_eq!(masked(expected), expected, "a second time");
        }
    }

    #[test]
    fn tokens_are_masked() {
        let token = "abcdefghijklmnopqrstuvwxyzABCDEFGH";
        for (text, expected) in [
            (format!("hf_{token}"), "hf_***"),
            (format!("x hf_{token}, y"), "x hf_***, y"),
            (format!("api_org_{token}"), "api_org_***"),
            (
                format!("authorization: Bearer {token}"),
                "authorization: Bearer ***",
            ),
            (format!("Basic {token}=="), "Basic ***"),
            ("hf_transfer and hf_hub".into(), "hf_transfer and hf_hub"),
            (
                "Basic English of a bearer of news".into(),
                "Basic English of a bearer of news",
            ),
        ] {
            assert_eq!(masked(&text), expected, "{text}");
            assert_eq!(masked(expected), expected, "a second time");
        }
    }

    #[test]
    fn known_secrets_are_masked_anywhere() {
        keep_secret("a-secret-of-the-test\n");
        keep_secrets_of_address("http://user:Sesame%20open%21@h");
        keep_secret("short");
        assert_eq!(masked("xa-secret-of-the-testx short"), "x***x short");
        assert_eq!(masked("Sesame%20open%21 or Sesame open!"), "*** or ***");
        assert_eq!(percent_decoded("%zz%4"), "%zz%4");
    }
}
