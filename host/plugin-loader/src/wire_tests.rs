//! Tests of [`super`]: random records survive the round trip, and invalid bytes are refused.

use super::*;
use std::fmt::Debug;

/// SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
struct Draws {
    state: u64,
    /// Whether numbers may be NaN. A record with NaN does not equal itself.
    nan: bool,
    depth: u32,
}

impl Draws {
    fn of(seed: u64) -> Self {
        Self {
            state: seed,
            nan: seed % 2 == 1,
            depth: 0,
        }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn many<T: Draw>(&mut self) -> Vec<T> {
        let most = if self.depth > 2 { 2 } else { 5 };
        (0..self.below(most)).map(|_| T::draw(self)).collect()
    }
}

trait Draw {
    fn draw(from: &mut Draws) -> Self;
}

macro_rules! drawn_numbers {
    ($($kind:ty),*) => {$(
        impl Draw for $kind {
            fn draw(from: &mut Draws) -> Self {
                match from.below(4) {
                    0 => <$kind>::MAX,
                    1 => <$kind>::MIN,
                    _ => from.next() as $kind,
                }
            }
        }
    )*};
}
drawn_numbers!(u8, u16, u32, u64, i32, i64);

impl Draw for f64 {
    fn draw(from: &mut Draws) -> Self {
        let special = [
            0.0,
            -0.0,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MIN_POSITIVE,
            5e-324,
        ];
        let number = match from.below(3) {
            0 => special[from.below(6) as usize],
            // Any bits, including signalling and quiet NaN with their payloads.
            _ => f64::from_bits(from.next()),
        };
        match (number.is_nan(), from.nan, from.below(8)) {
            (true, false, _) => 1.5,
            (_, true, 0) => f64::from_bits(0xfff0_0000_0000_0001 | from.next() >> 16),
            _ => number,
        }
    }
}

impl Draw for bool {
    fn draw(from: &mut Draws) -> Self {
        from.below(2) == 1
    }
}

impl Draw for RString {
    fn draw(from: &mut Draws) -> Self {
        let texts = [
            "",
            "x",
            "!critical",
            "größe",
            "a\0b",
            "\u{202e}rtl",
            "🙂 two\nlines",
        ];
        let text = texts[from.below(texts.len() as u64) as usize];
        text.repeat(1 + from.below(3) as usize).into()
    }
}

impl<T: Draw> Draw for RVec<T> {
    fn draw(from: &mut Draws) -> Self {
        from.many().into()
    }
}

impl<T: Draw> Draw for ROption<T> {
    fn draw(from: &mut Draws) -> Self {
        if bool::draw(from) {
            RSome(T::draw(from))
        } else {
            RNone
        }
    }
}

impl Draw for Value {
    fn draw(from: &mut Draws) -> Self {
        from.depth += 1;
        let kinds = if from.depth > 4 { 8 } else { 10 };
        let value = match from.below(kinds) {
            0 => Self::Bool(Draw::draw(from)),
            1 => Self::Int(Draw::draw(from)),
            2 => Self::Float(Draw::draw(from)),
            3 => Self::Str(Draw::draw(from)),
            4 => Self::Ints(Draw::draw(from)),
            5 => Self::Floats(Draw::draw(from)),
            6 => Self::Strs(Draw::draw(from)),
            7 => Self::Bytes(Draw::draw(from)),
            8 => Self::List(Draw::draw(from)),
            _ => Self::Record(Draw::draw(from)),
        };
        from.depth -= 1;
        value
    }
}

macro_rules! drawn_enums {
    ($($kind:ident),*) => {$(
        impl Draw for $kind {
            fn draw(from: &mut Draws) -> Self {
                // Including values from a later version.
                Self(Draw::draw(from))
            }
        }
    )*};
}
drawn_enums!(ErrorCode, Part, Role, SiteKind, Mode, Op);

macro_rules! drawn_records {
    ($($kind:ident { $($field:ident),* })*) => {$(
        impl Draw for $kind {
            fn draw(from: &mut Draws) -> Self {
                $(let $field = Draw::draw(from);)*
                Self { $($field),* }
            }
        }
    )*};
}
drawn_records! {
    Attribute { key, value }
    Node { op, inputs, attributes }
    Graph { nodes, ext }
    PluginError { code, message, help, ext }
    ParameterRecord { name, shape, part, block, role, added, stack, tied_to, layout, quantised, ext }
    RunRecord { blocks, epochs, steps_per_epoch, seed, method, candidates, ext }
    ScheduleTraits { signals, interval_steps, ext }
    SignalRecord { name, epoch, step, values, ext }
    DecisionRecord { epoch, step_in_epoch, global_step, history, ext }
    SchedulePlan { trainable, lr_scales, note, ext }
    SiteRecord { name, kind, block, inputs, in_dim, out_dim, weight, bias, modes, ext }
    ModelRecord {
        architecture, blocks, hidden_size, intermediate_size, num_attention_heads, parameters, sites, ext
    }
    NewParameter { name, shape, init, trainable, role, part, block, weight_decay, lr_scale, ext }
    Rewrite { site, mode, graph, merge, merge_bias, ext }
    MethodPlan { unfreeze, parameters, rewrites, suggested_lr, identity_at_init, ext }
    HostOffer { name, version, abi_minor, ops, site_kinds, modes, signals, ext }
}

/// Tests one random record: it survives bit by bit, and no truncated or changed form of its bytes
/// does harm.
fn check<T: Wire + Draw + PartialEq + Debug>(seed: u64) {
    let mut draws = Draws::of(seed);
    let record = T::draw(&mut draws);
    let bytes = record.bytes();
    let back = T::of_bytes(&bytes).expect("what was written");
    assert_eq!(back.bytes(), bytes, "seed {seed}: {record:?}");
    if !draws.nan {
        assert_eq!(back, record, "seed {seed}");
    }
    for _ in 0..4 {
        let cut = draws.below(bytes.len() as u64) as usize;
        assert!(T::of_bytes(&bytes[..cut]).is_err(), "seed {seed}, {cut}");
        let mut changed = bytes.clone();
        changed[cut] ^= 1 << draws.below(8);
        // It may be another record; then it must be exactly that one.
        if let Ok(other) = T::of_bytes(&changed) {
            assert_eq!(other.bytes(), changed, "seed {seed}, {cut}");
        }
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(T::of_bytes(&longer).is_err(), "seed {seed}");
}

#[test]
fn drawn_records_come_back_bit_by_bit() {
    for seed in 0..400 {
        check::<Attribute>(seed);
        check::<PluginError>(seed);
        check::<RunRecord>(seed);
        check::<ScheduleTraits>(seed);
        check::<DecisionRecord>(seed);
        check::<SchedulePlan>(seed);
        check::<ModelRecord>(seed);
        check::<MethodPlan>(seed);
        check::<HostOffer>(seed);
    }
}

#[test]
fn bytes_that_nobody_wrote_are_refused_or_are_a_record() {
    for seed in 0..2000 {
        let mut draws = Draws::of(seed);
        let bytes: Vec<u8> = (0..draws.below(200))
            .map(|_| match draws.below(3) {
                0 => 0,
                1 => draws.below(12) as u8,
                _ => draws.next() as u8,
            })
            .collect();
        if let Ok(plan) = MethodPlan::of_bytes(&bytes) {
            assert_eq!(plan.bytes(), bytes);
        }
        let _ = ModelRecord::of_bytes(&bytes);
        let _ = SchedulePlan::of_bytes(&bytes);
    }
}

#[test]
fn a_few_bytes_ask_for_little_memory() {
    let refused = |bytes: &[u8]| Value::of_bytes(bytes).unwrap_err().0;
    // A list of four thousand million numbers, none of which is there.
    assert_eq!(
        refused(&[4, 0xff, 0xff, 0xff, 0xff]),
        "a list is longer than the remaining bytes"
    );
    // A list in a list in a list, and so on.
    let deep = [8, 1, 0, 0, 0].repeat(100_000);
    assert_eq!(refused(&deep), "values are nested more than 32 deep");
    // Two bytes become forty: 60 MB would become 1.2 GB.
    let count = 30_000_000u32;
    let mut wide = vec![8];
    wide.extend_from_slice(&count.to_le_bytes());
    wide.resize(wide.len() + 2 * count as usize, 0);
    assert_eq!(
        refused(&wide),
        "it would take more memory than any answer needs"
    );
}
