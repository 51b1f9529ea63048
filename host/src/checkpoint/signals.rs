//! The observations that a schedule was told, as bytes. A signal may be NaN (the gradient of a
//! frozen block), which JSON cannot express, and there may be several for every step.

use progtune_plugin_api::records::SignalRecord;

/// The history as bytes: for each observation its name, epoch, step and values, all little-endian.
pub(super) fn to_bytes(history: &[SignalRecord]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for signal in history {
        let name = signal.name.as_str();
        bytes.extend((name.len() as u32).to_le_bytes());
        bytes.extend(name.as_bytes());
        bytes.extend(signal.epoch.to_le_bytes());
        bytes.extend(signal.step.to_le_bytes());
        bytes.extend((signal.values.len() as u32).to_le_bytes());
        bytes.extend(signal.values.iter().flat_map(|value| value.to_le_bytes()));
    }
    bytes
}

/// The history from its bytes; `None` if they are not one.
pub(super) fn from_bytes(bytes: &[u8]) -> Option<Vec<SignalRecord>> {
    let mut rest = bytes;
    let mut history = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_le_bytes(take(&mut rest)?) as usize;
        let (name, after) = rest.split_at_checked(length)?;
        rest = after;
        let name = std::str::from_utf8(name).ok()?;
        let epoch = u32::from_le_bytes(take(&mut rest)?);
        let step = u64::from_le_bytes(take(&mut rest)?);
        let n = u32::from_le_bytes(take(&mut rest)?) as usize;
        let (values, after) = rest.split_at_checked(n.checked_mul(8)?)?;
        rest = after;
        let values = values.as_chunks().0.iter().copied().map(f64::from_le_bytes);
        history.push(SignalRecord {
            name: name.into(),
            epoch,
            step,
            values: values.collect::<Vec<f64>>().into(),
            ext: Default::default(),
        });
    }
    Some(history)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_of_a_history_survives() {
        let signal = |name: &str, step, values: &[f64]| SignalRecord {
            name: name.into(),
            epoch: 2,
            step,
            values: values.to_vec().into(),
            ext: Default::default(),
        };
        let history = [
            signal("block_grad_norm", 7, &[f64::NAN, 0.1, -0.0]),
            signal("train_loss", 8, &[]),
        ];
        let bytes = to_bytes(&history);
        let again = from_bytes(&bytes).unwrap();
        assert_eq!(to_bytes(&again), bytes);
        assert_eq!((again[0].step, again[1].name.as_str()), (7, "train_loss"));
        assert!(from_bytes(&[]).unwrap().is_empty());
        for cut in 1..bytes.len() {
            let whole = from_bytes(&bytes[..cut]);
            assert!(whole.is_none_or(|history| history.len() == 1), "{cut}");
        }
        assert!(from_bytes(&[255; 40]).is_none());
    }
}
