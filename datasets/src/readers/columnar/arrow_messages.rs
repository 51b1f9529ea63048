//! The messages of an Arrow file or stream, one after the other, each with its body. Read by
//! `arrow`.
//!
//! A file is a stream with a magic number before it and a footer after it. Since messages are read
//! in order, the footer only shows that the file is complete. Sizes are checked against the
//! remaining bytes of the file before memory is allocated. Bodies compressed with zstd are
//! decompressed here, because the Arrow library supports that codec only through a C library.
//! Source: the columnar format's section "Serialization and Interprocess Communication (IPC)".

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use arrow_buffer::Buffer;
use arrow_ipc::{
    BodyCompression, CompressionType, DictionaryBatch, DictionaryBatchArgs, FieldNode, Message,
    MessageArgs, MessageHeader, RecordBatch, RecordBatchArgs, root_as_message,
};
use flatbuffers::FlatBufferBuilder;

/// The magic number at both ends of a file; streams lack it.
pub(super) const MAGIC: &[u8] = b"ARROW1";
/// The start of a message since version 0.15 of the format; earlier messages began with their size.
const CONTINUATION: u32 = u32::MAX;
/// The upper bound for a buffer unpacked from zstd, which packs a gigabyte of zeros into a few
/// kilobytes.
const MAX_BUFFER_BYTES: u64 = 1 << 30;

/// The reason why a file cannot be read.
pub(super) enum Fault {
    Io(io::Error),
    Damaged(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                damaged("the end of the file in the middle of a message")
            }
            _ => Self::Io(error),
        }
    }
}

/// The fault of a readable file that violates its format.
pub(super) fn damaged(found: impl Into<String>) -> Fault {
    Fault::Damaged(found.into())
}

/// A message: a flatbuffer, which [`root_as_message`] has found valid, and a body.
pub(super) struct Parts {
    pub(super) metadata: Vec<u8>,
    pub(super) body: Buffer,
}

impl Parts {
    /// The message itself.
    pub(super) fn message(&self) -> Result<Message<'_>, Fault> {
        root_as_message(&self.metadata)
            .map_err(|error| damaged(format!("an invalid message: {error}")))
    }
}

/// The remaining messages.
pub(super) struct Messages {
    file: BufReader<File>,
    /// The number of bytes that may still belong to messages.
    left: u64,
}

