//! Long names in a few columns. Called for labels and models in tables and titles. Nothing that is
//! meant to be copied goes through here.

/// The name in at most `width` characters. The middle of a longer one is left out, because names
/// often differ only at their ends: `card_paym…exchange_rate`.
pub fn short_name(name: &str, width: usize) -> String {
    let n = name.chars().count();
    if n <= width {
        return name.to_owned();
    }
    let kept = width.saturating_sub(1);
    let first = kept / 2;
    let mut short: String = name.chars().take(first).collect();
    short.push('…');
    short.extend(name.chars().skip(n - (kept - first)));
    short
}

/// The path in at most `width` characters. The beginning of a longer one is left out, up to a
/// separator if possible: `…/models/minilm`.
pub fn short_path(path: &str, width: usize) -> String {
    let n = path.chars().count();
    if n <= width {
        return path.to_owned();
    }
    let kept = width.saturating_sub(1);
    let end: String = path.chars().skip(n - kept).collect();
    match end.find('/') {
        Some(at) if at + 1 < end.len() => format!("…{}", &end[at..]),
        _ => short_name(path, width),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_name_and_the_beginning_of_a_path_are_left_out() {
        assert_eq!(short_name("abcdef", 6), "abcdef");
        assert_eq!(short_name("abcdefg", 6), "ab…efg");
        assert_eq!(short_name("äöüäöüä", 4), "ä…üä");
        assert_eq!(short_path("models/bert", 11), "models/bert");
        assert_eq!(short_path("/data/models/bert", 14), "…/models/bert");
        assert_eq!(short_path("/data/models/bert", 12), "…/bert");
        assert_eq!(short_path("org/averylongname", 9), "org/…name");
        assert_eq!(short_path("org/name/", 5), "or…e/");
    }
}
