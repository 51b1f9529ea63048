//! The permissions of a plugin's file and directory: one that another user may change is not used.
//! Called by `discover`.
//!
//! A place to which everyone may write is always refused. So is one that belongs to a user other
//! than root, this user or the program's owner, because that user could change it. The exception is
//! a place named on the command line or in the configuration, because naming it is consent.

use std::path::Path;

/// The objection to using `path`, if there is one. `named` says whether the user named it or its
/// directory. The message calls it `subject`.
#[cfg(unix)]
pub(crate) fn objection(path: &Path, named: bool, subject: &str) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).ok()?;
    let program = std::env::current_exe().and_then(std::fs::metadata);
    let trusted = [
        0,
        rustix::process::geteuid().as_raw(),
        program.map_or(0, |program| program.uid()),
    ];
    judge(metadata.mode(), metadata.uid(), &trusted, named, subject)
}

#[cfg(not(unix))]
pub(crate) fn objection(_path: &Path, _named: bool, _subject: &str) -> Option<String> {
    None
}

#[cfg(unix)]
fn judge(mode: u32, owner: u32, trusted: &[u32], named: bool, subject: &str) -> Option<String> {
    if mode & 0o002 != 0 {
        return Some(format!(
            "everyone may write to {subject}, so everyone could run code as you; expected a plugin that only its owner may \
             change (chmod o-w)"
        ));
    }
    if !named && !trusted.contains(&owner) {
        return Some(format!(
            "{subject} belongs to the user with number {owner}, who could run code as you; expected a plugin that belongs to \
             you or to root (chown, or name its directory with --plugin-dir)"
        ));
    }
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_others_may_change_is_refused() {
        let trusted = [0, 1000];
        assert_eq!(judge(0o755, 1000, &trusted, false, "it"), None);
        assert_eq!(judge(0o775, 0, &trusted, false, "it"), None);
        for named in [false, true] {
            let text = judge(0o757, 1000, &trusted, named, "it").unwrap();
            assert!(text.starts_with("everyone may write"), "{text}");
        }
        assert!(
            judge(0o755, 1001, &trusted, false, "it")
                .unwrap()
                .contains("1001")
        );
        assert_eq!(judge(0o755, 1001, &trusted, true, "it"), None);
    }
}
