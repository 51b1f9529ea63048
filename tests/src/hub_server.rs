//! A local Hugging Face hub: the routes that clients use, over HTTP. Like the real hub it has a
//! second server for large files, and it can fail on request. The tests that name models and data
//! sets by id use it.

use serde_json::json;
use sha1::{Digest, Sha1};
use sha2::Sha256;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// A repository on the hub.
#[derive(Debug, Clone, Default)]
pub struct Repo {
    /// `org/name` for a model, `datasets/org/name` for a data set.
    pub path: String,
    /// The commit to which `main` and every name in `revisions` resolve.
    pub commit: String,
    /// Further names for the commit.
    pub revisions: Vec<String>,
    /// File names and their contents.
    pub files: Vec<(String, Vec<u8>)>,
    /// Names of the files that are stored outside git because they are large.
    pub large: Vec<String>,
    /// Whether only users who have accepted conditions get files.
    pub gated: bool,
}

/// A fault that happens once to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The connection ends after this many bytes of the response body.
    Cut(usize),
    /// One byte is changed.
    Corrupt,
    /// The range in the request is ignored.
    Whole,
    /// The server is busy.
    Busy,
    /// The size in the headers is this number of bytes.
    Size(u64),
}

/// A request as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `HEAD`.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The header, or an empty string.
    pub authorization: String,
    /// The header, or an empty string.
    pub range: String,
    /// Whether the request reached the server for large files.
    pub to_cdn: bool,
}

#[derive(Default)]
struct State {
    repos: Vec<Repo>,
    renamed: Vec<(String, String)>,
    troubles: Vec<(String, Trouble)>,
    requests: Vec<Request>,
    token: Option<String>,
    hub: String,
    cdn: String,
}

/// The two servers, which end with the test's process.
pub struct HubServer {
    state: Arc<Mutex<State>>,
}

impl HubServer {
    /// Starts a hub with these repositories.
    pub fn new(repos: Vec<Repo>) -> Self {
        let state = Arc::new(Mutex::new(State {
            repos,
            ..State::default()
        }));
        let serve = |to_cdn: bool| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("an address");
            let state = Arc::clone(&state);
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let state = Arc::clone(&state);
                    thread::spawn(move || answer(stream, &state, to_cdn));
                }
            });
            format!("http://{address}")
        };
        let (hub, cdn) = (serve(false), serve(true));
        {
            let mut state = state.lock().expect("a lock");
            (state.hub, state.cdn) = (hub, cdn);
        }
        Self { state }
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().expect("a lock"))
    }

    /// The hub's address, for `HF_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        self.with(|state| state.hub.clone())
    }

    /// Redirects the old path to the new one.
    pub fn rename(&self, old: &str, new: &str) {
        self.with(|state| state.renamed.push((old.to_owned(), new.to_owned())));
    }

    /// Makes the next response with this file's contents (or headers, for a size) fail in this way.
    pub fn trouble(&self, file: &str, trouble: Trouble) {
        self.with(|state| state.troubles.push((file.to_owned(), trouble)));
    }

    /// Accepts only this token and refuses all others.
    pub fn know_token(&self, token: &str) {
        self.with(|state| state.token = Some(token.to_owned()));
    }

    /// Adds or replaces a repository.
    pub fn put(&self, repo: Repo) {
        self.with(|state| {
            state.repos.retain(|other| other.path != repo.path);
            state.repos.push(repo);
        });
    }

    /// The requests since the previous call.
    pub fn requests(&self) -> Vec<Request> {
        self.with(|state| std::mem::take(&mut state.requests))
    }
}

impl Repo {
    /// A repository with these files, none of them large.
    pub fn new(path: &str, commit: &str, files: Vec<(String, Vec<u8>)>) -> Self {
        Self {
            path: path.to_owned(),
            commit: commit.repeat(40 / commit.len()),
            files,
            ..Self::default()
        }
    }

    /// Marks a file as large.
    pub fn large(mut self, name: &str) -> Self {
        self.large.push(name.to_owned());
        self
    }

    /// The hub's ETag for a file: git's hash, or SHA-256 for a large file.
    pub fn etag(&self, name: &str) -> String {
        let contents = self.contents(name).expect("a file of the repository");
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
        if self.large.iter().any(|large| large == name) {
            hex(&Sha256::digest(contents))
        } else {
            let mut blob = format!("blob {}\0", contents.len()).into_bytes();
            blob.extend(contents);
            hex(&Sha1::digest(&blob))
        }
    }

