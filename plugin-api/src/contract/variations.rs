//! The option settings that the contract test tries: every option that an entry declares, at its
//! limits. Called by [`super::schedule`] and [`super::method`].

use super::report::Check;
use crate::{
    interpret::Random,
    open::Attribute,
    options::{OptionKind, OptionSchema, resolve},
};

/// One setting of the options.
pub(super) struct Variation {
    /// The changed option, such as `r=65536`.
    pub text: String,
    /// All options.
    pub options: Vec<Attribute>,
}

/// The given options, with each declared option in turn at its limits, at every choice and at a
/// value in between. Undeclared limits are those of the type.
pub(super) fn variations(
    declared: &[OptionSchema],
    given: &[(String, String)],
) -> Result<Vec<Variation>, String> {
    let mut all = Vec::new();
    for option in declared {
        for text in texts(option) {
            // A value that the declaration refuses never reaches a plugin.
            if option.parse(&text).is_err() {
                continue;
            }
            let mut varied: Vec<(String, String)> = given.to_vec();
            varied.retain(|(name, _)| *name != option.name);
            varied.push((option.name.clone(), text.clone()));
            let options = resolve(declared, &varied)
                .map_err(|fault| format!("option '{}': {}", fault.name, fault.reason))?;
            let text = format!(
                "{}={}",
                option.name,
                text.chars().take(40).collect::<String>()
            );
            all.push(Variation { text, options });
        }
    }
    Ok(all)
}

/// Values that the declaration must refuse: of a wrong type, just outside the limits, or not among
/// the choices.
pub(super) fn refused(declared: &[OptionSchema]) -> Check {
    let mut check = Check::new("options out of range are refused");
    for option in declared {
        let mut wrong: Vec<String> = Vec::new();
        match option.kind {
            OptionKind::BOOL => wrong.extend(["maybe".into(), String::new()]),
            OptionKind::INT | OptionKind::INTS => {
                wrong.push("one".into());
                wrong.extend(option.min.map(|min| format!("{}", min as i64 - 1)));
                wrong.extend(option.max.map(|max| format!("{}", max as i64 + 1)));
            }
            OptionKind::FLOAT | OptionKind::FLOATS => {
                wrong.extend(["NaN".into(), "inf".into(), "-inf".into(), "one".into()]);
                wrong.extend(option.min.map(|min| min.next_down().to_string()));
                wrong.extend(option.max.map(|max| max.next_up().to_string()));
            }
            _ if !option.choices.is_empty() => wrong.push("no choice of it".into()),
            _ => {}
        }
        for text in wrong {
            let outcome = match option.parse(&text) {
                Err(_) => Ok(()),
                Ok(value) => Err(format!("accepted as {value}")),
            };
            check.case(&format!("{}={text}", option.name), outcome);
        }
    }
    if check.cases == 0 {
        check.note = "nothing is out of range".into();
    }
    check
}

fn texts(option: &OptionSchema) -> Vec<String> {
    let mut random = Random::of(42, option.name.len());
    let numbers = |low: f64, high: f64, random: &mut Random| {
        let (low, high) = (option.min.unwrap_or(low), option.max.unwrap_or(high));
        // Between the limits, near the lower one, where values are typical.
        let span = (high - low).clamp(0.0, 64.0);
        [low, high, low + (span * random.uniform()).floor()]
    };
    let whole = [i64::MIN as f64, i64::MAX as f64];
    let list = |numbers: &[String]| {
        let mut lists = vec![String::new(), numbers.join(",")];
        lists.extend_from_slice(numbers);
        lists
    };
    let ints = |random: &mut Random| {
        numbers(whole[0], whole[1], random)
            .map(|number| (number as i64).to_string())
            .to_vec()
    };
    let floats = |random: &mut Random| {
        let mut texts = numbers(f64::MIN, f64::MAX, random)
            .map(|number| number.to_string())
            .to_vec();
        texts.push(f64::MIN_POSITIVE.to_string());
        texts
    };
    let long = "x".repeat(100_000);
    let hostile = [
        "",
        "x",
        "../../etc",
        "ünï çödé",
        "a,b,a",
        "0",
        long.as_str(),
    ];
    match option.kind {
        OptionKind::BOOL => vec!["true".into(), "false".into()],
        OptionKind::INT => ints(&mut random),
        OptionKind::FLOAT => floats(&mut random),
        OptionKind::INTS => list(&ints(&mut random)),
        OptionKind::FLOATS => list(&floats(&mut random)),
        OptionKind::STRS if !option.choices.is_empty() => list(&option.choices),
        _ if !option.choices.is_empty() => option.choices.clone(),
        _ => hostile.map(String::from).to_vec(),
    }
}
