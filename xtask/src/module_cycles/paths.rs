//! The paths that Rust code names, from the crate's root, and the code without its tests. Called by
//! `module_cycles`. It works on tokens, so that paths inside macros count.

use super::{Names, child};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};

/// The place of some code: its module, and the names with which a path there may begin besides
/// `crate`, `self` and `super`.
pub(super) struct Place<'a> {
    module: &'a Names,
    children: BTreeSet<String>,
    imported: BTreeMap<String, Names>,
}

impl<'a> Place<'a> {
    pub(super) fn new(module: &'a Names) -> Self {
        Self {
            module,
            children: BTreeSet::new(),
            imported: BTreeMap::new(),
        }
    }

    /// Notes a module that this one declares.
    pub(super) fn declare(&mut self, child: &str) {
        self.children.insert(child.into());
    }

    /// Records the name that a `use` gives to a path.
    pub(super) fn import(&mut self, name: &str, target: &Names) {
        self.imported.insert(name.into(), target.clone());
    }

    /// A path's names from the crate's root; `None` if it leads out of the crate.
    fn resolved(&self, path: &[String]) -> Option<Names> {
        let first = path.first()?.as_str();
        let mut names = match first {
            "crate" => vec![],
            "self" => self.module.clone(),
            "super" => self.module[..self.module.len().checked_sub(1)?].to_vec(),
            _ if self.children.contains(first) => child(self.module, first),
            _ => self.imported.get(first)?.clone(),
        };
        for part in &path[1..] {
            match part.as_str() {
                "super" => drop(names.pop()),
                "self" => (),
                _ => names.push(part.clone()),
            }
        }
        Some(names)
    }
}

/// The tokens without the items under `#[cfg(test)]`, also as the first condition of an `all(…)`.
pub(super) fn without_tests(tokens: TokenStream) -> TokenStream {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut kept = TokenStream::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_for_tests(&tokens[at..]) {
            at = end_of_item(&tokens, at);
            continue;
        }
        kept.extend([match &tokens[at] {
            TokenTree::Group(group) => {
                TokenTree::Group(Group::new(group.delimiter(), without_tests(group.stream())))
            }
            other => other.clone(),
        }]);
        at += 1;
    }
    kept
}

/// Whether one of the first attributes of the tokens is such a `cfg`.
fn is_for_tests(tokens: &[TokenTree]) -> bool {
    tokens
        .chunks(2)
        .take_while(|pair| pair.len() == 2 && pair[0].to_string() == "#")
        .any(|pair| {
            let text = pair[1].to_string().replace(' ', "");
            text == "[cfg(test)]" || text.starts_with("[cfg(all(test,")
        })
}

/// One past the item that begins at `at`: behind its `;` or its braces.
fn end_of_item(tokens: &[TokenTree], mut at: usize) -> usize {
    let is_end = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        other => other.to_string() == ";",
    };
    while at < tokens.len() && !is_end(&tokens[at]) {
        at += 1;
    }
    // `use a::{b};` ends behind its braces.
    let follows = tokens.get(at + 1).map(ToString::to_string);
    if follows.as_deref() == Some(";") {
        at += 1;
    }
    at + 1
}

/// Every path in the tokens that leads into the crate, from its root.
pub(super) fn named_in(tokens: TokenStream, place: &Place) -> Vec<Names> {
    let mut found = Vec::new();
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Group(group) => found.extend(named_in(group.stream(), place)),
            TokenTree::Ident(_) => {
                let end = end_of_path(&tokens, at);
                let path: TokenStream = tokens[at..end].iter().cloned().collect();
                found.extend(use_tree(&path, place).into_iter().map(|(target, _)| target));
                at = end;
                continue;
            }
            _ => (),
        }
        at += 1;
    }
    found
}

/// One past the last token of `a::b::c` or `a::{…}` that begins at `at`.
fn end_of_path(tokens: &[TokenTree], at: usize) -> usize {
    let is_colon = |at: usize| tokens.get(at).is_some_and(|token| token.to_string() == ":");
    let mut end = at + 1;
    while is_colon(end) && is_colon(end + 1) {
        match tokens.get(end + 2) {
            Some(TokenTree::Ident(_)) => end += 3,
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                return end + 3;
            }
            _ => break,
        }
    }
    end
}

/// The paths of a `use` tree that lead into the crate, from its root, each with the name it gets.
pub(super) fn use_tree(tokens: &TokenStream, place: &Place) -> Vec<(Names, String)> {
    let mut found = Vec::new();
    branches(tokens, &mut vec![], &mut found);
    let resolved = |(path, name): (Names, String)| Some((place.resolved(&path)?, name));
    found.into_iter().filter_map(resolved).collect()
}

/// Follows a `use` tree to its leaves.
fn branches(tokens: &TokenStream, before: &mut Names, found: &mut Vec<(Names, String)>) {
    let depth = before.len();
    let mut name = None;
    let mut is_rename = false;
    for token in tokens.clone() {
        match token {
            TokenTree::Ident(ident) if ident == "as" => is_rename = true,
            TokenTree::Ident(ident) if is_rename => name = Some(ident.to_string()),
            TokenTree::Ident(ident) => before.push(ident.to_string()),
            TokenTree::Group(group) => {
                let mut part = TokenStream::new();
                for inner in group.stream() {
                    if inner.to_string() == "," {
                        branches(&part, before, found);
                        part = TokenStream::new();
                    } else {
                        part.extend([inner]);
                    }
                }
                branches(&part, before, found);
                before.truncate(depth);
                return;
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => (),
        }
    }
    if before.len() > depth {
        let last = before.last().cloned().unwrap_or_default();
        found.push((before.clone(), name.unwrap_or(last)));
    }
    before.truncate(depth);
}