    fn contents(&self, name: &str) -> Option<&[u8]> {
        let file = self.files.iter().find(|(file, _)| file == name);
        file.map(|(_, contents)| contents.as_slice())
    }

    fn has(&self, revision: &str) -> bool {
        revision == "main"
            || revision == self.commit
            || self.revisions.iter().any(|name| name == revision)
    }
}

/// A response under construction.
struct Answer {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// The file that the body belongs to.
    file: String,
}

fn refuse(status: &'static str, code: &str, message: &str) -> Answer {
    Answer {
        status,
        headers: vec![
            ("X-Error-Code", code.to_owned()),
            ("X-Error-Message", message.to_owned()),
        ],
        body: message.as_bytes().to_vec(),
        file: String::new(),
    }
}

/// Reads a request; `None` if the connection ends before the headers do.
fn read_request(stream: &TcpStream, to_cdn: bool) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(n) if n > 0 => {}
            _ => return None,
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let mut words = lines[0].split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let header = |name: &str| {
        let find = |line: &String| {
            let (key, value) = line.split_once(':')?;
            (key.eq_ignore_ascii_case(name)).then(|| value.trim().to_owned())
        };
        lines.iter().find_map(find).unwrap_or_default()
    };
    Some(Request {
        method: word(),
        path: word(),
        authorization: header("authorization"),
        range: header("range"),
        to_cdn,
    })
}

fn answer(stream: TcpStream, state: &Mutex<State>, to_cdn: bool) {
    let Some(request) = read_request(&stream, to_cdn) else {
        return;
    };
    let mut state = state.lock().expect("a lock");
    state.requests.push(request.clone());
    let mut answer = if to_cdn {
        state.cdn(&request)
    } else {
        state.hub(&request)
    };
    let mut take = |found: fn(&Trouble) -> bool| {
        let file = &answer.file;
        let at = state
            .troubles
            .iter()
            .position(|(name, trouble)| name == file && found(trouble))?;
        Some(state.troubles.remove(at).1)
    };
    if let Some(Trouble::Size(size)) = take(|t| matches!(t, Trouble::Size(_))) {
        let headers = &mut answer.headers;
        headers.retain(|(name, _)| *name != "X-Linked-Size");
        headers.push(("X-Linked-Size", size.to_string()));
    }
    let is_get = request.method == "GET";
    let has_body = is_get && answer.status.starts_with('2') && !answer.file.is_empty();
    let mut cut = None;
    if has_body {
        match take(|t| !matches!(t, Trouble::Size(_))) {
            Some(Trouble::Busy) => answer = refuse("503 Service Unavailable", "", ""),
            Some(Trouble::Cut(n)) => cut = Some(n),
            Some(Trouble::Corrupt) => {
                if let Some(byte) = answer.body.last_mut() {
                    *byte ^= 1;
                }
            }
            Some(Trouble::Whole) => answer.file.clear(),
            _ => {}
        }
    }
    drop(state);
    if has_body && !answer.file.is_empty() && !request.range.is_empty() {
        take_range(&mut answer, &request.range);
    }
    send(&stream, &answer, is_get, cut);
}

/// Sends a response: the headers, and for `GET` the body or its first `cut` bytes.
fn send(mut stream: &TcpStream, answer: &Answer, is_get: bool, cut: Option<usize>) {
    let mut head = format!("HTTP/1.1 {}\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", answer.body.len());
    let body = if is_get {
        &answer.body[..cut.unwrap_or(answer.body.len()).min(answer.body.len())]
    } else {
        &[]
    };
    // A client that has gone away is not the server's concern.
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body))
        .and_then(|()| stream.flush());
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read(&mut [0]);
}

fn take_range(answer: &mut Answer, range: &str) {
    let start = range
        .strip_prefix("bytes=")
        .and_then(|range| range.split('-').next()?.parse::<usize>().ok())
        .expect("a range");
    let size = answer.body.len();
    if start >= size {
        *answer = refuse("416 Range Not Satisfiable", "", "");
        return;
    }
    answer.status = "206 Partial Content";
    answer.headers.push((
        "Content-Range",
        format!("bytes {start}-{}/{size}", size - 1),
    ));
    answer.body.drain(..start);
}

impl State {
    /// Serves large files by their hash.
    fn cdn(&self, request: &Request) -> Answer {
        let wanted = request.path.trim_start_matches("/blobs/");
        for repo in &self.repos {
            for name in &repo.large {
                if repo.etag(name) == wanted {
                    return Answer {
                        status: "200 OK",
                        headers: Vec::new(),
                        body: repo.contents(name).unwrap_or_default().to_vec(),
                        file: name.clone(),
                    };
                }
            }
        }
        refuse("404 Not Found", "", "")
    }

