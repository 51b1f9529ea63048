//! The values that a pickle of tensors may contain, in one list that refers to itself by position.
//! [`super::unpickle`] makes them, [`super::tensors`] reads them.
//!
//! Nothing in a value owns another one. A reference therefore costs a number, however large the
//! value is, and neither copying nor dropping a value recurses.

use crate::model::tensor_values::MOST_DIMENSIONS;
use safetensors::Dtype;

/// The position of an object in [`Objects`].
pub(super) type Id = u32;

/// The most objects of one pickle. A tensor takes about twenty.
const MOST_OBJECTS: usize = 1 << 20;

/// A value of a pickle.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Object {
    None,
    Bool(bool),
    Int(i128),
    Float,
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// One of the names that may be called, or the type of a storage.
    Name(Name),
    Storage(Storage),
    Tensor(Tensor),
}

/// A Python name that a pickle of tensors needs. Every other name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`.
    Tensor,
    /// `torch._utils._rebuild_parameter`.
    Parameter,
    /// `torch.FloatStorage` and its siblings.
    Storage(Dtype),
}

impl Name {
    pub(super) fn of(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::Tensor,
            ("torch._utils", "_rebuild_parameter") => Self::Parameter,
            ("torch", name) => Self::Storage(match name {
                "DoubleStorage" => Dtype::F64,
                "FloatStorage" => Dtype::F32,
                "HalfStorage" => Dtype::F16,
                "BFloat16Storage" => Dtype::BF16,
                "LongStorage" => Dtype::I64,
                "IntStorage" => Dtype::I32,
                "ShortStorage" => Dtype::I16,
                "CharStorage" => Dtype::I8,
                "ByteStorage" => Dtype::U8,
                "BoolStorage" => Dtype::BOOL,
                _ => return None,
            }),
            _ => return None,
        })
    }
}

/// A storage, as a pickle refers to it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Storage {
    pub dtype: Dtype,
    /// The key under which the file has its bytes.
    pub key: String,
    /// The number of its values.
    pub numbers: u64,
    /// The first value in the storage under the key. Only the older layout has views of storages.
    pub first: u64,
}

/// A tensor: a view of a storage.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub storage: Storage,
    /// The first value, counted from the beginning of the storage.
    pub offset: u64,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// All objects of a pickle.
#[derive(Default)]
pub(super) struct Objects(Vec<Object>);

impl Objects {
    pub(super) fn add(&mut self, object: Object) -> Result<Id, String> {
        if self.0.len() >= MOST_OBJECTS {
            return Err(format!(
                "expected at most {MOST_OBJECTS} values beside the tensors, found more"
            ));
        }
        self.0.push(object);
        Ok((self.0.len() - 1) as Id)
    }

    pub(super) fn get(&self, id: Id) -> &Object {
        &self.0[id as usize]
    }

    pub(super) fn get_mut(&mut self, id: Id) -> &mut Object {
        &mut self.0[id as usize]
    }

    /// All storages that the pickle refers to.
    pub(super) fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.0.iter().filter_map(|object| match object {
            Object::Storage(storage) => Some(storage),
            _ => None,
        })
    }

    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Object::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn number(&self, id: Id) -> Option<u64> {
        match self.get(id) {
            Object::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    pub(super) fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Object::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// A tuple of sizes, one for each dimension.
    pub(super) fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        let items = self.tuple(id)?;
        // A long tuple costs nothing, however many tensors refer to it.
        let items = (items.len() <= MOST_DIMENSIONS).then(|| items.iter())?;
        items
            .map(|&item| usize::try_from(self.number(item)?).ok())
            .collect()
    }
}
