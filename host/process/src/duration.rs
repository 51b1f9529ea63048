//! Durations for people. Called by the progress and the report of a run.

/// A duration in words, as exact as a person needs it: `9.8 s`, `3 min 12 s`, `2 h 03 min`.
pub fn in_words(secs: f64) -> String {
    // Rounded first, so that 3599.9 s is an hour and not 60 min.
    let whole = whole(secs);
    match whole {
        0..100 => format!("{:.1} s", secs.max(0.0)),
        100..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

/// A duration as on a clock: `0:09`, `3:12`, `2:03:12`.
pub fn clock(secs: f64) -> String {
    let whole = whole(secs);
    let (hours, minutes, secs) = (whole / 3600, whole / 60 % 60, whole % 60);
    match hours {
        0 => format!("{minutes}:{secs:02}"),
        _ => format!("{hours}:{minutes:02}:{secs:02}"),
    }
}

fn whole(secs: f64) -> u64 {
    secs.max(0.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ones_are_exact_and_long_ones_are_round() {
        assert_eq!(in_words(0.04), "0.0 s");
        assert_eq!(in_words(9.84), "9.8 s");
        assert_eq!(in_words(192.4), "3 min 12 s");
        assert_eq!(in_words(3599.9), "1 h 00 min");
        assert_eq!(in_words(7412.0), "2 h 03 min");
        assert_eq!(clock(9.4), "0:09");
        assert_eq!(clock(192.0), "3:12");
        assert_eq!(clock(7392.0), "2:03:12");
        assert_eq!(clock(-1.0), "0:00");
    }
}
