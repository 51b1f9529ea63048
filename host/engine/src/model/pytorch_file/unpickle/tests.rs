//! Pickles by hand: what is accepted, and what an attacker would try.

use super::*;

fn read(bytes: &[u8]) -> Result<(Objects, Id)> {
    unpickle(&mut &*bytes)
}

fn refused(bytes: &[u8]) -> String {
    read(bytes).err().expect("a refusal")
}

#[test]
fn plain_data_is_read() {
    for (bytes, expected) in [
        (&b"\x80\x02K\x07."[..], Object::Int(7)),
        (b"J\xff\xff\xff\xff.", Object::Int(-1)),
        (b"\x8a\x02\x00\xff.", Object::Int(-256)),
        (b"\x8a\x00.", Object::Int(0)),
        (b"X\x02\x00\x00\x00\xc3\xa9.", Object::Text("é".into())),
        (b"\x8c\x01a\x94h\x00.", Object::Text("a".into())),
        (b"NNN0.", Object::None),
        (b"(K\x01K\x021\x88.", Object::Bool(true)),
        (b"G\x00\x00\x00\x00\x00\x00\x00\x00.", Object::Float),
        (b"]q\x00(K\x01K\x02e.", Object::List(vec![1, 2])),
        (b"K\x01K\x02\x86.", Object::Tuple(vec![0, 1])),
        (b"ccollections\nOrderedDict\n)R.", Object::Dict(vec![])),
    ] {
        let (objects, root) = read(bytes).unwrap();
        assert_eq!(*objects.get(root), expected, "{bytes:?}");
    }
}

#[test]
fn code_is_refused_where_it_begins() {
    for bytes in [
        &b"cos\nsystem\n(X\x02\x00\x00\x00lstR."[..],
        b"cbuiltins\neval\n.",
        b"\x8c\x02os\x8c\x06system\x93.",
        b"(ios\nsystem\n.",
        b"(cos\nsystem\no.",
        b"ccollections\nOrderedDict\n)\x81.",
        b"Pname\n.",
        b"\x82\x01.",
        b"NNb.",
        b"N)R.",
        // A name of ours is no attribute of another.
        b"ctorch\nload\n.",
        b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n.",
    ] {
        let error = refused(bytes);
        assert!(error.contains("it contains code"), "{bytes:?}: {error}");
    }
    let long = [&b"c"[..], &[b'x'; 5000], b"\ny\n."].concat();
    assert!(refused(&long).len() < 250);
}

#[test]
fn damaged_pickles_are_refused() {
    for bytes in [
        &b""[..],
        b".",
        b"N",
        b"0.",
        b"t.",
        b"(K\x01",
        b"a.",
        b"N]a.",
        b"u.",
        b"}(Nu.",
        b"h\x00.",
        b"q\x00.",
        b"R.",
        b"NR.",
        b"Q.",
        b"NQ.",
        b")Q.",
        b"\x87.",
        b"N\x87.",
        b"X\xff\xff\xff\xff.",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
        b"\x8a\x11.",
        b"c\n",
        b"\xff.",
        b"(N(0.",
        b"ctorch._utils\n_rebuild_tensor_v2\n)R.",
        b"ctorch._utils\n_rebuild_parameter\n(NNNtR.",
        b"ctorch\nFloatStorage\n)R.",
    ] {
        assert!(read(bytes).is_err(), "{bytes:?}");
    }
}

/// Ten levels of ten references each would be 10^10 objects if references were copies.
#[test]
fn a_memo_bomb_stays_small() {
    let mut bytes = b"]q\x00".to_vec();
    for level in 0..100u8 {
        bytes.push(b'(');
        bytes.extend([b'h', level].repeat(10));
        bytes.extend([b't', b'q', level + 1]);
    }
    bytes.push(b'.');
    let (objects, root) = read(&bytes).unwrap();
    assert_eq!(objects.tuple(root).unwrap().len(), 10);
    // A list may contain itself.
    assert!(read(b"]q\x00h\x00a.").is_ok());
}

#[test]
fn sizes_are_bounded() {
    let many = [&b"("[..], &b"]".repeat(1 << 21), b"t."].concat();
    assert!(refused(&many).contains("expected at most 1048576 values"));
    let marks = b"(".repeat(1 << 21);
    assert!(refused(&marks).contains("remembered values"));
    let long = [&b"X\x00\x00\x00\x01"[..], &vec![b'x'; 1 << 24], b"."].concat();
    assert!(refused(&long).contains("of at most 8388608 bytes"));
    // A long key or shape is not copied for every tensor that refers to it.
    let key = [
        &b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\xff\x00\x00\x00"[..],
        &[b'k'; 255],
        b"NK\x01tQ.",
    ];
    assert!(refused(&key.concat()).contains("a storage in it"));
}
