//! Downloads a file into the cache. Earlier partial transfers are resumed, and broken connections
//! are retried. Only contents with the hub's checksum get their final name. Called by `hub`.

use super::{
    cache::{Cache, not_through_links},
    checksum::Checksum,
    client::{Client, FileInfo},
    fault::Fault,
    observer::{Observer, Transfer},
    repository::Repository,
};
use progtune_process::files::durable;
use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};
use ureq::{Body, http::Response};

/// The delays before each retry after consecutive attempts that transferred nothing.
const WAITS_MS: [u64; 5] = [100, 500, 2000, 5000, 10_000];
/// Number of bytes read at once.
const CHUNK: usize = 1 << 18;

/// One file to fetch.
pub(super) struct Download<'a> {
    pub client: &'a Client,
    pub cache: &'a Cache,
    pub repository: &'a Repository,
    pub commit: &'a str,
    pub name: &'a str,
    pub info: &'a FileInfo,
    pub observer: &'a dyn Observer,
}

/// A blob that is not complete yet.
struct Partial {
    path: PathBuf,
    file: File,
    have: u64,
    checksum: Checksum,
}

impl Download<'_> {
    /// Fetches the blob, unless another process has done so meanwhile.
    ///
    /// # Errors
    /// See [`Fault`].
    pub(crate) fn run(&self) -> Result<(), Fault> {
        let blob = self.cache.blob(self.repository, &self.info.etag);
        let directory = blob.parent().unwrap_or(&self.cache.root).to_owned();
        let disk = |path: &Path| {
            let path = path.to_owned();
            move |source| Fault::Disk { path, source }
        };
        fs::create_dir_all(&directory).map_err(disk(&directory))?;
        let waiting = || {
            let text = format!("waiting: another process is fetching {}", self.name);
            self.observer.note(&text);
        };
        let locked = self.cache.lock(self.repository, &self.info.etag, waiting);
        let _lock = locked.map_err(disk(&self.cache.root))?;
        // Without links, another process has given the blob its name in the snapshot.
        let snapshot = self.cache.snapshot(self.repository, self.commit);
        if blob.exists() || snapshot.join(self.name).exists() {
            return Ok(());
        }
        let path = directory.join(format!("{}.incomplete", self.info.etag));
        let mut partial = self.open(path).map_err(disk(&directory))?;
        self.check_space(&directory, partial.have)?;
        let mut transfer = self.observer.begin(self.name, partial.have, self.info.size);
        let was_there = partial.have > 0;
        self.fill(&mut partial, &mut *transfer)?;
        if let Err(fault) = self.check(&mut partial) {
            self.restart(&mut partial).map_err(disk(&directory))?;
            // The leftover of an earlier process may be the cause.
            if !was_there {
                let _ = fs::remove_file(&partial.path);
                return Err(fault);
            }
            self.fill(&mut partial, &mut *transfer)?;
            if let Err(fault) = self.check(&mut partial) {
                let _ = fs::remove_file(&partial.path);
                return Err(fault);
            }
        }
        partial.file.sync_all().map_err(disk(&partial.path))?;
        durable::rename(&partial.path, &blob).map_err(disk(&blob))?;
        transfer.finish(partial.have);
        Ok(())
    }

    /// Opens the leftover of an earlier transfer and computes its checksum so far, or creates an
    /// empty file.
    fn open(&self, path: PathBuf) -> std::io::Result<Partial> {
        let mut options = File::options();
        options.read(true).append(true).create(true);
        not_through_links(&mut options);
        let mut file = options.open(&path)?;
        let mut checksum = Checksum::new(&self.info.etag, self.info.size);
        let mut have = 0;
        let mut chunk = vec![0; CHUNK];
        loop {
            match file.read(&mut chunk)? {
                0 => break,
                n => {
                    checksum.update(&chunk[..n]);
                    have += n as u64;
                }
            }
        }
        let mut partial = Partial {
            path,
            file,
            have,
            checksum,
        };
        if self.info.size.is_some_and(|size| have > size) {
            self.restart(&mut partial)?;
        }
        Ok(partial)
    }

    fn restart(&self, partial: &mut Partial) -> std::io::Result<()> {
        partial.file.set_len(0)?;
        partial.have = 0;
        partial.checksum = Checksum::new(&self.info.etag, self.info.size);
        Ok(())
    }

    /// Reports missing space before a long transfer rather than after it.
    fn check_space(&self, directory: &Path, have: u64) -> Result<(), Fault> {
        let needed = self.info.size.unwrap_or(0).saturating_sub(have);
        match free_space(directory) {
            Some(free) if free < needed => Err(Fault::NoSpace {
                name: self.name.to_owned(),
                directory: directory.to_owned(),
                needed,
                free,
            }),
            _ => Ok(()),
        }
    }

    /// Fetches until the file is complete; gives up after several consecutive attempts without
    /// progress.
    fn fill(&self, partial: &mut Partial, transfer: &mut dyn Transfer) -> Result<(), Fault> {
        let mut waits = WAITS_MS.iter();
        loop {
            if self.info.size == Some(partial.have) {
                return Ok(());
            }
            let before = partial.have;
            let why = match self.fetch_on(partial, transfer) {
                Ok(true) => return Ok(()),
                Ok(false) => "the connection was closed".to_owned(),
                Err(Fault::Unreachable { why, .. }) => why,
                Err(fault) if fault.may_pass() => format!("{fault:?}"),
                Err(fault) => return Err(fault),
            };
            tracing::info!(
                "{}: interrupted after {} bytes: {why}",
                self.name,
                partial.have
            );
            if partial.have > before {
                waits = WAITS_MS.iter();
            }
            let Some(&wait) = waits.next() else {
                return Err(Fault::Cut {
                    name: self.name.to_owned(),
                    have: partial.have,
                    size: self.info.size,
                    why,
                });
            };
            sleep(Duration::from_millis(wait));
        }
    }

    /// Sends one request for the missing bytes. Returns whether the answer, and thus the file, is
    /// complete.
    fn fetch_on(&self, partial: &mut Partial, transfer: &mut dyn Transfer) -> Result<bool, Fault> {
        let disk = |path: &Path| {
            let path = path.to_owned();
            move |source| Fault::Disk { path, source }
        };
        let Self {
            client,
            repository,
            commit,
            name,
            ..
        } = self;
        let answer = match client.bytes(repository, commit, name, partial.have) {
            // The leftover is longer than the file, so it belongs to another one.
            Err(Fault::Refused { status: 416, .. }) => {
                self.restart(partial).map_err(disk(&partial.path))?;
                client.bytes(repository, commit, name, 0)?
            }
            answer => answer?,
        };
        if range_start(&answer) != partial.have {
            // The server does not support ranges, or sent another one.
            self.restart(partial).map_err(disk(&partial.path))?;
            if range_start(&answer) != 0 {
                return Ok(false);
            }
        }
        let mut body = answer.into_body().into_reader();
        let mut chunk = vec![0; CHUNK];
        loop {
            let n = match body.read(&mut chunk) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) => {
                    return Err(Fault::Unreachable {
                        address: String::new(),
                        why: error.to_string(),
                    });
                }
            };
            let written = partial.file.write_all(&chunk[..n]);
            written.map_err(disk(&partial.path))?;
            partial.checksum.update(&chunk[..n]);
            partial.have += n as u64;
            transfer.add(n as u64, partial.have);
            // The file is longer than announced, so it is the wrong one; the rest is not needed.
            if self.info.size.is_some_and(|size| partial.have > size) {
                break;
            }
        }
        Ok(self.info.size.is_none_or(|size| partial.have >= size))
    }

    /// Compares size and hash with the hub's.
    fn check(&self, partial: &mut Partial) -> Result<(), Fault> {
        let corrupt = |expected: String, found: String| {
            Err(Fault::Corrupt {
                name: self.name.to_owned(),
                expected,
                found,
            })
        };
        if let Some(size) = self.info.size.filter(|&size| size != partial.have) {
            return corrupt(format!("{size} bytes"), partial.have.to_string());
        }
        let checksum = std::mem::replace(&mut partial.checksum, Checksum::Unknown);
        match checksum.finish() {
            Some(found) if found != self.info.etag => {
                corrupt(format!("contents with the hash {}", self.info.etag), found)
            }
            _ => Ok(()),
        }
    }
}

/// The position in the file at which the answer's bytes begin.
fn range_start(answer: &Response<Body>) -> u64 {
    if answer.status().as_u16() != 206 {
        return 0;
    }
    let range = answer.headers().get("content-range");
    range
        .and_then(|range| {
            let range = range.to_str().ok()?.trim().strip_prefix("bytes")?;
            range.trim().split('-').next()?.parse().ok()
        })
        .unwrap_or(u64::MAX)
}

/// The free bytes on the disk of a directory.
#[cfg(unix)]
fn free_space(directory: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(directory).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

#[cfg(not(unix))]
fn free_space(_: &Path) -> Option<u64> {
    None
}
