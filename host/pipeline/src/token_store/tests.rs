//! A store returns the examples that went in, from memory and from a file. Damage is found when the
//! file is opened, or when the block is read.

use super::{builder::Builder, *};
use progtune_engine::{Labels, Target};
use std::fs;

fn example(number: usize) -> EncodedExample {
    let length = 1 + number % 7;
    EncodedExample {
        input_ids: (0..length).map(|at| (number * 31 + at) as u32).collect(),
        token_type_ids: vec![0; length],
        target: Some(Target::Class(number as u32 % 3)),
    }
}

fn examples(n: usize) -> Vec<EncodedExample> {
    (0..n).map(example).collect()
}

/// A store in a temporary file, as [`Builder`] makes it for many examples.
fn in_file(n: usize, folder: &Path) -> Examples {
    let mut builder = Builder::new(Key::of_text("k"), vec![folder.to_owned()]);
    builder.small = 0;
    examples(n)
        .into_iter()
        .for_each(|e| builder.push(e).unwrap());
    builder.finish().unwrap()
}

fn all(store: &Examples) -> Vec<EncodedExample> {
    store.iter().collect::<Result<_>>().unwrap()
}

#[test]
fn what_goes_in_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    for n in [0, 1, 127, 128, 129, 1000] {
        let expected = examples(n);
        for store in [Examples::from(expected.clone()), in_file(n, folder.path())] {
            assert_eq!((store.len(), store.is_empty()), (n, n == 0));
            assert_eq!(all(&store), expected);
            let lengths: Vec<usize> = store.lengths().collect::<Result<_>>().unwrap();
            for (at, example) in expected.iter().enumerate().rev() {
                assert_eq!(store.get(at).unwrap(), *example);
                assert_eq!(lengths[at], example.input_ids.len());
                assert_eq!(store.length(at).unwrap(), lengths[at]);
            }
            let summary = store.summary();
            assert_eq!(summary.tokens, lengths.iter().sum::<usize>() as u64);
            let count = |length: usize| lengths.iter().filter(|&&l| l == length).count() as u64;
            assert!(summary.lengths.iter().all(|(&l, &c)| c == count(l)));
            let tokens = expected.iter().flat_map(|e| &e.input_ids);
            let distinct: std::collections::BTreeSet<&u32> = tokens.collect();
            assert_eq!(summary.distinct_tokens, distinct.len() as u64);
        }
    }
}

#[test]
fn the_fingerprint_is_of_the_examples_wherever_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let of = |examples: &[EncodedExample]| Examples::from(examples.to_vec()).summary().fingerprint;
    let expected = of(&examples(300));
    assert_eq!(in_file(300, folder.path()).summary().fingerprint, expected);
    assert_ne!(of(&examples(299)), expected);
    let mut other = examples(300);
    other[17].input_ids[0] += 1;
    assert_ne!(of(&other), expected);
}

#[test]
fn a_batch_is_that_of_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let list = examples(400);
    let indices = [399, 0, 131, 130, 7];
    let expected = Batch::new(&list, &indices, 2);
    for store in [Examples::from(list.clone()), in_file(400, folder.path())] {
        let batch = store.batch(&indices, 2).unwrap();
        assert_eq!(batch.input_ids, expected.input_ids);
        assert_eq!(batch.row_keys, expected.row_keys);
        assert_eq!(batch.examples, indices);
        assert_eq!(batch.labels, expected.labels);
        assert!(matches!(batch.labels, Labels::Classes(_)));
    }
}

#[test]
fn several_become_one() {
    let store =
        |range: std::ops::Range<usize>| Examples::from(range.map(example).collect::<Vec<_>>());
    let one = Examples::concat(vec![store(0..200), store(200..201), store(201..300)]).unwrap();
    assert_eq!(all(&one), examples(300));
    assert_eq!(
        all(&Examples::concat(vec![store(3..5)]).unwrap()),
        [example(3), example(4)]
    );
}

/// The bytes of the file that a store of `n` examples would have.
fn file_of(n: usize) -> Vec<u8> {
    let mut image = Image::new(Key::of_text("k"));
    examples(n)
        .into_iter()
        .for_each(|example| image.push(example));
    image.finish().0
}

