//! A file's bytes into the cache: what is there already is gone on from, a connection that breaks is made again, and what does not have
//! the hub's checksum never gets a name. Called by `hub`.

use super::{
    cache::{Cache, not_through_links},
    checksum::Checksum,
    client::{Client, FileInfo},
    fault::Fault,
    observer::{Observer, Transfer},
    repository::Repository,
};
use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};
use ureq::{Body, http::Response};

/// How long is waited before each new try in a row that brings nothing.
const WAITS_MS: [u64; 5] = [100, 500, 2000, 5000, 10_000];
/// Bytes that are read at once.
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

/// A blob that is not whole yet.
struct Partial {
    path: PathBuf,
    file: File,
    have: u64,
    checksum: Checksum,
}

impl Download<'_> {
    /// Makes the blob, if no other process has made it meanwhile.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn run(&self) -> Result<(), Fault> {
        let blob = self.cache.blob(self.repository, &self.info.etag);
        let directory = blob.parent().unwrap_or(&self.cache.root).to_owned();
        let disk = |path: &Path| {
            let path = path.to_owned();
            move |source| Fault::Disk { path, source }
        };
        fs::create_dir_all(&directory).map_err(disk(&directory))?;
        let waiting = || {
            let text = format!("waiting: another process fetches {}", self.name);
            self.observer.note(&text);
        };
        let locked = self.cache.lock(self.repository, &self.info.etag, waiting);
        let _lock = locked.map_err(disk(&self.cache.root))?;
        if blob.exists() {
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
            // What an earlier process left may be to blame.
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
        fs::rename(&partial.path, &blob).map_err(disk(&blob))?;
        transfer.finish(partial.have);
        Ok(())
    }

    /// What an earlier transfer left, with its checksum, or an empty file.
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

    /// Room that is missing is better heard of before hours than after.
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

    /// Fetches until all bytes are there; gives up when several tries in a row bring none.
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
            tracing::info!("{}: cut after {} bytes: {why}", self.name, partial.have);
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

    /// One request for what is missing. Whether the answer came to its end, and with it the file.
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
            // Beyond the end: what is there is not of this file.
            Err(Fault::Refused { status: 416, .. }) => {
                self.restart(partial).map_err(disk(&partial.path))?;
                client.bytes(repository, commit, name, 0)?
            }
            answer => answer?,
        };
        if range_start(&answer) != partial.have {
            // The server does not know ranges, or gives another one.
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
            // More than was promised is not this file; no need to hear the rest.
            if self.info.size.is_some_and(|size| partial.have > size) {
                break;
            }
        }
        Ok(self.info.size.is_none_or(|size| partial.have >= size))
    }

    /// Size and hash against what the hub says.
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

/// Where the bytes of an answer begin in the file.
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

/// Bytes that may still be written to the disk of a directory.
#[cfg(unix)]
fn free_space(directory: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(directory).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

#[cfg(not(unix))]
fn free_space(_: &Path) -> Option<u64> {
    None
}
