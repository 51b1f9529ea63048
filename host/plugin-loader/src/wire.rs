//! The interface's records as bytes, exactly: every bit of a number, every value of an open
//! enumeration, every extension. Both sides of [`crate::isolation`] use it, and
//! [`crate::consistency`] compares answers with it.
//!
//! Numbers are little-endian. Texts and lists begin with their length in four bytes. The bytes come
//! from a process that may write anything. Each length is therefore checked against the remaining
//! bytes, and the depth of nested values is limited. The memory of the result is counted, so that a
//! few bytes cannot ask for gigabytes.

use abi_stable::std_types::{RNone, ROption, RSome, RString, RVec};
use progtune_plugin_api::{
    graph::{Graph, Node, Op},
    open::{Attribute, Value},
    records::{
        DecisionRecord, ErrorCode, HostRecord, MethodPlan, Mode, ModelRecord, NewParameter,
        ParameterRecord, Part, PluginError, Rewrite, Role, RunRecord, SchedulePlan, ScheduleTraits,
        SignalRecord, SiteKind, SiteRecord,
    },
};
use std::mem::size_of;

/// The maximum depth of nested values.
const DEEPEST: u32 = 32;
/// The maximum memory of a record.
const LARGEST: usize = 1 << 30;

/// The reason why bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// A type that can be written as bytes and read back.
pub(crate) trait Wire: Sized {
    /// Appends the value.
    fn put(&self, out: &mut Vec<u8>);
    /// Reads a value.
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed>;

    /// The bytes of this value.
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }

    /// The value of which these are the bytes, all of them.
    fn of_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let value = Self::take(&mut reader)?;
        if reader.rest.is_empty() {
            Ok(value)
        } else {
            Err(Malformed("it continues after its end"))
        }
    }
}

/// Bytes that are read from the front.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    memory: usize,
    depth: u32,
}

impl<'a> Reader<'a> {
    /// A reader of these bytes.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            memory: LARGEST,
            depth: 0,
        }
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(Malformed("it ends too early"))?;
        self.rest = rest;
        Ok(head)
    }

    /// All remaining bytes.
    pub(super) fn everything(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.rest).to_vec()
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.slice(N)?);
        Ok(array)
    }

    /// The length of a list whose items have this size in memory. Each item takes at least one
    /// byte.
    fn length(&mut self, each: usize) -> Result<usize, Malformed> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        if length > self.rest.len() {
            return Err(Malformed("a list is longer than the remaining bytes"));
        }
        let taken = length.saturating_mul(each);
        self.memory = self
            .memory
            .checked_sub(taken)
            .ok_or(Malformed("it would take more memory than any answer needs"))?;
        Ok(length)
    }

    fn list<T: Wire>(&mut self) -> Result<Vec<T>, Malformed> {
        let length = self.length(size_of::<T>())?;
        // Reserves room for the items that can be there: the shortest item takes one byte.
        let mut list = Vec::with_capacity(length.min(self.rest.len() / size_of::<T>().max(1) + 16));
        for _ in 0..length {
            list.push(T::take(self)?);
        }
        Ok(list)
    }
}

fn put_length(length: usize, out: &mut Vec<u8>) {
    // More than 2^32 items do not fit a frame. The receiver refuses it as too long.
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

macro_rules! numbers {
    ($($kind:ty),*) => {$(
        impl Wire for $kind {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                Ok(Self::from_le_bytes(from.array()?))
            }
        }
    )*};
}
numbers!(u8, u16, u32, u64, i32, i64);

impl Wire for f64 {
    fn put(&self, out: &mut Vec<u8>) {
        self.to_bits().put(out);
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        u64::take(from).map(Self::from_bits)
    }
}

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match u8::take(from)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("a truth value is neither 0 nor 1")),
        }
    }
}

impl Wire for RString {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        out.extend_from_slice(self.as_bytes());
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        String::take(from).map(Self::from)
    }
}

