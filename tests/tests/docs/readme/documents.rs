//! Markdown as far as the documents use it: fenced blocks, the commands in them, headings and
//! links. The other modules of this test use it.

use super::outputs::Mode;
use progtune_tests::root;
use std::fs;

/// The kinds of blocks besides `rust FILE`. Blocks of the kinds `console` and `python` are about
/// other programs.
const KINDS: &[&str] = &["sh", "text", "text figures", "toml", "console", "python"];

/// README.md or a page in `docs/`.
pub(super) struct Document {
    /// The path from the root.
    pub path: String,
    /// The unchanged text.
    pub text: String,
    /// The fenced blocks.
    pub blocks: Vec<Block>,
}

/// A fenced block.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Block {
    /// The text after the opening fence.
    pub info: String,
    /// The lines between the fences.
    pub lines: Vec<String>,
    /// The number of the first line, counted from 1.
    pub first_line: usize,
}

/// The comment after a command that must fail.
const FAILS: &str = "  # fails";

/// A command in a document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Command {
    /// The command on one line.
    pub text: String,
    /// The line where it begins.
    pub line: usize,
    /// Whether it must fail.
    pub fails: bool,
}

/// A command's output as a document shows it.
pub(super) struct Shown<'a> {
    /// The block with the output.
    pub block: &'a Block,
    /// The way to compare it.
    pub mode: Mode,
}

impl Block {
    /// Whether the block holds commands.
    pub(super) fn is_commands(&self) -> bool {
        self.info == "sh"
    }

    /// The file whose contents the block is, such as `src/lib.rs`.
    pub(super) fn file(&self) -> Option<&str> {
        self.info.strip_prefix("rust ")
    }

    /// The way to compare the command output in this block; `None` if it shows none.
    pub(super) fn mode(&self) -> Option<Mode> {
        match self.info.as_str() {
            "text" => Some(Mode::Exact),
            "text figures" => Some(Mode::Figures),
            _ => None,
        }
    }

    /// The block's commands, with continued lines joined.
    pub(super) fn commands(&self) -> Vec<Command> {
        let mut commands = Vec::new();
        let mut open: Option<Command> = None;
        for (at, line) in self.lines.iter().enumerate() {
            let line = line.trim();
            let mut command = match open.take() {
                None if line.is_empty() || line.starts_with('#') => continue,
                None => Command {
                    text: String::new(),
                    line: self.first_line + at,
                    fails: false,
                },
                Some(command) => command,
            };
            match line.strip_suffix('\\') {
                Some(part) => {
                    command.text += part;
                    open = Some(command);
                }
                None => {
                    command.text += line;
                    command.fails = line.ends_with(FAILS);
                    commands.push(command);
                }
            }
        }
        assert_eq!(open, None, "a command that does not end");
        commands
    }
}

impl Document {
    /// README.md and every page in `docs/`.
    pub(super) fn all() -> Vec<Self> {
        let pages = fs::read_dir(root().join("docs")).expect("docs/");
        let names = pages.map(|entry| entry.expect("an entry").file_name());
        let names = names.map(|name| name.into_string().expect("a name in UTF-8"));
        let pages = names.filter(|name| name.ends_with(".md"));
        let mut paths: Vec<String> = pages.map(|name| format!("docs/{name}")).collect();
        paths.push("README.md".into());
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// Reads one document.
    pub(super) fn read(path: &str) -> Self {
        let text = fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        let mut blocks: Vec<Block> = Vec::new();
        let mut is_open = false;
        for (at, line) in text.lines().enumerate() {
            let fence = line.strip_prefix("```");
            match (fence, is_open) {
                (Some(info), false) => {
                    let info = info.to_owned();
                    let first_line = at + 2;
                    let is_known = KINDS.contains(&info.as_str()) || info.starts_with("rust ");
                    assert!(
                        is_known,
                        "{path}:{}: a block is {} or rust FILE, found `{info}`",
                        at + 1,
                        KINDS.join(", ")
                    );
                    blocks.push(Block {
                        info,
                        lines: Vec::new(),
                        first_line,
                    });
                    is_open = true;
                }
                (Some(_), true) => is_open = false,
                (None, true) => {
                    let block = blocks.last_mut().expect("it has been opened");
                    block.lines.push(line.to_owned());
                }
                (None, false) => assert!(
                    !line.starts_with("    ")
                        && !line.starts_with('\t')
                        && !line.starts_with("~~~"),
                    "{path}:{}: blocks are fenced by ```",
                    at + 1
                ),
            }
        }
        assert!(!is_open, "{path}: a block that does not end");
        for (at, block) in blocks.iter().enumerate() {
            let follows_commands = at > 0 && blocks[at - 1].is_commands();
            assert!(
                block.mode().is_none() || follows_commands,
                "{path}:{}: a text block is what the commands of the block before it print",
                block.first_line
            );
        }
        Self {
            path: path.to_owned(),
            text,
            blocks,
        }
    }

    /// The output that the document shows for the last command in a block: the next block, if it is
    /// text.
    pub(super) fn shown_after(&self, commands: &Block) -> Option<Shown<'_>> {
        let mut blocks = self.blocks.iter();
        let block = blocks.find(|block| block.first_line > commands.first_line)?;
        block.mode().map(|mode| Shown { block, mode })
    }

    /// The lines outside all blocks, with their numbers from 1.
    pub(super) fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_inside = |number: usize| {
            self.blocks.iter().any(|block| {
                number + 1 >= block.first_line && number <= block.first_line + block.lines.len()
            })
        };
        (1..)
            .zip(self.text.lines())
            .filter(move |(number, _)| !is_inside(*number))
    }

    /// Writes the document with other lines in some blocks.
    pub(super) fn write(&self, renewed: &[(&Block, Vec<String>)]) {
        let mut lines: Vec<&str> = self.text.lines().collect();
        for (block, new) in renewed.iter().rev() {
            let from = block.first_line - 1;
            lines.splice(
                from..from + block.lines.len(),
                new.iter().map(String::as_str),
            );
        }
        let text = lines.join("\n") + "\n";
        fs::write(root().join(&self.path), text).unwrap_or_else(|e| panic!("{}: {e}", self.path));
    }
}

/// The anchors that GitHub creates for a document's headings.
pub(super) fn anchors(document: &str) -> Vec<String> {
    let headings = document.lines().filter_map(|line| {
        let rest = line.trim_start_matches('#');
        (rest.len() < line.len())
            .then(|| rest.strip_prefix(' '))
            .flatten()
    });
    let anchor = |heading: &str| {
        let kept = heading.to_lowercase();
        let kept = kept
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// The targets of the links and pictures in a line.
pub(super) fn links(line: &str) -> impl Iterator<Item = &str> {
    let parts = line.split("](").skip(1);
    parts.filter_map(|part| part.split_once(')').map(|(target, _)| target))
}

/// The texts between single backquotes in a line.
pub(super) fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}