impl Messages {
    /// Opens a file.
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut start = [0; 8];
        let is_file = file.read_exact(&mut start).is_ok() && start.starts_with(MAGIC);
        let mut left = size;
        if is_file {
            let cut_off = || damaged("no footer at its end");
            let mut end = [0; 10];
            let at = size
                .checked_sub(10)
                .filter(|&at| at >= 8)
                .ok_or_else(cut_off)?;
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(&mut end)?;
            let (footer, magic) = end.split_at(4);
            let footer = u32::from_le_bytes(footer.try_into().unwrap_or_default());
            let before = at
                .checked_sub(footer.into())
                .and_then(|at| at.checked_sub(8));
            left = before.filter(|_| magic == MAGIC).ok_or_else(cut_off)?;
        }
        file.seek(SeekFrom::Start(if is_file { 8 } else { 0 }))?;
        Ok(Self {
            file: BufReader::with_capacity(1 << 16, file),
            left,
        })
    }

    /// The next message; `None` at the end.
    pub(super) fn next_parts(&mut self) -> Result<Option<Parts>, Fault> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut size = self.number()?;
        if size == CONTINUATION {
            size = self.number()?;
        }
        if size == 0 {
            return Ok(None);
        }
        let metadata = self.bytes(size.into())?;
        let body_bytes = root_as_message(&metadata)
            .map_err(|error| damaged(format!("an invalid message: {error}")))?
            .bodyLength();
        let body_bytes =
            u64::try_from(body_bytes).map_err(|_| damaged("a body of a negative size"))?;
        let body = self.bytes(body_bytes)?.into();
        plain(Parts { metadata, body }).map(Some)
    }

    fn number(&mut self) -> Result<u32, Fault> {
        let bytes = self.bytes(4)?;
        Ok(u32::from_le_bytes(bytes.try_into().unwrap_or_default()))
    }

    fn bytes(&mut self, size: u64) -> Result<Vec<u8>, Fault> {
        let too_long = || Fault::from(io::Error::from(io::ErrorKind::UnexpectedEof));
        self.left = self.left.checked_sub(size).ok_or_else(too_long)?;
        let mut bytes = vec![0; usize::try_from(size).map_err(|_| too_long())?];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// The message with its body decompressed, if the body is in zstd.
fn plain(parts: Parts) -> Result<Parts, Fault> {
    let message = parts.message()?;
    let dictionary = message.header_as_dictionary_batch();
    let batch = match dictionary {
        Some(dictionary) => dictionary.data(),
        None => message.header_as_record_batch(),
    };
    let Some(batch) = batch.filter(|batch| batch.compression().is_some_and(is_zstd)) else {
        return Ok(parts);
    };
    let mut body = Vec::new();
    let mut places = Vec::new();
    for buffer in batch.buffers().into_iter().flatten() {
        let start = body.len();
        let (offset, length) = (buffer.offset(), buffer.length());
        let packed = usize::try_from(offset)
            .ok()
            .zip(usize::try_from(length).ok())
            .and_then(|(offset, length)| parts.body.get(offset..offset.checked_add(length)?))
            .ok_or_else(|| damaged("a buffer beyond the body of its message"))?;
        unpack(packed, &mut body)?;
        places.push(arrow_ipc::Buffer::new(
            start as i64,
            (body.len() - start) as i64,
        ));
        // Buffers start at multiples of the largest alignment in use.
        body.resize(body.len().next_multiple_of(64), 0);
    }
    let metadata = without_compression(message, batch, dictionary, &places, body.len());
    Ok(Parts {
        metadata,
        body: body.into(),
    })
}

fn is_zstd(compression: BodyCompression<'_>) -> bool {
    compression.codec() == CompressionType::ZSTD
}

/// Appends the contents of a compressed buffer. A buffer is empty, or holds the size of its
/// contents (-1: not compressed) and a frame.
fn unpack(packed: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let Some((size, frame)) = packed.split_first_chunk::<8>() else {
        return Ok(());
    };
    let size = i64::from_le_bytes(*size);
    if size == -1 {
        out.extend_from_slice(frame);
        return Ok(());
    }
    let wrong = |what: &dyn std::fmt::Display| damaged(format!("a buffer in zstd: {what}"));
    let size = u64::try_from(size)
        .ok()
        .filter(|&size| size <= MAX_BUFFER_BYTES)
        .ok_or_else(|| wrong(&format_args!("a size of {size} bytes")))?;
    let start = out.len();
    if size > 0 {
        let decoder =
            ruzstd::decoding::StreamingDecoder::new(frame).map_err(|error| wrong(&error))?;
        decoder
            .take(size + 1)
            .read_to_end(out)
            .map_err(|error| wrong(&error))?;
    }
    match (out.len() - start) as u64 {
        found if found == size => Ok(()),
        _ => Err(wrong(&"contents whose size differs from the declared one")),
    }
}

/// The flatbuffer of a message whose buffers are at `places` in an uncompressed body of `n_bytes`.
fn without_compression(
    message: Message<'_>,
    batch: RecordBatch<'_>,
    dictionary: Option<DictionaryBatch<'_>>,
    places: &[arrow_ipc::Buffer],
    n_bytes: usize,
) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let nodes: Vec<FieldNode> = batch.nodes().into_iter().flatten().copied().collect();
    let counts: Option<Vec<i64>> = batch
        .variadicBufferCounts()
        .map(|counts| counts.iter().collect());
    let args = RecordBatchArgs {
        length: batch.length(),
        nodes: Some(builder.create_vector(&nodes)),
        buffers: Some(builder.create_vector(places)),
        compression: None,
        variadicBufferCounts: counts.map(|counts| builder.create_vector(&counts)),
    };
    let mut header = RecordBatch::create(&mut builder, &args).as_union_value();
    let mut header_type = MessageHeader::RecordBatch;
    if let Some(dictionary) = dictionary {
        let args = DictionaryBatchArgs {
            id: dictionary.id(),
            data: Some(flatbuffers::WIPOffset::new(header.value())),
            isDelta: dictionary.isDelta(),
        };
        header = DictionaryBatch::create(&mut builder, &args).as_union_value();
        header_type = MessageHeader::DictionaryBatch;
    }
    let args = MessageArgs {
        version: message.version(),
        header_type,
        header: Some(header),
        bodyLength: n_bytes as i64,
        custom_metadata: None,
    };
    let root = Message::create(&mut builder, &args);
    builder.finish(root, None);
    builder.finished_data().to_vec()
}