impl Wire for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        out.extend_from_slice(self.as_bytes());
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let length = from.length(1)?;
        let text = std::str::from_utf8(from.slice(length)?);
        text.map(Self::from)
            .map_err(|_| Malformed("a text is not UTF-8"))
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        for item in self {
            item.put(out);
        }
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.list()
    }
}

impl<T: Wire> Wire for RVec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        for item in self {
            item.put(out);
        }
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.list().map(Self::from)
    }
}

impl<T: Wire> Wire for ROption<T> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            RNone => out.push(0),
            RSome(value) => {
                out.push(1);
                value.put(out);
            }
        }
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        if bool::take(from)? {
            T::take(from).map(RSome)
        } else {
            Ok(RNone)
        }
    }
}

impl<T: Wire, E: Wire> Wire for Result<T, E> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Ok(value) => {
                out.push(1);
                value.put(out);
            }
            Err(error) => {
                out.push(0);
                error.put(out);
            }
        }
    }
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(if bool::take(from)? {
            Ok(T::take(from)?)
        } else {
            Err(E::take(from)?)
        })
    }
}

macro_rules! tagged {
    ($($tag:literal $variant:ident),*) => {
        impl Wire for Value {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant(value) => {
                        out.push($tag);
                        value.put(out);
                    })*
                }
            }
            fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                from.depth += 1;
                if from.depth > DEEPEST {
                    return Err(Malformed("values are nested more than 32 deep"));
                }
                let value = match u8::take(from)? {
                    $($tag => Self::$variant(Wire::take(from)?),)*
                    _ => return Err(Malformed("a value is of an unknown kind")),
                };
                from.depth -= 1;
                Ok(value)
            }
        }
    };
}
tagged!(
    0 Bool, 1 Int, 2 Float, 3 Str, 4 Ints, 5 Floats, 6 Strs, 7 Bytes, 8 List, 9 Record
);

macro_rules! open_enums {
    ($($kind:ident),*) => {$(
        impl Wire for $kind {
            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }
            fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                Wire::take(from).map(Self)
            }
        }
    )*};
}
open_enums!(ErrorCode, Part, Role, SiteKind, Mode, Op);

macro_rules! records {
    ($($kind:ident { $($field:ident),* })*) => {$(
        impl Wire for $kind {
            fn put(&self, out: &mut Vec<u8>) {
                // Names every field: a field that is added to the record does not compile without a
                // place here.
                let Self { $($field),* } = self;
                $($field.put(out);)*
            }
            fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                $(let $field = Wire::take(from)?;)*
                Ok(Self { $($field),* })
            }
        }
    )*};
}
pub(crate) use records;

records! {
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

/// A [`HostRecord`] without the functions that a plugin may call, which belong to each process.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HostOffer {
    name: RString,
    version: RString,
    abi_minor: u32,
    ops: RVec<Op>,
    site_kinds: RVec<SiteKind>,
    modes: RVec<Mode>,
    signals: RVec<RString>,
    ext: RVec<Attribute>,
}

impl From<&HostRecord> for HostOffer {
    fn from(host: &HostRecord) -> Self {
        Self {
            name: host.name.clone(),
            version: host.version.clone(),
            abi_minor: host.abi_minor,
            ops: host.ops.clone(),
            site_kinds: host.site_kinds.clone(),
            modes: host.modes.clone(),
            signals: host.signals.clone(),
            ext: host.ext.clone(),
        }
    }
}

impl HostOffer {
    /// The record with the functions of `own`, this process's.
    pub(crate) fn with_functions_of(self, own: &HostRecord) -> HostRecord {
        HostRecord {
            name: self.name,
            version: self.version,
            abi_minor: self.abi_minor,
            ops: self.ops,
            site_kinds: self.site_kinds,
            modes: self.modes,
            signals: self.signals,
            api: own.api,
            ext: self.ext,
        }
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
