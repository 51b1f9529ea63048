//! A short list for messages: the first five items and the number of the others, so that no message
//! fills a screen. Called to list tensors, labels or other names, of which a file may contain any
//! number.

/// Number of items that are named.
const N_NAMED: usize = 5;

/// Joins the first five `items` with `separator`, and counts the others.
pub fn short_list(items: &[String], separator: &str) -> String {
    let mut text = items[..items.len().min(N_NAMED)].join(separator);
    if items.len() > N_NAMED {
        text.push_str(&format!("{separator}and {} more", items.len() - N_NAMED));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_are_named_and_the_rest_is_counted() {
        let items = |n: usize| -> Vec<String> { (0..n).map(|i| format!("t{i}")).collect() };
        assert_eq!(short_list(&[], ", "), "");
        assert_eq!(short_list(&items(5), ", "), "t0, t1, t2, t3, t4");
        assert_eq!(
            short_list(&items(7), "\n  "),
            "t0\n  t1\n  t2\n  t3\n  t4\n  and 2 more"
        );
    }
}
