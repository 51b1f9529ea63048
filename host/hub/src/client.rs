//! The hub's HTTP routes: the commit and files of a repository, the metadata of a file, and its
//! bytes. Called by `hub` and `download`.
//!
//! Redirects are followed here and not by `ureq`, for two reasons. The token is sent to the hub's
//! own address only. And the hub's metadata of a file is in its redirect, not in the answer of the
//! server behind it.

use super::{
    address::{encode_path, encode_revision, origin, redirected},
    environment::Environment,
    fault::Fault,
    repository::{Repository, is_commit, is_plain_path},
};
use serde_json::Value;
use std::{thread::sleep, time::Duration};
use ureq::{
    Agent, Body,
    http::{HeaderMap, Response},
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

/// The delays before each retry when a server is busy.
const WAITS_MS: [u64; 3] = [100, 1000, 5000];
/// More redirects than this are treated as a loop.
const MAX_REDIRECTS: usize = 10;
/// A listing with more bytes than this is rejected.
const MAX_LISTING_BYTES: u64 = 256 << 20;

/// A client of one hub.
pub(super) struct Client {
    agent: Agent,
    endpoint: String,
    authorization: Option<String>,
}

/// The contents of a repository at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listing {
    /// The commit.
    pub commit: String,
    /// The names of its files.
    pub names: Vec<String>,
}

/// The metadata of a file, known before it is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileInfo {
    /// The entity tag of its contents, usually their hash.
    pub etag: String,
    /// Its size in bytes; `None` if the server does not say.
    pub size: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Head,
    Get,
}

