//! The mistakes in an [`export_plugin!`](crate::export_plugin), in words: compile errors that say
//! which field of which entry or option is missing or out of order. Called by the last arms of the
//! macros in `export`.

use crate::manifest::{DefaultSpec, EntrySpec, PluginSpec};

/// Checks at compile time what a host or a user would find later: ids, names and defaults. A
/// message cannot contain the text at fault; the compiler shows the library's `export_plugin!`.
pub const fn assert_sound(spec: &PluginSpec) {
    let mut at = 0;
    while at < spec.entries.len() {
        let entry = &spec.entries[at];
        assert!(
            is_kebab(entry.id),
            "export_plugin!: an id has lower-case letters and digits in parts joined by -, such as top-half"
        );
        let mut before = 0;
        while before < at {
            let other = &spec.entries[before];
            let is_same = equal(other.id, entry.id) && equal(other.kind, entry.kind);
            assert!(
                !is_same,
                "export_plugin!: two schedules or two methods have the same id"
            );
            before += 1;
        }
        assert_options(entry);
        at += 1;
    }
}

const fn assert_options(entry: &EntrySpec) {
    let mut at = 0;
    while at < entry.options.len() {
        let option = &entry.options[at];
        assert!(
            !option.name.is_empty(),
            "export_plugin!: the name of an option must not be empty"
        );
        let mut before = 0;
        while before < at {
            assert!(
                !equal(entry.options[before].name, option.name),
                "export_plugin!: two options of an entry have the same name"
            );
            before += 1;
        }
        if let DefaultSpec::Str(default) = option.default {
            assert!(
                option.choices.is_empty() || contains(option.choices, default),
                "export_plugin!: the default of an option must be one of its choices"
            );
        }
        at += 1;
    }
}

const fn contains(texts: &[&str], text: &str) -> bool {
    let mut at = 0;
    while at < texts.len() {
        if equal(texts[at], text) {
            return true;
        }
        at += 1;
    }
    false
}

const fn equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Whether a text consists of lower-case letters and digits, in parts joined by single dashes.
const fn is_kebab(text: &str) -> bool {
    let text = text.as_bytes();
    let (mut at, mut was_dash) = (0, true);
    while at < text.len() {
        let is_dash = text[at] == b'-';
        let is_part = text[at].is_ascii_lowercase() || text[at].is_ascii_digit();
        if !is_part && !is_dash || is_dash && was_dash {
            return false;
        }
        was_dash = is_dash;
        at += 1;
    }
    !was_dash
}

/// The mistake in a whole [`export_plugin!`](crate::export_plugin).
#[doc(hidden)]
#[macro_export]
macro_rules! __export_fault {
    (methods: [$($methods:tt)*], schedules: [$($schedules:tt)*] $($rest:tt)*) => {
        compile_error!("export_plugin!: write `schedules: [ … ]` before `methods: [ … ]`");
    };
    (schedules: [$($schedules:tt),* $(,)?] $(, $(methods: [$($methods:tt),* $(,)?] $(,)?)?)?) => {
        $($crate::__entry_fault!($schedules);)*
        $($($($crate::__entry_fault!($methods);)*)?)?
    };
    (methods: [$($methods:tt),* $(,)?] $(,)?) => {
        $($crate::__entry_fault!($methods);)*
    };
    (schedules: $($rest:tt)*) => {
        compile_error!("export_plugin!: `schedules` is a list in brackets with commas between its entries: `schedules: [{ … }, { … }],`");
    };
    (methods: $($rest:tt)*) => {
        compile_error!("export_plugin!: `methods` is a list in brackets with commas between its entries: `methods: [{ … }, { … }],`");
    };
    ($found:tt $($rest:tt)*) => {
        compile_error!(concat!(
            "export_plugin!: expected `schedules: [ … ]` or `methods: [ … ]`, found `", stringify!($found), "`"
        ));
    };
}

/// The mistake in one entry, or nothing.
#[doc(hidden)]
#[macro_export]
macro_rules! __entry_fault {
    ({
        id: $id:literal, summary: $summary:literal, options: [$($option:tt),* $(,)?], create: $create:expr $(,)?
    }) => {};
    ({ id: $id:literal, summary: $summary:literal, options: [$($option:tt),* $(,)?], create: $($rest:tt)* }) => {
        compile_error!(concat!(
            "export_plugin!: the entry '", $id, "' ends with one function after `create`: `create: MyType::create,`"
        ));
    };
    ({ id: $id:literal, summary: $summary:literal, options: [$($option:tt),* $(,)?] $($rest:tt)* }) => {
        compile_error!(concat!(
            "export_plugin!: the entry '", $id, "' has no `create` after `options`; \
             write the function that makes the schedule or method: `create: MyType::create,`"
        ));
    };
    ({ id: $id:literal, summary: $summary:literal, options: $($rest:tt)* }) => {
        compile_error!(concat!(
            "export_plugin!: the `options` of the entry '", $id, "' are a list in brackets with commas; write `options: [],` if there are none"
        ));
    };
    ({ id: $id:literal, summary: $summary:literal $($rest:tt)* }) => {
        compile_error!(concat!(
            "export_plugin!: the entry '", $id, "' has no `options` after `summary`; write `options: [],` if there are none"
        ));
    };
    ({ id: $id:literal $($rest:tt)* }) => {
        compile_error!(concat!(
            "export_plugin!: the entry '", $id, "' has no `summary` after `id`; write one line for `plugins list`: `summary: \"…\",`"
        ));
    };
    ({ $($rest:tt)* }) => {
        compile_error!(
            "export_plugin!: an entry begins with its id in quotes, `id: \"my-schedule\",`; `summary`, `options` and `create` follow in this order"
        );
    };
    ($other:tt) => {
        compile_error!(concat!("export_plugin!: expected an entry in braces, found `", stringify!($other), "`"));
    };
}

/// The mistake in one option.
#[doc(hidden)]
#[macro_export]
macro_rules! __option_fault {
    ({ name: $name:literal, kind: $kind:ident $($rest:tt)* }) => {
        compile_error!(concat!(
            "export_plugin!: the option '", $name, "' is not complete; after `kind` it has `default`, `min`, `max` and `choices`, \
             each if needed, and at the end always `help: \"…\"`, in this order"
        ))
    };
    ({ name: $name:literal $($rest:tt)* }) => {
        compile_error!(concat!(
            "export_plugin!: the option '", $name, "' has no `kind` after `name`; \
             the kinds are Bool, Int, Float, Str, Ints, Floats and Strs"
        ))
    };
    ($($other:tt)*) => {
        compile_error!(
            "export_plugin!: an option begins with its name in quotes, `{ name: \"r\", kind: Int, …, help: \"…\" }`, or is the name of a constant"
        )
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_kebab_case() {
        for good in ["a", "top-half", "lora2"] {
            assert!(is_kebab(good), "{good}");
        }
        for bad in ["", "-", "Top", "top_half", "a--b", "a-", "a b"] {
            assert!(!is_kebab(bad), "{bad}");
        }
    }

    #[test]
    fn texts_are_compared_whole() {
        assert!(contains(&["auto", "zero"], "zero"));
        assert!(!contains(&["auto"], "aut"));
        assert!(!equal("a", "b"));
    }
}
