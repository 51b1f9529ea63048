//! The environment variables about the hub, which Hugging Face's own tools read as well. `Hub::new`
//! reads them once per command.

use progtune_plain_text::{keep_secret, keep_secrets_of_address};
use std::{ffi::OsString, path::PathBuf, time::Duration};

const ENDPOINT: &str = "https://huggingface.co";

/// The token, which is sent to the hub and nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// The token itself, which is never printed.
    pub secret: String,
    /// The variable or file it came from.
    pub source: String,
}

/// All settings from the environment.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Environment {
    /// The hub's address without a trailing slash: `HF_ENDPOINT`.
    pub endpoint: String,
    /// The cache directory: `HF_HUB_CACHE`, otherwise `hub` in `HF_HOME` or in
    /// `~/.cache/huggingface`.
    pub cache: PathBuf,
    /// The variable that forbids network access, if any: `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE`.
    pub offline: Option<&'static str>,
    /// `HF_TOKEN`, otherwise the file that `hf auth login` writes.
    pub token: Option<Token>,
    /// The path of that file.
    pub token_path: PathBuf,
    /// Whether snapshots contain files instead of links: `HF_HUB_DISABLE_SYMLINKS`.
    pub copies: bool,
    /// Certificates to trust instead of Mozilla's: `SSL_CERT_FILE`.
    pub certificates: Option<PathBuf>,
    /// The time limit for an answer to begin: `HF_HUB_ETAG_TIMEOUT`.
    pub answer_timeout: Duration,
    /// The time limit for a stalled transfer: `HF_HUB_DOWNLOAD_TIMEOUT`.
    pub stall_timeout: Duration,
}

impl Environment {
    /// The settings of this process.
    pub(crate) fn from_process() -> Self {
        Self::from(&Variables(&|name| std::env::var_os(name)))
    }

    fn from(variables: &Variables<'_>) -> Self {
        let seconds = |name: &str, default: u64| {
            let given = variables.text(name).and_then(|text| text.parse().ok());
            Duration::from_secs(given.filter(|&secs| secs > 0).unwrap_or(default))
        };
        let token_path = variables.path("HF_TOKEN_PATH");
        let token_path = token_path.unwrap_or_else(|| variables.home().join("token"));
        let from_variable = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]
            .into_iter()
            .find_map(|name| Token::new(&variables.text(name)?, name.to_owned()));
        let token = from_variable.or_else(|| {
            let secret = std::fs::read_to_string(&token_path).ok()?;
            Token::new(&secret, token_path.display().to_string())
        });
        let endpoint = variables.text("HF_ENDPOINT");
        let endpoint = endpoint.unwrap_or_else(|| ENDPOINT.to_owned());
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            cache: variables.cache(),
            offline: ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
                .into_iter()
                .find(|name| variables.is_true(name)),
            token: token.filter(|_| !variables.is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN")),
            token_path,
            copies: variables.is_true("HF_HUB_DISABLE_SYMLINKS"),
            certificates: variables.path("SSL_CERT_FILE"),
            answer_timeout: seconds("HF_HUB_ETAG_TIMEOUT", 10),
            stall_timeout: seconds("HF_HUB_DOWNLOAD_TIMEOUT", 20),
        }
    }
}

/// Variables whose addresses may contain passwords; the names of proxy variables may also be lower
/// case.
const ADDRESSES: [&str; 4] = ["HF_ENDPOINT", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

/// Masks the passwords and tokens of the environment in everything that is shown or saved from now
/// on.
pub fn keep_secrets() {
    let text = |name: &str| std::env::var_os(name)?.into_string().ok();
    for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
        text(name).iter().for_each(|token| keep_secret(token));
    }
    for name in ADDRESSES {
        let names = [name.to_owned(), name.to_lowercase()];
        let addresses = names.iter().filter_map(|name| text(name));
        addresses.for_each(|address| keep_secrets_of_address(&address));
    }
}

/// The cache directory of this process.
pub(super) fn cache_directory() -> PathBuf {
    Variables(&|name| std::env::var_os(name)).cache()
}

