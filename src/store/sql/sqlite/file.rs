use std::fs::OpenOptions;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// The database file, and which one it was when it was opened.
pub(super) struct DatabaseFile {
    path: PathBuf,
    identity: Identity,
}

impl DatabaseFile {
    /// The file that `sqlite://FILE` names; an empty one is made if there is none.
    pub(super) fn find_or_create(url: &str) -> Result<Self> {
        let path = url.strip_prefix("sqlite://").filter(|path| !path.is_empty() && !path.contains(['?', '\0']));
        let path = path.ok_or_else(|| Error::other("the URL of an SQLite database is sqlite://FILE, no parameters"))?;
        // Absolute: the process may change its directory.
        let path = std::path::absolute(path)?;

        let mut new = OpenOptions::new();
        // Never a file that exists: closing it would drop the locks that this process's SQLite may have on it.
        new.write(true).create_new(true);
        // SQLite gives the files beside it the same mode.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut new, 0o600);
        match new.open(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(naming(&path, &error)),
            _ => Ok(Self { identity: identity(&path)?, path }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// SQLite would go on with a deleted file, and what it writes there would be lost.
    pub(super) fn check(&self) -> Result<()> {
        if identity(&self.path)? == self.identity {
            Ok(())
        } else {
            Err(Error::other(format!("{} was replaced by another file", self.path.display())))
        }
    }
}

/// Device and inode. Elsewhere the system keeps an open file from being deleted.
type Identity = (u64, u64);

fn identity(path: &Path) -> Result<Identity> {
    let file = std::fs::metadata(path).map_err(|error| naming(path, &error))?;
    #[cfg(unix)]
    return Ok((std::os::unix::fs::MetadataExt::dev(&file), std::os::unix::fs::MetadataExt::ino(&file)));
    #[cfg(not(unix))]
    return Ok((0, u64::from(file.is_file())));
}

fn naming(path: &Path, error: &Error) -> Error {
    Error::new(error.kind(), format!("{}: {error}", path.display()))
}
