//! `embedding.cu` against `embedding.rs`.

use crate::device::{Argument, BF16, Device, F32, value};
use crate::numbers::{NUMBERS, assert_near, random, random_as};
use progtune_kernels::{
    cuda::{Chunked, Number, Segments, by_column_tiles, columns},
    embedding::{backward, forward},
};

const FILE: &str = "embedding.cu";
const ENTRIES: usize = 50;

fn check(number: Number, rows: usize, width: usize) {
    let what = format!("{number:?} {rows} × {width}");
    let tolerance = if number == Number::F32 { F32 } else { BF16 };
    let ids: Vec<u32> = (0..rows as u32).map(|r| r * r % ENTRIES as u32).collect();
    let positions: Vec<u32> = (0..rows as u32).map(|r| r % 10).collect();
    let kinds: Vec<u32> = (0..rows as u32).map(|r| r / 3 % 2).collect();
    let tables = [
        random(ENTRIES * width, 1),
        random(10 * width, 2),
        random(2 * width, 3),
    ];
    let mut want = vec![0.0; rows * width];
    forward(
        &mut want,
        width,
        &[
            (&tables[0], &ids),
            (&tables[1], &positions),
            (&tables[2], &kinds),
        ],
    );
    let device = &mut Device::new(number);
    let [word, position, kind] = tables.each_ref().map(|table| device.put(table).into());
    let [id, position_id, kind_id] = [&ids, &positions, &kinds].map(|ids| device.put(ids).into());
    let y = device.unwritten(rows * width);
    let Chunked {
        launch,
        rows_per_chunk,
        ..
    } = columns(rows, width, number);
    let size = [rows as u32, width as u32, rows_per_chunk].map(value);
    let buffers = [word, position, kind, id, position_id, kind_id, y.into()];
    device.run(
        FILE,
        "embedding_forward",
        launch,
        &[&buffers[..], &size].concat(),
    );
    assert_near(&device.read(y), &want, tolerance, &format!("{what}: y"));
    let d_y = random_as(number, rows * width, 4);
    for ids in [&ids, &kinds] {
        check_backward(device, ids, &d_y, width, &what);
    }
}

fn check_backward(device: &mut Device, ids: &[u32], d_y: &[f32], width: usize, what: &str) {
    let mut want = vec![0.25; ENTRIES * width];
    backward(&mut want, ids, d_y, width);
    let segments = Segments::of(ids);
    let n_segments = segments.segment_starts.len() - 1;
    let d = device.activations(d_y);
    let sums = device.unwritten_as::<f32>(n_segments * width);
    let table = device.put(&vec![0.25f32; ENTRIES * width]);
    let (order, starts) = (
        device.put(&segments.order),
        device.put(&segments.segment_starts),
    );
    let (distinct, id_starts) = (device.put(&segments.ids), device.put(&segments.id_starts));
    let launch = by_column_tiles(n_segments, width, device.number);
    let arguments = [
        d.into(),
        order.into(),
        starts.into(),
        sums.into(),
        value(width as u32),
    ];
    device.run(FILE, "embedding_backward_segments", launch, &arguments);
    let launch = by_column_tiles(segments.ids.len(), width, Number::F32);
    let touched = device.put(&[0u8; ENTRIES]);
    let buffers = [sums, distinct, id_starts, table, touched].map(Argument::from);
    let arguments = [&buffers[..], &[value(width as u32)]].concat();
    device.run_plain(FILE, "embedding_backward_add", launch, &arguments);
    assert_near(&device.get(table), &want, F32, &format!("{what}: d_table"));
    let marks: Vec<u8> = (0..ENTRIES as u32)
        .map(|id| ids.contains(&id).into())
        .collect();
    assert_eq!(device.get::<u8>(touched), marks, "{what}: touched");
}

#[test]
fn equals_the_cpu() {
    for number in NUMBERS {
        for width in [1, 3, 17, 33, 127, 384, 768] {
            for rows in [1, 3, 130] {
                check(number, rows, width);
            }
        }
        check(number, 700, 12);
    }
}

#[test]
fn a_model_may_have_words_only() {
    let (width, ids) = (8, [3u32, 1]);
    let word = random(ENTRIES * width, 1);
    let device = &mut Device::new(Number::F32);
    let (table, id, y) = (
        device.put(&word),
        device.put(&ids),
        device.unwritten(2 * width),
    );
    let Chunked {
        launch,
        rows_per_chunk,
        ..
    } = columns(2, width, Number::F32);
    let none = None.into();
    let buffers = [
        table.into(),
        none,
        None.into(),
        id.into(),
        None.into(),
        None.into(),
        y.into(),
    ];
    let size = [2, width as u32, rows_per_chunk].map(value);
    device.run(
        FILE,
        "embedding_forward",
        launch,
        &[&buffers[..], &size].concat(),
    );
    let want = [&word[3 * width..4 * width], &word[width..2 * width]].concat();
    assert_eq!(device.read(y), want);
}
