//! Colours for trained blocks, warnings, errors and the result. They convey nothing that the words
//! do not say as well. Everything that people read calls it.
//!
//! Terminals define blue or yellow as they like. The palette therefore consists of fixed colours of
//! medium lightness, out of the 256 that terminals share. Each is readable on black and on white.

use super::screen::Screen;
use std::{ffi::OsStr, io::IsTerminal};

/// The use of colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColourChoice {
    /// On terminals that support them, subject to `NO_COLOR`, `CLICOLOR` and `CLICOLOR_FORCE`.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl ColourChoice {
    /// The choices by the names that `--color` accepts.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("always", Self::Always),
        ("never", Self::Never),
    ];

    /// The paint for standard error.
    pub fn stderr(self) -> Paint {
        self.paint(std::io::stderr().is_terminal())
    }

    /// The paint for standard output.
    pub fn stdout(self) -> Paint {
        self.paint(std::io::stdout().is_terminal())
    }

    fn paint(self, terminal: bool) -> Paint {
        Paint {
            on: self.is_on(terminal, &|name| std::env::var_os(name)),
        }
    }

    fn is_on(self, terminal: bool, variable: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> bool {
        let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        let is = |name: &str, word: &str| variable(name).as_deref() == Some(OsStr::new(word));
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if is_set("NO_COLOR") => false,
            Self::Auto if is_set("CLICOLOR_FORCE") && !is("CLICOLOR_FORCE", "0") => true,
            Self::Auto => terminal && !is("TERM", "dumb") && !is("CLICOLOR", "0"),
        }
    }
}

/// A colour of the palette, with its number among the 256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Trained blocks: blue.
    Trained = 33,
    /// Blocks served by the prefix cache, and warnings: orange.
    Cached = 166,
    /// Errors: red.
    Error = 160,
    /// The result: green.
    Good = 28,
}

/// Paints texts, or leaves them unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Paints the text in a colour.
    pub fn colour(self, colour: Colour, text: &str) -> Screen {
        self.within(format_args!("38;5;{}", colour as u8), text)
    }

    /// Sets the text in bold.
    pub fn bold(self, text: &str) -> Screen {
        self.within(format_args!("1"), text)
    }

    fn within(self, code: std::fmt::Arguments<'_>, text: &str) -> Screen {
        let text = Screen::from(text);
        if self.on {
            Screen::painted(code, &text)
        } else {
            text
        }
    }

    /// Paints the squares of a drawing, each run of equal squares at once.
    pub fn squares(self, text: &str) -> Screen {
        if !self.on {
            return text.into();
        }
        let (mut painted, mut run, mut of) = (Screen::default(), String::new(), None);
        let colour_of = |c: char| match c {
            '■' => Some(Colour::Trained),
            '░' => Some(Colour::Cached),
            _ => None,
        };
        for c in text.chars() {
            let colour = colour_of(c);
            if colour != of {
                painted += self.run(of, &run);
                run.clear();
                of = colour;
            }
            run.push(c);
        }
        painted += self.run(of, &run);
        painted
    }

    fn run(self, colour: Option<Colour>, text: &str) -> Screen {
        match colour {
            Some(colour) => self.colour(colour, text),
            None => text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_are_heeded_in_their_order() {
        let on = |choice: ColourChoice, terminal: bool, set: &[(&str, &str)]| {
            let variable = |name: &str| {
                let found = set.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).into())
            };
            choice.is_on(terminal, &variable)
        };
        let (auto, always, never) = (
            ColourChoice::Auto,
            ColourChoice::Always,
            ColourChoice::Never,
        );
        assert!(on(auto, true, &[]));
        assert!(!on(auto, false, &[]));
        assert!(!on(auto, true, &[("NO_COLOR", "1")]));
        assert!(on(auto, true, &[("NO_COLOR", "")]), "empty: not set");
        assert!(on(auto, false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!on(auto, false, &[("CLICOLOR_FORCE", "0")]));
        assert!(!on(
            auto,
            false,
            &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]
        ));
        assert!(!on(auto, true, &[("TERM", "dumb")]));
        assert!(!on(auto, true, &[("CLICOLOR", "0")]));
        assert!(on(always, false, &[("NO_COLOR", "1")]), "asked for");
        assert!(!on(never, true, &[("CLICOLOR_FORCE", "1")]));
    }

    #[test]
    fn squares_are_painted_and_nothing_else() {
        let paint = Paint { on: true };
        assert_eq!(
            paint.squares("1 ■■·░ x").as_str(),
            "1 \x1b[38;5;33m■■\x1b[0m·\x1b[38;5;166m░\x1b[0m x"
        );
        assert_eq!(Paint { on: false }.squares("■░").as_str(), "■░");
    }

    /// Each colour's WCAG contrast with black and with white. WCAG requires 3 for large letters and
    /// drawings.
    #[test]
    fn every_colour_is_readable_on_black_and_on_white() {
        for colour in [Colour::Trained, Colour::Cached, Colour::Error, Colour::Good] {
            // The 6 × 6 × 6 colour cube begins at 16.
            let n = colour as u32 - 16;
            let level = |n: u32| {
                if n == 0 {
                    0.0
                } else {
                    f64::from(55 + 40 * n) / 255.0
                }
            };
            let linear = |x: f64| {
                if x <= 0.04045 {
                    x / 12.92
                } else {
                    ((x + 0.055) / 1.055).powf(2.4)
                }
            };
            let [red, green, blue] = [n / 36, n / 6 % 6, n % 6].map(|n| linear(level(n)));
            let light = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
            let (on_black, on_white) = ((light + 0.05) / 0.05, 1.05 / (light + 0.05));
            assert!(
                on_black >= 3.0 && on_white >= 3.0,
                "{colour:?}: {on_black:.2} on black, {on_white:.2} on white"
            );
        }
    }
}
