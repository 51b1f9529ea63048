//! Cache entries in a file of the run directory. Called by the store.
//!
//! The file begins with a header that contains the key of the run. Then follows a slot for each
//! entry that is kept, at an offset that depends only on lengths. A slot has a header of 32 bytes
//! and the numbers. Its header contains a marker, the boundary, the count of numbers, the key of
//! the boundary, and a checksum of these fields and the numbers.
//!
//! An entry that was damaged, or only partly written before a crash, fails its checksum. A run that
//! is cut short leaves the file behind. The next run in the same directory takes over the entries
//! whose keys are still right.

use super::settings::CacheDtype;
use super::{FILE, budget::Chosen, key::Key};
use half::{f16, slice::HalfFloatSliceExt};
use progtune_process::files::medium;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Result, Seek, SeekFrom},
    path::Path,
};

const MAGIC: &[u8; 16] = b"progtune prefix1";
/// Size of the file header. It contains the magic, the key of the run, the end of the last slot,
/// and a checksum of which entries have a slot.
const HEADER: u64 = 64;
/// Size of the header of a slot.
pub(crate) const SLOT_HEADER: u64 = 32;
/// The marker at the beginning of a written slot.
const WRITTEN: u32 = 0x5846_5250;

/// The fields of a slot's header, without its checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Label {
    boundary: u32,
    numbers: u32,
    key: Key,
}

