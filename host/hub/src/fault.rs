//! What can go wrong between here and the hub, and how it is said. Made by `client` and `download`, worded for a repository by
//! `hub`.

use super::{
    environment::Environment,
    repository::{DEFAULT_REVISION, Repository},
};
use progtune_plain_text::masked;
use std::path::PathBuf;

/// A failure.
#[derive(Debug)]
pub(super) enum Fault {
    /// No answer: no network, no such server, or a broken connection.
    Unreachable { address: String, why: String },
    /// There is no such repository, or none that may be seen.
    NoRepository,
    /// The repository is there, and its conditions were not accepted.
    Gated,
    /// The hub does not know the token.
    BadToken,
    /// The repository has no such branch, tag or commit.
    NoRevision,
    /// The commit has no such file.
    NoFile,
    /// Another refusal.
    Refused {
        address: String,
        status: u16,
        message: String,
    },
    /// An answer that no hub gives.
    NotAHub { address: String, what: String },
    /// A transfer that ended early again and again.
    Cut {
        name: String,
        have: u64,
        size: Option<u64>,
        why: String,
    },
    /// Contents that are not what the hub has.
    Corrupt {
        name: String,
        expected: String,
        found: String,
    },
    /// Less free space than the file takes.
    NoSpace {
        name: String,
        directory: PathBuf,
        needed: u64,
        free: u64,
    },
    /// The cache cannot be written to.
    Disk {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The file of certificates is of no use.
    Certificates { path: PathBuf, why: String },
}

impl Fault {
    /// A request without an answer.
    pub fn unreachable(address: &str, error: &ureq::Error) -> Self {
        Self::Unreachable {
            address: address.to_owned(),
            why: error.to_string(),
        }
    }

    /// Whether trying again may help: a server that is busy.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == 429 || *status >= 500)
    }

    /// Whether what is in the cache can stand in. Not for a revision that does not exist: it was never right.
    pub fn leaves_the_cache(&self) -> bool {
        !matches!(self, Self::NoRevision)
    }

    /// What is wrong, in words, without the passwords of addresses.
    pub fn text(&self, repository: &Repository, environment: &Environment) -> String {
        masked(&self.unmasked(repository, environment)).into_owned()
    }

    fn unmasked(&self, repository: &Repository, environment: &Environment) -> String {
        let Repository { kind, revision, .. } = repository;
        let noun = kind.noun();
        let endpoint = &environment.endpoint;
        let page = format!("{endpoint}/{}", repository.page());
        let token_of_ones_own = format!(
            "set HF_TOKEN, or run `hf auth login`, which writes {}",
            environment.token_path.display()
        );
        let token = match &environment.token {
            Some(token) => format!("the token of {}", token.source),
            None => "no token".to_owned(),
        };
        match self {
            Self::Unreachable { address, why } => {
                let server = super::address::origin(address).unwrap_or_else(|| address.clone());
                let hint = match why.contains("certificate") {
                    true => {
                        "; behind a TLS-inspecting proxy, set SSL_CERT_FILE to its certificates"
                    }
                    false => "",
                };
                format!("{server} gives no answer ({why}{hint})")
            }
            Self::NoRepository => {
                let private = match &environment.token {
                    Some(token) => {
                        format!("or the token of {} may not see it", token.source)
                    }
                    None => {
                        format!("or it is private and no token was found ({token_of_ones_own})")
                    }
                };
                format!("{endpoint} has no such {noun}, {private}; check the name at {page}")
            }
            Self::Gated => match &environment.token {
                Some(_) => format!(
                    "the {noun} is gated, and {token} has no access: accept its conditions at {page} and use a token of that \
                     account"
                ),
                None => format!(
                    "the {noun} is gated and no token was sent: accept its conditions at {page} and {token_of_ones_own}"
                ),
            },
            Self::BadToken => format!(
                "{endpoint} does not accept {token}; replace it ({endpoint}/settings/tokens), or unset it for what is public"
            ),
            Self::NoRevision => format!(
                "the {noun} has no revision `{revision}`: expected a branch, a tag or a commit's 40 digits; see \
                 {page}/commits/{DEFAULT_REVISION}"
            ),
            Self::NoFile => format!("the file is not in the {noun} any more; see {page}"),
            Self::Refused {
                address,
                status,
                message,
            } => {
                let advice = match status {
                    429 => "too many requests: wait some minutes",
                    500.. => "the server has trouble: try again later",
                    _ => "check HF_ENDPOINT, proxies and the token",
                };
                let message = match message.as_str() {
                    "" => String::new(),
                    message => format!(" ({message})"),
                };
                format!("{address}: refused with status {status}{message}; {advice}")
            }
            Self::NotAHub { address, what } => format!(
                "{address}: expected a Hugging Face hub, found {what}; check HF_ENDPOINT and proxies"
            ),
            Self::Cut {
                name,
                have,
                size,
                why,
            } => {
                let size = size.map_or("an unknown number".to_owned(), |size| size.to_string());
                format!(
                    "{name}: the transfer ended after {have} of {size} bytes, several times ({why}); run it again, it goes \
                     on from there"
                )
            }
            Self::Corrupt {
                name,
                expected,
                found,
            } => format!(
                "{name}: expected {expected}, found {found}; what was fetched is thrown away: run it again, and if it stays so, a \
                 proxy or mirror changes files (HF_ENDPOINT is {endpoint})"
            ),
            Self::NoSpace {
                name,
                directory,
                needed,
                free,
            } => format!(
                "{name}: needs {needed} bytes in {}, where {free} are free; free some, or set HF_HOME to another disk",
                directory.display()
            ),
            Self::Disk { path, source } => format!(
                "{}: cannot write: {source}; set HF_HOME or HF_HUB_CACHE to a directory that can be written to and has room",
                path.display()
            ),
            Self::Certificates { path, why } => format!(
                "SSL_CERT_FILE {}: expected certificates in PEM form: {why}; correct the variable, or unset it for Mozilla's",
                path.display()
            ),
        }
    }
}
