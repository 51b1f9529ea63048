//! Markdown as far as the documents use it: fenced blocks, the commands in them, headings and links. Used by the other modules
//! of this test.

use super::outputs::Mode;
use progtune_tests::root;
use std::fs;

/// README.md or a page of `docs/`.
pub struct Document {
    /// From the root.
    pub path: String,
    /// As it is.
    pub text: String,
    /// Its fenced blocks.
    pub blocks: Vec<Block>,
}

/// A fenced block.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// What stands after the opening fence.
    pub info: String,
    /// The lines between the fences.
    pub lines: Vec<String>,
    /// The number of the first of them, from 1.
    pub first_line: usize,
}

/// A command as it stands in a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// On one line.
    pub text: String,
    /// Where it begins.
    pub line: usize,
}

/// What a document shows of a command's output.
pub struct Shown<'a> {
    /// The block.
    pub block: &'a Block,
    /// How it is to be compared.
    pub mode: Mode,
}

impl Block {
    /// Whether it holds commands.
    pub fn is_commands(&self) -> bool {
        self.info == "sh"
    }

    /// How what it shows of a command's output is to be compared; `None`: it shows none.
    pub fn mode(&self) -> Option<Mode> {
        match self.info.as_str() {
            "text" => Some(Mode::Exact),
            "text figures" => Some(Mode::Figures),
            _ => None,
        }
    }

    /// Its commands, those of several lines put together.
    pub fn commands(&self) -> Vec<Command> {
        let mut commands = Vec::new();
        let mut open: Option<Command> = None;
        for (at, line) in self.lines.iter().enumerate() {
            let line = line.trim();
            let mut command = match open.take() {
                None if line.is_empty() || line.starts_with('#') => continue,
                None => Command {
                    text: String::new(),
                    line: self.first_line + at,
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
                    commands.push(command);
                }
            }
        }
        assert_eq!(open, None, "a command that does not end");
        commands
    }
}

impl Document {
    /// README.md and every page of `docs/`.
    pub fn all() -> Vec<Self> {
        let pages = fs::read_dir(root().join("docs")).expect("docs/");
        let names = pages.map(|entry| entry.expect("an entry").file_name());
        let names = names.map(|name| name.into_string().expect("a name in UTF-8"));
        let pages = names.filter(|name| name.ends_with(".md"));
        let mut paths: Vec<String> = pages.map(|name| format!("docs/{name}")).collect();
        paths.push("README.md".into());
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// One of them.
    pub fn read(path: &str) -> Self {
        let text = fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        let mut blocks: Vec<Block> = Vec::new();
        let mut is_open = false;
        for (at, line) in text.lines().enumerate() {
            let fence = line.strip_prefix("```");
            match (fence, is_open) {
                (Some(info), false) => {
                    let info = info.to_owned();
                    let first_line = at + 2;
                    assert!(
                        ["sh", "text", "text figures", "toml"].contains(&info.as_str()),
                        "{path}:{}: a block is sh, text, text figures or toml, found `{info}`",
                        at + 1
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

    /// What the document shows of the last command of a block: the next block, if it is text.
    pub fn shown_after(&self, commands: &Block) -> Option<Shown<'_>> {
        let mut blocks = self.blocks.iter();
        let block = blocks.find(|block| block.first_line > commands.first_line)?;
        block.mode().map(|mode| Shown { block, mode })
    }

    /// The lines that are in no block, with their numbers from 1.
    pub fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_inside = |number: usize| {
            self.blocks.iter().any(|block| {
                number + 1 >= block.first_line && number <= block.first_line + block.lines.len()
            })
        };
        (1..)
            .zip(self.text.lines())
            .filter(move |(number, _)| !is_inside(*number))
    }

    /// Writes it with other lines in some blocks.
    pub fn write(&self, renewed: &[(&Block, Vec<String>)]) {
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

/// The anchors that GitHub makes of a document's headings.
pub fn anchors(document: &str) -> Vec<String> {
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

/// The targets of a line's links and pictures.
pub fn links(line: &str) -> impl Iterator<Item = &str> {
    let parts = line.split("](").skip(1);
    parts.filter_map(|part| part.split_once(')').map(|(target, _)| target))
}

/// What stands between single backquotes in a line.
pub fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}