impl Client {
    /// Creates a client with the settings of the environment, without sending anything.
    ///
    /// # Errors
    /// Fails if the certificate file cannot be read.
    pub(crate) fn new(environment: &Environment) -> Result<Self, Fault> {
        let tls = match &environment.certificates {
            Some(path) => {
                let unreadable = |why: String| Fault::Certificates {
                    path: path.clone(),
                    why,
                };
                let pem = std::fs::read(path).map_err(|e| unreadable(e.to_string()))?;
                let items: Result<Vec<PemItem<'_>>, _> = parse_pem(&pem).collect();
                let items = items.map_err(|e| unreadable(e.to_string()))?;
                let certificates = items.into_iter().filter_map(|item| match item {
                    PemItem::Certificate(certificate) => Some(certificate),
                    _ => None,
                });
                TlsConfig::builder().root_certs(RootCerts::from(certificates))
            }
            None => TlsConfig::builder(),
        };
        let agent = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("progtune/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(environment.answer_timeout))
            .timeout_recv_response(Some(environment.stall_timeout))
            .timeout_per_read(Some(environment.stall_timeout))
            .build()
            .into();
        let token = environment.token.as_ref();
        Ok(Self {
            agent,
            endpoint: environment.endpoint.clone(),
            authorization: token.map(|token| format!("Bearer {}", token.secret)),
        })
    }

    /// Requests the commit and the files of a repository.
    ///
    /// # Errors
    /// See [`Fault`].
    pub(crate) fn listing(&self, repository: &Repository) -> Result<Listing, Fault> {
        let address = format!(
            "{}/api/{}/{}/revision/{}",
            self.endpoint,
            repository.kind.plural(),
            repository.id,
            encode_revision(&repository.revision)
        );
        let (mut answer, _) = self.patiently(Method::Get, &address, 0)?;
        let body = answer.body_mut().with_config().limit(MAX_LISTING_BYTES);
        let text = body
            .read_to_string()
            .map_err(|e| Fault::unreachable(&address, &e))?;
        let strange = |what: &str| Fault::NotAHub {
            address: address.clone(),
            what: what.to_owned(),
        };
        let json: Value =
            serde_json::from_str(&text).map_err(|_| strange("an answer that is not JSON"))?;
        let commit = json["sha"].as_str().unwrap_or_default();
        if !is_commit(commit) {
            return Err(strange("an answer without a commit in `sha`"));
        }
        let files = json["siblings"].as_array();
        let files = files.ok_or_else(|| strange("an answer without files in `siblings`"))?;
        let names = files.iter().filter_map(|file| file["rfilename"].as_str());
        Ok(Listing {
            commit: commit.to_owned(),
            // Git allows no other names, and these stay inside the snapshot.
            names: names
                .filter(|name| is_plain_path(name))
                .map(str::to_owned)
                .collect(),
        })
    }

    /// Requests the metadata of a file at a commit.
    ///
    /// # Errors
    /// See [`Fault`].
    pub(crate) fn file_info(
        &self,
        repository: &Repository,
        commit: &str,
        name: &str,
    ) -> Result<FileInfo, Fault> {
        let address = self.file_address(repository, commit, name);
        let (answer, address) = self.patiently(Method::Head, &address, 0)?;
        let headers = answer.headers();
        let strange = |what: String| Fault::NotAHub {
            address: address.clone(),
            what,
        };
        match header(headers, "x-repo-commit") {
            Some(answered) if answered == commit => {}
            Some(other) => return Err(strange(format!("a file of the commit {other}"))),
            None => return Err(strange("an answer without `x-repo-commit`".into())),
        }
        let etag = header(headers, "x-linked-etag").or_else(|| header(headers, "etag"));
        let etag = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"').to_owned());
        let etag = etag.filter(|etag| {
            let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            is_plain_path(etag) && etag.len() <= 200 && etag.bytes().all(is_name)
        });
        let linked = header(headers, "x-linked-size");
        let size = if answer.status().is_redirection() {
            linked
        } else {
            linked.or_else(|| header(headers, "content-length"))
        };
        Ok(FileInfo {
            etag: etag.ok_or_else(|| strange("an answer without a usable `etag`".into()))?,
            size: size.and_then(|size| size.parse().ok()),
        })
    }

    /// Requests the bytes of a file from `start`. The answer has status 206 if it begins there, and
    /// 200 if it begins at 0.
    ///
    /// # Errors
    /// See [`Fault`].
    pub(crate) fn bytes(
        &self,
        repository: &Repository,
        commit: &str,
        name: &str,
        start: u64,
    ) -> Result<Response<Body>, Fault> {
        let address = self.file_address(repository, commit, name);
        Ok(self.send(Method::Get, &address, start)?.0)
    }

    fn file_address(&self, repository: &Repository, commit: &str, name: &str) -> String {
        format!(
            "{}/{}/resolve/{}/{}",
            self.endpoint,
            repository.page(),
            encode_revision(commit),
            encode_path(name)
        )
    }

    /// Like [`Client::send`], but retries when a server is busy.
    fn patiently(
        &self,
        method: Method,
        address: &str,
        start: u64,
    ) -> Result<(Response<Body>, String), Fault> {
        let mut waits = WAITS_MS.iter();
        loop {
            match (self.send(method, address, start), waits.next()) {
                (Err(fault), Some(&wait)) if fault.may_pass() => {
                    tracing::info!("{address}: {fault:?}; trying again");
                    sleep(Duration::from_millis(wait));
                }
                (answer, _) => return answer,
            }
        }
    }

    /// Sends a request and returns the successful answer with its address. A `HEAD` request returns
    /// the hub's own answer: it does not follow a redirect to another server.
    fn send(
        &self,
        method: Method,
        address: &str,
        start: u64,
    ) -> Result<(Response<Body>, String), Fault> {
        let mut address = address.to_owned();
        for _ in 0..MAX_REDIRECTS {
            let mut request = match method {
                Method::Head => self.agent.head(&address),
                Method::Get => self.agent.get(&address),
            }
            .header("accept-encoding", "identity");
            let is_hub = origin(&address).is_some_and(|o| Some(o) == origin(&self.endpoint));
            if let Some(authorization) = self.authorization.as_ref().filter(|_| is_hub) {
                request = request.header("authorization", authorization);
            }
            if start > 0 {
                request = request.header("range", format!("bytes={start}-"));
            }
            let answer = request
                .call()
                .map_err(|e| Fault::unreachable(&address, &e))?;
            let status = answer.status();
            if status.is_success() {
                return Ok((answer, address));
            }
            if !status.is_redirection() {
                return Err(refusal(answer, address, is_hub));
            }
            let location = header(answer.headers(), "location");
            let next = location.and_then(|location| redirected(&address, &location));
            let next = next.ok_or_else(|| Fault::NotAHub {
                address: address.clone(),
                what: format!("a redirect (status {status}) that leads nowhere"),
            })?;
            if method == Method::Head && is_hub && origin(&next) != origin(&address) {
                return Ok((answer, address));
            }
            if address.starts_with("https:") && !next.starts_with("https:") {
                return Err(Fault::NotAHub {
                    address,
                    what: format!("a redirect to {next}, which is not encrypted"),
                });
            }
            address = next;
        }
        Err(Fault::NotAHub {
            address,
            what: format!("more than {MAX_REDIRECTS} redirects"),
        })
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.trim().to_owned())
}

/// The failure that a refusal means, by the hub's error code if there is one.
fn refusal(answer: Response<Body>, address: String, is_hub: bool) -> Fault {
    let status = answer.status().as_u16();
    let code = header(answer.headers(), "x-error-code").unwrap_or_default();
    let message = header(answer.headers(), "x-error-message").unwrap_or_default();
    match (code.as_str(), status) {
        ("RepoNotFound", _) => Fault::NoRepository,
        ("RevisionNotFound", _) => Fault::NoRevision,
        ("EntryNotFound", _) => Fault::NoFile,
        ("GatedRepo", _) => Fault::Gated,
        _ if is_hub && status == 401 && message.contains("Invalid credentials") => Fault::BadToken,
        // The hub hides private repositories from those who may not read them.
        (_, 401 | 404) if is_hub => Fault::NoRepository,
        _ => Fault::Refused {
            address,
            status,
            message,
        },
    }
}
