//! Names on the hub: a kind, an id and a revision. `fetch` parses them from `--model`, `--data` and
//! `--adapter`.

use std::path::Path;

/// The default revision.
pub(super) const DEFAULT_REVISION: &str = "main";

/// The kinds of repositories that progtune reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Models and adapters.
    Model,
    /// Data sets.
    Dataset,
}

impl Kind {
    /// The word in API addresses and in names of cache folders: `models`, `datasets`.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Dataset => "datasets",
        }
    }

    /// The word in messages.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Dataset => "data set",
        }
    }
}

/// A repository at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Model or data set.
    pub kind: Kind,
    /// `org/name`, or only `name` for some old models.
    pub id: String,
    /// A branch, a tag, `refs/pr/N` or a commit.
    pub revision: String,
}

impl Repository {
    /// Parses `org/name` or `name`, optionally followed by `@REVISION`. `None` if `text` cannot
    /// name a repository, for example because it is a path with more parts.
    pub fn parse(kind: Kind, text: &str) -> Option<Self> {
        let (id, revision) = match text.split_once('@') {
            Some((id, revision)) => (id, revision),
            None => (text, DEFAULT_REVISION),
        };
        (is_id(id) && is_revision(revision)).then(|| Self {
            kind,
            id: id.to_owned(),
            revision: revision.to_owned(),
        })
    }

    /// Whether the revision is a commit, which never changes.
    pub fn is_pinned(&self) -> bool {
        is_commit(&self.revision)
    }

    /// The folder in the cache: `models--org--name`.
    pub(super) fn folder(&self) -> String {
        format!("{}--{}", self.kind.plural(), self.id.replace('/', "--"))
    }

    /// The path of its page and files on the hub: `org/name`, `datasets/org/name`.
    pub(super) fn page(&self) -> String {
        match self.kind {
            Kind::Model => self.id.clone(),
            Kind::Dataset => format!("datasets/{}", self.id),
        }
    }
}

/// A model or data set in the cache, recognised by its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// `org/name`.
    pub id: String,
    /// The commit.
    pub commit: String,
}

impl Pin {
    /// Identifies a path in a snapshot below the cache directory `root`; `None` for any other path.
    pub(super) fn below(root: &Path, path: &Path) -> Option<Self> {
        let mut parts = path.strip_prefix(root).ok()?.iter();
        let mut part = || parts.next()?.to_str();
        let folder = part()?;
        let (_, id) = [Kind::Model, Kind::Dataset].into_iter().find_map(|kind| {
            let id = folder.strip_prefix(kind.plural())?.strip_prefix("--")?;
            Some((kind, id.replacen("--", "/", 1)))
        })?;
        (part()? == "snapshots").then_some(())?;
        Some(Self {
            id,
            commit: part()?.to_owned(),
        })
    }

    /// The name to type on a command line: `org/name@COMMIT`.
    pub fn typed(&self) -> String {
        format!("{}@{}", self.id, self.commit)
    }
}

/// Whether the text is a commit's name: 40 hexadecimal digits.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether the text is one or two parts of letters, digits, `-`, `_` and `.`. As on the hub, no
/// part begins or ends with `-` or `.`, and neither `--` nor `..` occurs.
fn is_id(id: &str) -> bool {
    let is_part = |part: &str| {
        let is_edge = |c: char| c == '-' || c == '.';
        !part.is_empty()
            && part.len() <= 96
            && !part.starts_with(is_edge)
            && !part.ends_with(is_edge)
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    id.split('/').count() <= 2
        && id.split('/').all(is_part)
        && !id.contains("--")
        && !id.contains("..")
        && !id.ends_with(".git")
}

/// Whether git accepts this name and it is a relative path in the cache.
fn is_revision(revision: &str) -> bool {
    is_plain_path(revision)
        && revision
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./+=".contains(c))
}

/// Whether a file's name stays inside its repository. Its parts are divided by `/`; none is empty,
/// `.` or `..`, or contains another system's separators.
pub(crate) fn is_plain_path(name: &str) -> bool {
    !name.contains(['\\', ':', '\0'])
        && name
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_revisions() {
        let parsed = |text| {
            let repository = Repository::parse(Kind::Model, text)?;
            Some((repository.id, repository.revision))
        };
        let some = |id: &str, revision: &str| Some((id.to_owned(), revision.to_owned()));
        for (text, expected) in [
            ("bert-base-uncased", some("bert-base-uncased", "main")),
            ("org/name_1.5", some("org/name_1.5", "main")),
            ("org/name@v1.0", some("org/name", "v1.0")),
            ("org/name@refs/pr/3", some("org/name", "refs/pr/3")),
            ("./bert", None),
            ("/models/bert", None),
            ("a/b/c", None),
            ("org/", None),
            ("org/na--me", None),
            ("org/..", None),
            ("..", None),
            ("org/name.git", None),
            ("org/name@", None),
            ("org/name@../../x", None),
            ("org/name@a b", None),
            ("C:\\bert", None),
            ("~/bert", None),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
        assert!(
            Repository::parse(Kind::Model, &format!("a/b@{}", "0a".repeat(20)))
                .is_some_and(|r| r.is_pinned())
        );
    }

    #[test]
    fn a_path_in_a_snapshot_tells_what_it_is_of() {
        let root = Path::new("/cache/hub");
        let commit = "0a".repeat(20);
        let below = |path: String| Pin::below(root, Path::new(&path)).map(|pin| pin.typed());
        assert_eq!(
            below(format!("/cache/hub/models--org--n/snapshots/{commit}")),
            Some(format!("org/n@{commit}"))
        );
        assert_eq!(
            below(format!("/cache/hub/datasets--glue/snapshots/{commit}/mrpc")),
            Some(format!("glue@{commit}"))
        );
        assert_eq!(below("/cache/hub/models--org--n/blobs/x".into()), None);
        assert_eq!(below("/elsewhere/bert".into()), None);
    }
}