#[test]
fn every_damage_of_a_small_file_is_found_when_it_is_opened() {
    let bytes = file_of(130);
    let open = |bytes: Vec<u8>| Examples::of_bytes(bytes, &Key::of_text("k"));
    assert_eq!(all(&open(bytes.clone()).unwrap()), examples(130));
    assert!(Examples::of_bytes(bytes.clone(), &Key::of_text("other")).is_err());
    for end in HEADER..bytes.len() {
        assert!(open(bytes[..end].to_vec()).is_err(), "cut to {end}");
    }
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        assert!(open(bytes).is_err(), "a bit of byte {at}");
    }
}

/// Whoever makes a file can also make its checksums, so its numbers are checked against each other.
#[test]
fn a_directory_that_lies_is_refused() {
    let key = Key::of_text("k");
    let mut image = Image::new(key);
    examples(130).into_iter().for_each(|e| image.push(e));
    let (bytes, good) = image.finish();
    let before = good.end_of_blocks() as usize;
    let open = |change: &dyn Fn(&mut Directory)| {
        let (mut directory, mut bytes) = (good.clone(), bytes[..before].to_vec());
        change(&mut directory);
        directory.encode(&key, before as u64, &mut bytes);
        Examples::of_bytes(bytes, &key)
    };
    assert!(open(&|_| ()).is_ok());
    let lies: [&dyn Fn(&mut Directory); 7] = [
        &|directory| directory.summary.tokens = u64::MAX,
        &|directory| directory.summary.distinct_tokens = u64::MAX,
        &|directory| assert!(directory.summary.lengths.insert(9, u64::MAX).is_none()),
        &|directory| assert!(directory.summary.lengths.insert(usize::MAX, 2).is_none()),
        // The last block has two examples, not three.
        &|directory| {
            directory.summary.examples += 1;
            directory.summary.tokens += 9;
            directory.summary.lengths.insert(9, 1);
        },
        &|directory| directory.blocks[0].size = u32::MAX,
        &|directory| assert!(directory.blocks.pop().is_some()),
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        assert!(open(lie).is_err(), "lie {number}");
    }
}

/// Opening a large file reads only its directory.
#[test]
fn damage_of_a_large_file_is_found_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tokens");
    let many = || {
        (0..60_000).map(|n| EncodedExample {
            input_ids: vec![70_000 + n; 50],
            token_type_ids: vec![0; 50],
            target: None,
        })
    };
    let mut image = Image::new(Key::of_text("k"));
    many().for_each(|example| image.push(example));
    let (mut bytes, _) = image.finish();
    assert!(bytes.len() > SMALL);
    let good = bytes.clone();
    bytes[HEADER + 1000] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let store = Examples::open(&path, &Key::of_text("k")).unwrap();
    assert!(store.held_bytes() < 10_000);
    let text = store.get(0).unwrap_err().to_string();
    assert!(
        text.contains("x.tokens") && text.contains("--token-cache overwrite"),
        "{text}"
    );
    assert!(store.iter().any(|example| example.is_err()));
    assert!(store.batch(&[59_999, 3], 0).is_err());
    assert_eq!(store.get(59_999).unwrap().input_ids, [129_999; 50]);

    for (at, length) in [(0, None), (20, None), (0, Some(10_000_000)), (3, Some(0))] {
        let mut bytes = good[..length.unwrap_or(good.len())].to_vec();
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1;
        }
        fs::write(&path, bytes).unwrap();
        assert!(
            Examples::open(&path, &Key::of_text("k")).is_err(),
            "{at} {length:?}"
        );
    }
    for back in [1, 9, 41, 100, 5000] {
        let mut bytes = good.clone();
        let at = bytes.len() - back;
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(
            Examples::open(&path, &Key::of_text("k")).is_err(),
            "{back} from the end"
        );
    }
}

#[test]
fn without_a_directory_for_a_file_examples_stay_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(Key::default(), vec![folder.path().join("absent")]);
    builder.small = 0;
    examples(300)
        .into_iter()
        .for_each(|e| builder.push(e).unwrap());
    let store = builder.finish().unwrap();
    assert_eq!(all(&store), examples(300));
    assert!(matches!(store.medium, Medium::Memory(_)));
}

#[test]
fn a_file_that_was_cut_meanwhile_is_an_error_that_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(Key::default(), vec![folder.path().to_owned()]);
    builder.small = 0;
    builder.push(example(1)).unwrap();
    builder.push(example(2)).unwrap();
    let store = builder.finish().unwrap();
    let Medium::File { file, .. } = &store.medium else {
        panic!("in a file");
    };
    file.lock().unwrap().set_len(10).ok();
    let text = store.get(0).unwrap_err().to_string();
    assert!(text.contains(".tokens: cannot read"), "{text}");
}
