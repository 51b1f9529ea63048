//! Failures between progtune and the hub, and their messages. Made by `client` and `download`;
//! `hub` names the repository.

use super::{
    environment::Environment,
    repository::{DEFAULT_REVISION, Repository},
};
use progtune_plain_text::masked;
use std::path::PathBuf;

/// A failure.
#[derive(Debug)]
pub(super) enum Fault {
    /// No answer: there is no network or no such server, or the connection broke.
    Unreachable { address: String, why: String },
    /// The repository does not exist, or is hidden from this user.
    NoRepository,
    /// The repository exists, but its conditions were not accepted.
    Gated,
    /// The hub rejects the token.
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
    /// An answer that no hub would give.
    NotAHub { address: String, what: String },
    /// A transfer that was cut several times.
    Cut {
        name: String,
        have: u64,
        size: Option<u64>,
        why: String,
    },
    /// Contents that differ from the hub's.
    Corrupt {
        name: String,
        expected: String,
        found: String,
    },
    /// Less free space than the file needs.
    NoSpace {
        name: String,
        directory: PathBuf,
        needed: u64,
        free: u64,
    },
    /// The cache cannot be written.
    Disk {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The certificate file is unusable.
    Certificates { path: PathBuf, why: String },
}

impl Fault {
    /// A request without an answer.
    pub(crate) fn unreachable(address: &str, error: &ureq::Error) -> Self {
        Self::Unreachable {
            address: address.to_owned(),
            why: error.to_string(),
        }
    }

    /// Whether a retry may help, because the server is busy.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == 429 || *status >= 500)
    }

    /// Whether the cached copy may be used instead. A missing revision excludes that, because it
    /// was never correct.
    pub(crate) fn leaves_the_cache(&self) -> bool {
        !matches!(self, Self::NoRevision)
    }

    /// The message, with passwords in addresses masked.
    pub(crate) fn text(&self, repository: &Repository, environment: &Environment) -> String {
        masked(&self.unmasked(repository, environment)).into_owned()
    }

    /// The message without masking.
    fn unmasked(&self, repository: &Repository, environment: &Environment) -> String {
        let noun = repository.kind.noun();
        let endpoint = &environment.endpoint;
        let page = format!("{endpoint}/{}", repository.page());
        match self {
            Self::Unreachable { address, why } => unreachable(address, why),
            Self::NoRepository => no_repository(environment, noun, &page),
            Self::Gated => gated(environment, noun, &page),
            Self::BadToken => format!(
                "{endpoint} does not accept {}; replace it ({endpoint}/settings/tokens), or unset it, which is enough for \
                 public repositories",
                sent_token(environment)
            ),
            Self::NoRevision => format!(
                "the {noun} has no revision `{}`: expected a branch, a tag or a commit's 40 digits; see \
                 {page}/commits/{DEFAULT_REVISION}",
                repository.revision
            ),
            Self::NoFile => format!("the {noun} no longer contains this file; see {page}"),
            Self::Refused {
                address,
                status,
                message,
            } => refused(address, *status, message),
            Self::NotAHub { address, what } => format!(
                "{address}: expected a Hugging Face hub, found {what}; check HF_ENDPOINT and proxies"
            ),
            Self::Cut {
                name,
                have,
                size,
                why,
            } => cut(name, *have, *size, why),
            Self::Corrupt {
                name,
                expected,
                found,
            } => format!(
                "{name}: expected {expected}, found {found}; the download was thrown away: run the command again, and if \
                 this repeats, a proxy or mirror changes files (HF_ENDPOINT is {endpoint})"
            ),
            Self::NoSpace {
                name,
                directory,
                needed,
                free,
            } => format!(
                "{name}: needs {needed} bytes in {}, where {free} are free; free some space, or set HF_HOME to a directory \
                 on another disk",
                directory.display()
            ),
            Self::Disk { path, source } => format!(
                "{}: cannot write: {source}; set HF_HOME or HF_HUB_CACHE to a writable directory with enough space",
                path.display()
            ),
            Self::Certificates { path, why } => format!(
                "SSL_CERT_FILE {}: expected certificates in PEM format: {why}; correct the variable, or unset it to trust \
                 Mozilla's",
                path.display()
            ),
        }
    }
}

/// The advice to someone without a suitable token.
fn get_a_token(environment: &Environment) -> String {
    format!(
        "set HF_TOKEN, or run `hf auth login`, which writes {}",
        environment.token_path.display()
    )
}

/// The token that requests carried, by its origin.
fn sent_token(environment: &Environment) -> String {
    match &environment.token {
        Some(token) => format!("the token from {}", token.source),
        None => "no token".to_owned(),
    }
}

fn unreachable(address: &str, why: &str) -> String {
    let server = super::address::origin(address).unwrap_or_else(|| address.to_owned());
    let hint = if why.contains("certificate") {
        "; behind a TLS-inspecting proxy, set SSL_CERT_FILE to its certificates"
    } else {
        ""
    };
    format!("{server} does not answer ({why}{hint})")
}

fn no_repository(environment: &Environment, noun: &str, page: &str) -> String {
    let endpoint = &environment.endpoint;
    let private = match &environment.token {
        Some(_) => format!("or {} has no access to it", sent_token(environment)),
        None => format!(
            "or it is private and no token was found ({})",
            get_a_token(environment)
        ),
    };
    format!("{endpoint} has no such {noun}, {private}; check the name at {page}")
}

fn gated(environment: &Environment, noun: &str, page: &str) -> String {
    match &environment.token {
        Some(_) => format!(
            "the {noun} is gated, and {} has no access: accept its conditions at {page} and use a token of that account",
            sent_token(environment)
        ),
        None => format!(
            "the {noun} is gated and no token was sent: accept its conditions at {page} and {}",
            get_a_token(environment)
        ),
    }
}

fn refused(address: &str, status: u16, message: &str) -> String {
    let advice = match status {
        429 => "too many requests: wait a few minutes",
        500.. => "the server has a problem: try again later",
        _ => "check HF_ENDPOINT, proxies and the token",
    };
    let message = match message {
        "" => String::new(),
        message => format!(" ({message})"),
    };
    format!("{address}: refused with status {status}{message}; {advice}")
}

fn cut(name: &str, have: u64, size: Option<u64>, why: &str) -> String {
    let progress = match size {
        Some(size) => format!("{have} of {size} bytes"),
        None => format!("{have} bytes of an unknown total"),
    };
    format!(
        "{name}: the transfer ended several times, last after {progress} ({why}); run the command again to resume it"
    )
}
