//! A directory that is held open. Its entries are opened relative to it, so that no link leads
//! elsewhere and a replaced directory is noticed. Called by the run directory, the prefix cache and
//! locks.

use super::medium::{self, Operation};
use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

/// Number of attempts at a name that other processes keep taking.
const TRIES: usize = 16;

/// An open directory.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    handle: system::Handle,
}

impl Folder {
    /// Opens a directory that a person named. Its path may lead through links.
    ///
    /// # Errors
    /// Fails if there is no such directory, or it cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            handle: system::open(path)?,
        })
    }

    /// The path at which the directory was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its path still leads to this directory.
    pub fn is_in_place(&self) -> bool {
        system::is_at(&self.handle, &self.path)
    }

    /// Opens the subdirectory of this name, and creates it if it does not exist. The name of a new
    /// one is forced to the disk, because nothing in it survives a power failure without it.
    ///
    /// # Errors
    /// Fails if the name belongs to something else (including a link), or the file system refuses.
    pub fn subfolder(&self, name: &str) -> io::Result<Self> {
        self.announce(Operation::Create, name)?;
        match system::make_directory(&self.handle, &self.path, name) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Err(_) => {}
            Ok(()) => self.sync()?,
        }
        self.existing_subfolder(name)
    }

    /// Opens the existing subdirectory of this name.
    ///
    /// # Errors
    /// Fails if there is none, or the name belongs to something else (including a link).
    pub fn existing_subfolder(&self, name: &str) -> io::Result<Self> {
        let path = self.path.join(name);
        if path.is_symlink() {
            return Err(is_a_link());
        }
        let handle = system::open_directory(&self.handle, &self.path, name)?;
        Ok(Self { path, handle })
    }

    /// Creates a new, empty file for reading and writing. An existing entry of this name is removed
    /// first. The target of a link and the other names of a hard-linked file stay untouched.
    ///
    /// # Errors
    /// Fails if a directory has the name, or the file system refuses.
    pub fn create(&self, name: &str) -> io::Result<File> {
        for _ in 0..TRIES {
            self.remove(name)?;
            match self.create_new(name) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                outcome => return outcome,
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    /// Creates a new, empty file under an unused name.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] if something, even a link, has the name.
    pub fn create_new(&self, name: &str) -> io::Result<File> {
        self.announce(Operation::Create, name)?;
        system::create_new(&self.handle, &self.path, name)
    }

    /// Opens a file of our own for reading and writing: a regular file of this user without other
    /// names.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is none, [`ErrorKind::InvalidInput`] if it is not such a
    /// file.
    pub fn open_own(&self, name: &str) -> io::Result<File> {
        let refused = |what: &str| io::Error::new(ErrorKind::InvalidInput, what.to_owned());
        match fs::symlink_metadata(self.path.join(name)) {
            Ok(about) if about.is_symlink() => return Err(is_a_link()),
            Ok(about) if !about.is_file() => return Err(refused("it is not a regular file")),
            Ok(_) => {}
            Err(error) => return Err(error),
        }
        let file = system::open_file(&self.handle, &self.path, name)?;
        system::check_own(&file.metadata()?).map_err(refused)?;
        Ok(file)
    }

    /// Whether this name still leads to the open file.
    pub fn holds(&self, name: &str, file: &File) -> bool {
        is_named(file, &self.path.join(name))
    }

    /// Removes a file or a link, but not the link's target. A missing name is not an error.
    ///
    /// # Errors
    /// Fails if the file system refuses.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        self.announce(Operation::Remove, name)?;
        match system::remove(&self.handle, &self.path, name, false) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes an empty directory. A missing name is not an error.
    ///
    /// # Errors
    /// Fails if it is not empty, or the file system refuses.
    pub fn remove_folder(&self, name: &str) -> io::Result<()> {
        self.announce(Operation::Remove, name)?;
        match system::remove(&self.handle, &self.path, name, true) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Forces the names in this directory to the disk. File systems that cannot do that are no
    /// error.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn sync(&self) -> io::Result<()> {
        self.announce(Operation::Sync, "")?;
        system::sync(&self.handle)
    }

    fn announce(&self, operation: Operation, name: &str) -> io::Result<()> {
        medium::announce(operation, &self.path.join(name))
    }

    /// The names of its entries, sorted. A name that is not UTF-8 cannot be ours, and is converted
    /// lossily.
    ///
    /// # Errors
    /// Fails if the directory cannot be read.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }
}

/// Whether a path leads to an open file.
pub(super) fn is_named(file: &File, path: &Path) -> bool {
    system::is_file_at(file, path)
}

fn is_a_link() -> io::Error {
    io::Error::new(
        ErrorKind::InvalidInput,
        "it is a symbolic link, which progtune does not follow in an output directory",
    )
}

#[cfg(unix)]
mod system {
    use rustix::{
        fd::OwnedFd,
        fs::{AtFlags, Mode, OFlags, fstat, mkdirat, openat, unlinkat},
    };
    use std::{
        fs::{self, File, Metadata},
        io,
        os::unix::fs::MetadataExt,
        path::Path,
    };

    pub(super) type Handle = OwnedFd;

    const DIRECTORY: OFlags = OFlags::RDONLY
        .union(OFlags::DIRECTORY)
        .union(OFlags::CLOEXEC);
    const FILE: OFlags = OFlags::RDWR.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

    pub(super) fn open(path: &Path) -> io::Result<Handle> {
        Ok(rustix::fs::open(path, DIRECTORY, Mode::empty())?)
    }

    pub(super) fn is_at(handle: &Handle, path: &Path) -> bool {
        let (Ok(held), Ok(found)) = (fstat(handle), fs::metadata(path)) else {
            return false;
        };
        // The types of these fields differ between systems.
        (held.st_dev, held.st_ino) == (found.dev(), found.ino())
    }

    pub(super) fn is_file_at(file: &File, path: &Path) -> bool {
        let (Ok(held), Ok(found)) = (file.metadata(), fs::symlink_metadata(path)) else {
            return false;
        };
        (held.dev(), held.ino()) == (found.dev(), found.ino())
    }

    pub(super) fn make_directory(handle: &Handle, _: &Path, name: &str) -> io::Result<()> {
        Ok(mkdirat(handle, name, Mode::from_raw_mode(0o777))?)
    }

    pub(super) fn open_directory(handle: &Handle, _: &Path, name: &str) -> io::Result<Handle> {
        let flags = DIRECTORY.union(OFlags::NOFOLLOW);
        Ok(openat(handle, name, flags, Mode::empty())?)
    }

    pub(super) fn create_new(handle: &Handle, _: &Path, name: &str) -> io::Result<File> {
        let flags = FILE.union(OFlags::CREATE).union(OFlags::EXCL);
        Ok(openat(handle, name, flags, Mode::from_raw_mode(0o666))?.into())
    }

    pub(super) fn open_file(handle: &Handle, _: &Path, name: &str) -> io::Result<File> {
        // Without `NONBLOCK`, a pipe that took the name meanwhile would block.
        let flags = FILE.union(OFlags::NONBLOCK);
        Ok(openat(handle, name, flags, Mode::empty())?.into())
    }

    pub(super) fn check_own(about: &Metadata) -> Result<(), &'static str> {
        if !about.is_file() {
            return Err("it is not a regular file");
        }
        if about.nlink() != 1 {
            return Err("the file has other names as well (hard links)");
        }
        // Compares with the user this process runs as, on systems that tell.
        match fs::metadata("/proc/self") {
            Ok(this) if this.uid() != about.uid() => Err("the file belongs to another user"),
            _ => Ok(()),
        }
    }

    pub(super) fn sync(handle: &Handle) -> io::Result<()> {
        crate::files::durable::accepted(rustix::fs::fsync(handle).map_err(io::Error::from))
    }

    pub(super) fn remove(handle: &Handle, _: &Path, name: &str, is_folder: bool) -> io::Result<()> {
        let flags = if is_folder {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        Ok(unlinkat(handle, name, flags)?)
    }
}

#[cfg(not(unix))]
mod system {
    use std::{
        fs::{self, File, Metadata},
        io,
        path::Path,
    };

    pub(super) type Handle = ();

    pub(super) fn open(path: &Path) -> io::Result<Handle> {
        fs::read_dir(path).map(drop)
    }

    pub(super) fn is_at(_: &Handle, path: &Path) -> bool {
        path.is_dir()
    }

    pub(super) fn is_file_at(_: &File, path: &Path) -> bool {
        path.is_file()
    }

    pub(super) fn make_directory(_: &Handle, path: &Path, name: &str) -> io::Result<()> {
        fs::create_dir(path.join(name))
    }

    pub(super) fn open_directory(_: &Handle, path: &Path, name: &str) -> io::Result<Handle> {
        open(&path.join(name))
    }

    pub(super) fn create_new(_: &Handle, path: &Path, name: &str) -> io::Result<File> {
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        options.open(path.join(name))
    }

    pub(super) fn open_file(_: &Handle, path: &Path, name: &str) -> io::Result<File> {
        File::options().read(true).write(true).open(path.join(name))
    }

    pub(super) fn check_own(about: &Metadata) -> Result<(), &'static str> {
        if about.is_file() {
            Ok(())
        } else {
            Err("it is not a regular file")
        }
    }

    pub(super) fn sync(_: &Handle) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn remove(_: &Handle, path: &Path, name: &str, is_folder: bool) -> io::Result<()> {
        if is_folder {
            fs::remove_dir(path.join(name))
        } else {
            fs::remove_file(path.join(name))
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::{io::Write, os::unix::fs::symlink};

    #[test]
    fn nothing_is_opened_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let [inside, outside] = ["inside", "outside"].map(|name| folder.path().join(name));
        fs::create_dir(&inside).unwrap();
        fs::create_dir(&outside).unwrap();
        let canary = outside.join("canary");
        fs::write(&canary, "precious").unwrap();
        let open = Folder::open(&inside).unwrap();
        symlink(&canary, inside.join("link")).unwrap();
        fs::hard_link(&canary, inside.join("name")).unwrap();
        symlink(&outside, inside.join("sub")).unwrap();
        symlink(outside.join("nothing"), inside.join("dangling")).unwrap();

        for name in ["link", "name"] {
            let error = open.open_own(name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}");
        }
        let kind = |error: io::Error| error.kind();
        assert_eq!(
            open.open_own("none").map_err(kind).err(),
            Some(ErrorKind::NotFound)
        );
        assert!(open.existing_subfolder("sub").is_err() && open.subfolder("sub").is_err());
        for name in ["link", "name", "dangling"] {
            assert!(open.create_new(name).is_err(), "{name}");
            open.create(name).unwrap().write_all(b"new").unwrap();
            assert_eq!(fs::read_to_string(inside.join(name)).unwrap(), "new");
            assert!(open.open_own(name).is_ok());
        }
        assert_eq!(fs::read_to_string(&canary).unwrap(), "precious");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_that_is_gone_or_replaced_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        fs::create_dir(&path).unwrap();
        let open = Folder::open(&path).unwrap();
        let sub = open.subfolder("sub").unwrap();
        assert!(open.is_in_place() && sub.is_in_place());
        fs::rename(&path, folder.path().join("moved")).unwrap();
        assert!(!open.is_in_place() && !sub.is_in_place());
        fs::create_dir(&path).unwrap();
        assert!(!open.is_in_place(), "another directory");
    }
}
