//! Files of `torch.save` against the values that torch gives (torch 2.15,
//! `tests/fixtures/make_pickles.py`), and files that are damaged or made to harm.

use super::*;
use crate::model::safetensors_file::SafetensorsFile;
use std::{collections::BTreeSet, path::PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new("../../tests/fixtures/pickles").join(name)
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

/// The message about the contents of a file.
fn refused(bytes: Vec<u8>) -> String {
    let file = PytorchFile::of_bytes(bytes, "x.bin");
    file.err().expect("a refusal").to_string()
}

#[test]
fn every_layout_gives_the_values_of_torch() {
    let mut expected = SafetensorsFile::open(&fixture("values.safetensors")).unwrap();
    let names: BTreeSet<String> = expected.shapes().map(|(name, _)| name.to_owned()).collect();
    for layout in ["zip.bin", "legacy.bin", "deflated.bin"] {
        let mut file = PytorchFile::open(&fixture(layout)).unwrap();
        let found: BTreeSet<String> = file.shapes().map(|(name, _)| name.to_owned()).collect();
        let others: Vec<&String> = found.difference(&names).collect();
        assert_eq!(others, ["embeddings.position_ids", "flag"], "{layout}");
        for name in &names {
            let (value, right) = (file.read(name).unwrap(), expected.read(name).unwrap());
            assert_eq!(value.dims(), right.dims(), "{layout}: {name}");
            assert_eq!(bits(&value), bits(&right), "{layout}: {name}");
        }
        for name in others {
            let error = file.read(name).unwrap_err().to_string();
            assert!(error.contains("expected the type F64, F32"), "{error}");
        }
    }
}

#[test]
fn files_with_code_are_refused_and_not_run() {
    for (name, found) in [
        ("code.bin", "posix.system"),
        ("code_legacy.bin", "posix.system"),
        ("module.bin", "torch.nn.modules.linear.Linear"),
    ] {
        let path = fixture("hostile").join(name);
        let error = PytorchFile::open(&path).err().unwrap().to_string();
        assert!(error.contains(name), "{error}");
        assert!(
            error.contains(&format!("it contains code: expected tensors only, found the Python name {found}; nothing in it was run")),
            "{error}"
        );
    }
    assert!(!Path::new("/tmp/harmed").exists());
}

#[test]
fn other_contents_are_named() {
    for (name, found) in [
        (
            "nested.bin",
            "found none beside the keys `state_dict`, `epoch`",
        ),
        ("list.bin", "expected a state dict, found another object"),
        (
            "plain_pickle.bin",
            "expected a file of torch.save, found another",
        ),
    ] {
        let error = refused(std::fs::read(fixture("hostile").join(name)).unwrap());
        assert!(error.contains(found), "{error}");
    }
    for bytes in [&b""[..], b"PK", b"PK\x03\x04", b"<html>"] {
        assert!(refused(bytes.to_vec()).starts_with("x.bin: "));
    }
}

/// Every file that is cut off, and every byte that differs, gives values or one error.
#[test]
fn damaged_files_do_not_panic() {
    for layout in ["zip.bin", "legacy.bin", "deflated.bin", "hostile/list.bin"] {
        let whole = std::fs::read(fixture(layout)).unwrap();
        let try_reading = |bytes: Vec<u8>| {
            let Ok(mut file) = PytorchFile::of_bytes(bytes, "x.bin") else {
                return;
            };
            let names: Vec<String> = file.shapes().map(|(name, _)| name.to_owned()).collect();
            for name in names {
                let _ = file.read(&name);
            }
        };
        for end in (0..whole.len()).step_by(7) {
            try_reading(whole[..end].to_vec());
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                try_reading(bytes);
            }
        }
    }
}

/// A file in the older layout whose state dict is `pickle`, with one storage of two numbers.
fn legacy(pickle: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.".to_vec();
    bytes.extend(b"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s.");
    bytes.extend(pickle);
    bytes.extend(b"\x80\x02]X\x01\x00\x00\x000a.");
    bytes.extend(2u64.to_le_bytes());
    bytes.extend([1.5f32, -2.0].map(f32::to_le_bytes).concat());
    bytes
}

/// The state dict of one tensor with this offset, shape and strides.
fn one_tensor(numbers: [u32; 2], shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let int = |n: u32| [&b"J"[..], &n.to_le_bytes()].concat();
    let mut pickle = b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n((".to_vec();
    pickle.extend(b"X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000");
    pickle.extend(b"X\x03\x00\x00\x00cpu");
    pickle.extend([int(numbers[0]), b"NtQ".to_vec(), int(numbers[1])].concat());
    for list in [shape, strides] {
        pickle.push(b'(');
        list.iter().for_each(|&n| pickle.extend([b'K', n]));
        pickle.push(b't');
    }
    pickle.extend(b"\x89}tRs.");
    pickle
}

#[test]
fn tensors_stay_inside_their_storage() {
    let read = |pickle: &[u8]| {
        let mut file = PytorchFile::of_bytes(legacy(pickle), "x.bin").map_err(|e| e.to_string())?;
        let value = file.read("a").map_err(|e| e.to_string())?;
        Ok::<_, String>(value.flatten_all().unwrap().to_vec1::<f32>().unwrap())
    };
    assert_eq!(read(&one_tensor([2, 0], &[2], &[1])).unwrap(), [1.5, -2.0]);
    assert_eq!(read(&one_tensor([2, 1], &[3], &[0])).unwrap(), [-2.0; 3]);
    let empty = read(&one_tensor([2, 0], &[0, 255], &[1, 1]));
    assert!(empty.unwrap().is_empty());
    for pickle in [
        one_tensor([2, 1], &[2], &[1]),
        one_tensor([2, 0], &[2, 2], &[1, 1]),
        one_tensor([3, 0], &[2], &[1]),
        one_tensor([2, u32::MAX], &[1], &[1]),
        one_tensor([2, 0], &[255; 8], &[255; 8]),
    ] {
        assert!(read(&pickle).is_err());
    }
    // A number that is repeated so often would exhaust memory.
    let error = read(&one_tensor([2, 0], &[255, 255, 255, 255], &[0; 4])).unwrap_err();
    assert!(
        error.contains("in a file with 8 bytes of numbers"),
        "{error}"
    );
}