/// A lookup of variables; an empty variable counts as unset.
struct Variables<'a>(&'a dyn Fn(&str) -> Option<OsString>);

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<OsString> {
        self.0(name).filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.into_string().ok()
    }

    fn is_true(&self, name: &str) -> bool {
        let value = self.text(name).unwrap_or_default().to_uppercase();
        ["1", "ON", "YES", "TRUE"].contains(&value.as_str())
    }

    /// A path; a leading `~` stands for the user's directory.
    fn path(&self, name: &str) -> Option<PathBuf> {
        let path = self.get(name).map(PathBuf::from)?;
        match path.strip_prefix("~") {
            Ok(rest) => Some(self.user().join(rest)),
            Err(_) => Some(path),
        }
    }

    fn user(&self) -> PathBuf {
        let user = self.get("HOME").or_else(|| self.get("USERPROFILE"));
        user.map_or_else(|| PathBuf::from("."), PathBuf::from)
    }

    /// The directory of Hugging Face's tools.
    fn home(&self) -> PathBuf {
        self.path("HF_HOME").unwrap_or_else(|| {
            let caches = self.path("XDG_CACHE_HOME");
            let caches = caches.unwrap_or_else(|| self.user().join(".cache"));
            caches.join("huggingface")
        })
    }

    fn cache(&self) -> PathBuf {
        self.path("HF_HUB_CACHE")
            .or_else(|| self.path("HUGGINGFACE_HUB_CACHE"))
            .unwrap_or_else(|| self.home().join("hub"))
    }
}

impl Token {
    /// Trims the line ends that files have; `None` if nothing is left, or if no header can carry
    /// the text.
    fn new(text: &str, source: String) -> Option<Self> {
        let secret: String = text.chars().filter(|c| !"\r\n".contains(*c)).collect();
        let secret = secret.trim();
        (!secret.is_empty() && secret.chars().all(|c| c.is_ascii_graphic())).then(|| {
            keep_secret(secret);
            Self {
                secret: secret.to_owned(),
                source,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let map: HashMap<&str, &str> = variables.iter().copied().collect();
        Environment::from(&Variables(&|name| map.get(name).map(OsString::from)))
    }

    #[test]
    fn the_cache_lies_where_hugging_face_has_it() {
        let cache = |variables: &[(&str, &str)]| environment(variables).cache;
        let home = ("HOME", "/u");
        assert_eq!(cache(&[home]), PathBuf::from("/u/.cache/huggingface/hub"));
        assert_eq!(
            cache(&[home, ("XDG_CACHE_HOME", "/x")]),
            PathBuf::from("/x/huggingface/hub")
        );
        assert_eq!(
            cache(&[home, ("HF_HOME", "~/hf"), ("HF_HUB_CACHE", "")]),
            PathBuf::from("/u/hf/hub")
        );
        assert_eq!(
            cache(&[home, ("HF_HOME", "/h"), ("HF_HUB_CACHE", "/c")]),
            PathBuf::from("/c")
        );
    }

    #[test]
    fn offline_endpoint_and_token() {
        let defaults = environment(&[("HOME", "/nowhere")]);
        assert_eq!(defaults.endpoint, "https://huggingface.co");
        assert_eq!(defaults.offline, None);
        assert!(defaults.token.is_none());
        let given = environment(&[
            ("HOME", "/nowhere"),
            ("HF_ENDPOINT", "http://127.0.0.1:80/"),
            ("HF_HUB_OFFLINE", "true"),
            ("HF_TOKEN", "hf_x\n"),
        ]);
        assert_eq!(given.endpoint, "http://127.0.0.1:80");
        assert_eq!(given.offline, Some("HF_HUB_OFFLINE"));
        assert!(
            given
                .token
                .is_some_and(|t| t.secret == "hf_x" && t.source == "HF_TOKEN")
        );
        let off = [
            ("HF_HUB_OFFLINE", "0"),
            ("HF_TOKEN", "x"),
            ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"),
        ];
        assert_eq!(environment(&off).offline, None);
        assert!(environment(&off).token.is_none());
    }

    #[test]
    fn the_token_file_is_read() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("token"), "hf_file\n").unwrap();
        let token = environment(&[("HF_HOME", home.path().to_str().unwrap())]).token;
        assert!(token.is_some_and(|t| t.secret == "hf_file" && t.source.ends_with("token")));
    }
}