    fn hub(&self, request: &Request) -> Answer {
        let path = request.path.split('?').next().unwrap_or_default();
        if let Some(token) = request.authorization.strip_prefix("Bearer ")
            && self.token.as_ref().is_some_and(|known| known != token)
        {
            let message = "Invalid credentials in Authorization header";
            return refuse("401 Unauthorized", "", message);
        }
        for (old, new) in &self.renamed {
            for (old, new) in [
                (format!("/{old}/"), format!("/{new}/")),
                (format!("/api/models/{old}/"), format!("/api/models/{new}/")),
            ] {
                if let Some(rest) = path.strip_prefix(&old) {
                    let mut answer = refuse("307 Temporary Redirect", "", "");
                    answer.headers.push(("Location", format!("{new}{rest}")));
                    return answer;
                }
            }
        }
        for repo in &self.repos {
            let (kind, id) = match repo.path.strip_prefix("datasets/") {
                Some(id) => ("datasets", id),
                None => ("models", repo.path.as_str()),
            };
            let api = format!("/api/{kind}/{id}/");
            if let Some(rest) = path.strip_prefix(&api) {
                return repo.api(rest);
            }
            let resolve = format!("/{}/resolve/", repo.path);
            if let Some(rest) = path.strip_prefix(&resolve) {
                return self.resolve(repo, rest, request);
            }
        }
        // Like the real hub: a repository that does not exist might be private.
        let status = if request.authorization.is_empty() {
            "401 Unauthorized"
        } else {
            "404 Not Found"
        };
        refuse(status, "RepoNotFound", "Repository not found")
    }

    fn resolve(&self, repo: &Repo, rest: &str, request: &Request) -> Answer {
        let (revision, name) = rest.split_once('/').unwrap_or_default();
        if repo.gated && request.authorization.is_empty() {
            let message = "Access to this model is restricted";
            return refuse("401 Unauthorized", "GatedRepo", message);
        }
        if !repo.has(&revision.replace("%2F", "/")) {
            return refuse("404 Not Found", "RevisionNotFound", "Invalid rev id");
        }
        let commit = ("X-Repo-Commit", repo.commit.clone());
        let Some(contents) = repo.contents(name) else {
            let mut answer = refuse("404 Not Found", "EntryNotFound", "Entry not found");
            answer.headers.push(commit);
            return answer;
        };
        let etag = format!("\"{}\"", repo.etag(name));
        if !repo.large.iter().any(|large| large == name) {
            return Answer {
                status: "200 OK",
                headers: vec![commit, ("ETag", etag)],
                body: contents.to_vec(),
                file: name.to_owned(),
            };
        }
        Answer {
            status: "302 Found",
            headers: vec![
                commit,
                ("X-Linked-ETag", etag),
                ("X-Linked-Size", contents.len().to_string()),
                ("ETag", "\"of-the-redirect\"".to_owned()),
                (
                    "Location",
                    format!("{}/blobs/{}", self.cdn, repo.etag(name)),
                ),
            ],
            body: Vec::new(),
            file: name.to_owned(),
        }
    }
}

impl Repo {
    fn api(&self, rest: &str) -> Answer {
        let json = |value: serde_json::Value| Answer {
            status: "200 OK",
            headers: vec![("Content-Type", "application/json".to_owned())],
            body: value.to_string().into_bytes(),
            file: String::new(),
        };
        let (route, revision) = rest.split_once('/').unwrap_or_default();
        if !self.has(&revision.replace("%2F", "/")) {
            return refuse("404 Not Found", "RevisionNotFound", "Invalid rev id");
        }
        let files = self.files.iter();
        match route {
            "revision" => json(json!({
                "id": self.path.trim_start_matches("datasets/"),
                "sha": self.commit,
                "siblings": files.map(|(name, _)| json!({ "rfilename": name })).collect::<Vec<_>>(),
            })),
            "tree" => json(
                files
                    .map(|(name, contents)| {
                        let mut entry = json!({
                            "type": "file", "path": name, "size": contents.len(), "oid": "0".repeat(40),
                        });
                        if self.large.contains(name) {
                            entry["lfs"] = json!({
                                "oid": self.etag(name), "size": contents.len(), "pointerSize": 130,
                            });
                        }
                        entry
                    })
                    .collect(),
            ),
            _ => refuse("404 Not Found", "", "no such route"),
        }
    }
}