impl Label {
    fn bytes(self, checksum: u32) -> [u8; SLOT_HEADER as usize] {
        let mut bytes = [0; SLOT_HEADER as usize];
        bytes[..4].copy_from_slice(&WRITTEN.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.boundary.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.numbers.to_le_bytes());
        bytes[12..28].copy_from_slice(&self.key);
        bytes[28..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The label and the checksum of a slot; `None` if the slot was never written.
    fn parse(bytes: &[u8; SLOT_HEADER as usize]) -> Option<(Self, u32)> {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let mut key = Key::default();
        key.copy_from_slice(&bytes[12..28]);
        let label = Self {
            boundary: word(4),
            numbers: word(8),
            key,
        };
        (word(0) == WRITTEN).then_some((label, word(28)))
    }

    /// The checksum of the label and the numbers of an entry. It includes `entry`, so that no entry
    /// passes for another.
    fn checksum(self, entry: usize, numbers: &[u8]) -> u32 {
        let mut hash = crc32fast::Hasher::new();
        hash.update(&(entry as u64).to_le_bytes());
        hash.update(&self.bytes(0));
        hash.update(numbers);
        hash.finalize()
    }
}

/// The file with the entries.
#[derive(Debug)]
pub struct Disk {
    file: File,
    dtype: CacheDtype,
    /// The offset of each entry's slot.
    slots: Vec<u64>,
    /// Labels of the entries of an earlier run, until they are taken over or replaced.
    left: BTreeMap<usize, Label>,
    /// The right key of each boundary.
    keys: BTreeMap<usize, Key>,
    half: Vec<f16>,
}

impl Disk {
    /// Prepares a file, which may be new or from an earlier run, with a slot for each chosen entry.
    /// The other methods number entries by their place among these.
    ///
    /// # Errors
    /// Fails if the file system refuses.
    pub(super) fn open(
        file: File,
        run: &[u8; 32],
        chosen: &Chosen,
        dtype: CacheDtype,
    ) -> Result<Self> {
        Self::make(file, run, &chosen.entries, &chosen.sizes, dtype)
    }

    /// Prepares a file like `Disk::open`. `kept` lists the examples that have a slot, and `sizes`
    /// their bytes.
    ///
    /// # Errors
    /// Fails if the file system refuses.
    pub fn make(
        mut file: File,
        run: &[u8; 32],
        kept: &[u32],
        sizes: &[u64],
        dtype: CacheDtype,
    ) -> Result<Self> {
        let mut next = HEADER;
        let slots: Vec<u64> = sizes
            .iter()
            .map(|size| {
                let slot = next;
                next += size;
                slot
            })
            .collect();
        let mut header = [0; HEADER as usize];
        header[..16].copy_from_slice(MAGIC);
        header[16..48].copy_from_slice(run);
        // Slots have other offsets if other entries are kept.
        header[48..56].copy_from_slice(&next.to_le_bytes());
        let kept = crc32fast::hash(bytemuck::cast_slice(kept));
        header[56..60].copy_from_slice(&kept.to_le_bytes());
        let mut found = [0; HEADER as usize];
        let same = file.read_exact(&mut found).is_ok() && found == header;
        if !same {
            medium::truncate(&file, Path::new(FILE), 0)?;
            file.seek(SeekFrom::Start(0))?;
            medium::write(&mut file, Path::new(FILE), &header)?;
        }
        let mut disk = Self {
            file,
            dtype,
            slots,
            left: BTreeMap::new(),
            keys: BTreeMap::new(),
            half: Vec::new(),
        };
        if same {
            for (entry, &size) in sizes.iter().enumerate() {
                // A label is trusted only if its numbers fit the slot. Its checksum is verified on
                // reading.
                if let Ok(Some((label, _))) = disk.label(entry)
                    && SLOT_HEADER + disk.bytes(label.numbers as usize) <= size
                {
                    disk.left.insert(entry, label);
                }
            }
        }
        Ok(disk)
    }

    /// Whether an earlier run left entries that may still be taken over.
    pub(crate) fn has_left(&self) -> bool {
        !self.left.is_empty()
    }

    /// Sets the right key of a boundary from now on.
    pub fn set_key(&mut self, boundary: usize, key: Key) {
        self.keys.insert(boundary, key);
    }

    /// Takes over the entries of an earlier run that have the right key of their boundary. Returns
    /// each entry with its count of numbers.
    pub fn take_over(&mut self, boundary: usize) -> Vec<(usize, usize)> {
        let Some(key) = self.keys.get(&boundary) else {
            return Vec::new();
        };
        let right = |label: &Label| label.boundary as usize == boundary && label.key == *key;
        let entries: Vec<(usize, usize)> = self
            .left
            .iter()
            .filter(|(_, label)| right(label))
            .map(|(&entry, label)| (entry, label.numbers as usize))
            .collect();
        self.left.retain(|_, label| !right(label));
        entries
    }

    fn bytes(&self, numbers: usize) -> u64 {
        numbers as u64 * self.dtype.bytes() as u64
    }

    fn label(&mut self, entry: usize) -> Result<Option<(Label, u32)>> {
        self.file.seek(SeekFrom::Start(self.slots[entry]))?;
        let mut header = [0; SLOT_HEADER as usize];
        self.file.read_exact(&mut header)?;
        Ok(Label::parse(&header))
    }

    /// Appends the `numbers` numbers of an entry to `rows`.
    ///
    /// # Errors
    /// Fails if the entry is damaged or cannot be read. `rows` may then have grown.
    pub fn read(
        &mut self,
        entry: usize,
        boundary: usize,
        numbers: usize,
        rows: &mut Vec<f32>,
    ) -> Result<()> {
        let damaged = || std::io::Error::from(std::io::ErrorKind::InvalidData);
        let (label, checksum) = self.label(entry)?.ok_or_else(damaged)?;
        let right = self.keys.get(&boundary) == Some(&label.key);
        if !right || label.boundary as usize != boundary || label.numbers as usize != numbers {
            return Err(damaged());
        }
        let start = rows.len();
        rows.resize(start + numbers, 0.0);
        let rows = &mut rows[start..];
        let found = match self.dtype {
            CacheDtype::F32 => {
                let bytes = bytemuck::cast_slice_mut::<f32, u8>(rows);
                self.file.read_exact(bytes)?;
                label.checksum(entry, bytes)
            }
            CacheDtype::F16 => {
                self.half.resize(numbers, f16::ZERO);
                let bytes = bytemuck::cast_slice_mut::<f16, u8>(&mut self.half);
                self.file.read_exact(bytes)?;
                self.half.convert_to_f32_slice(rows);
                label.checksum(entry, bytemuck::cast_slice(&self.half))
            }
        };
        if found == checksum {
            Ok(())
        } else {
            Err(damaged())
        }
    }

    /// Replaces an entry.
    ///
    /// # Errors
    /// Fails if the disk is full or refuses. The entry is then damaged.
    pub fn write(&mut self, entry: usize, boundary: usize, rows: &[f32]) -> Result<()> {
        self.left.remove(&entry);
        let slot = self.slots[entry];
        let Some(&key) = self.keys.get(&boundary) else {
            return Ok(());
        };
        let numbers: &[u8] = match self.dtype {
            CacheDtype::F32 => bytemuck::cast_slice(rows),
            CacheDtype::F16 => {
                self.half.resize(rows.len(), f16::ZERO);
                self.half.convert_from_f32_slice(rows);
                bytemuck::cast_slice(&self.half)
            }
        };
        let label = Label {
            boundary: boundary as u32,
            numbers: rows.len() as u32,
            key,
        };
        self.file.seek(SeekFrom::Start(slot))?;
        let checksum = label.checksum(entry, numbers);
        medium::write(&mut self.file, Path::new(FILE), &label.bytes(checksum))?;
        medium::write(&mut self.file, Path::new(FILE), numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::OpenOptions, path::Path};

    const KEY: Key = [7; 16];

    fn file(path: &Path) -> File {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        options.open(path).unwrap()
    }

    fn open(path: &Path, run: u8, dtype: CacheDtype) -> Disk {
        let sizes = [3, 2].map(|n| SLOT_HEADER + n * dtype.bytes() as u64);
        let mut disk = Disk::make(file(path), &[run; 32], &[0, 2], &sizes, dtype).unwrap();
        disk.set_key(1, KEY);
        disk
    }

    fn read(disk: &mut Disk, entry: usize, numbers: usize) -> Option<Vec<f32>> {
        let mut rows = vec![9.0];
        disk.read(entry, 1, numbers, &mut rows).ok()?;
        Some(rows)
    }

    #[test]
    fn what_is_written_is_read() {
        for dtype in [CacheDtype::F32, CacheDtype::F16] {
            let folder = tempfile::tempdir().unwrap();
            let mut disk = open(&folder.path().join("rows"), 1, dtype);
            assert_eq!(read(&mut disk, 0, 3), None, "nothing yet");
            disk.write(1, 1, &[1.5, -2.0]).unwrap();
            disk.write(0, 1, &[1.0, 2.0, 3.0]).unwrap();
            assert_eq!(read(&mut disk, 0, 3), Some(vec![9.0, 1.0, 2.0, 3.0]));
            assert_eq!(read(&mut disk, 1, 2), Some(vec![9.0, 1.5, -2.0]));
            disk.write(0, 1, &[4.0]).unwrap();
            assert_eq!(read(&mut disk, 0, 1), Some(vec![9.0, 4.0]));
            assert_eq!(read(&mut disk, 0, 3), None, "another size");
        }
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        let mut disk = open(&path, 1, CacheDtype::F32);
        disk.write(0, 1, &[1.0, 2.0, 3.0]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole.len(), 64 + 32 + 12);
        for at in 64..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read(&mut disk, 0, 3), None, "byte {at}");
        }
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(read(&mut disk, 0, 3), None, "cut short");
        std::fs::write(&path, &whole).unwrap();
        assert!(read(&mut disk, 0, 3).is_some());
    }

    #[test]
    fn an_earlier_file_is_taken_over_under_the_right_keys_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        let mut disk = open(&path, 1, CacheDtype::F32);
        disk.write(0, 1, &[1.0, 2.0, 3.0]).unwrap();
        disk.set_key(2, [8; 16]);
        disk.write(1, 2, &[4.0]).unwrap();
        drop(disk);

        let mut disk = open(&path, 1, CacheDtype::F32);
        assert_eq!(disk.take_over(1), [(0, 3)]);
        assert_eq!(read(&mut disk, 0, 3), Some(vec![9.0, 1.0, 2.0, 3.0]));
        disk.set_key(2, [9; 16]);
        assert_eq!(disk.take_over(2), [], "a parameter below has changed");
        assert!(disk.has_left());
        drop(disk);

        let sizes = [12, 8].map(|bytes| SLOT_HEADER + bytes);
        let other = Disk::make(file(&path), &[1; 32], &[1, 2], &sizes, CacheDtype::F32).unwrap();
        assert!(!other.has_left(), "other entries are kept");
        drop(other);
        drop(open(&path, 1, CacheDtype::F32).write(0, 1, &[1.0]));
        assert!(open(&path, 1, CacheDtype::F32).has_left());
        let disk = open(&path, 2, CacheDtype::F32);
        assert!(!disk.has_left(), "other inputs: the file begins afresh");
    }

    #[test]
    fn no_entry_passes_for_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        let sizes = [8, 8].map(|bytes| SLOT_HEADER + bytes);
        let mut disk = Disk::make(file(&path), &[1; 32], &[0, 1], &sizes, CacheDtype::F32).unwrap();
        disk.set_key(1, KEY);
        disk.write(0, 1, &[1.0, 2.0]).unwrap();
        disk.write(1, 1, &[3.0, 4.0]).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.copy_within(64..104, 104);
        std::fs::write(&path, bytes).unwrap();
        assert!(read(&mut disk, 0, 2).is_some());
        assert_eq!(read(&mut disk, 1, 2), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = open(&folder.path().join("rows"), 1, CacheDtype::F32);
        disk.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = disk.write(0, 1, &[1.0]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }
}
