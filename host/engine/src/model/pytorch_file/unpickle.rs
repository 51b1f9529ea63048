//! Reads a pickle that contains tensors and nothing else. No Python name but those of
//! [`super::object::Name`] is accepted, and nothing is ever run: calls of these few names only
//! describe tensors.
//!
//! The instructions are those of protocols 2 to 5 that `torch.save` writes for plain data
//! (CPython's `pickletools` describes them). All others are refused, among them every instruction
//! that makes an instance of a class. [`super::zip_layout`] and [`super::legacy_layout`] call it.

use super::object::{Id, Name, Object, Objects, Storage, Tensor};
use std::{
    collections::HashMap,
    io::{ErrorKind, Read},
};

/// The longest pickle that is read. That of BERT-large has 60 kB.
pub(super) const MOST_BYTES: u64 = 8 << 20;

/// The most entries of the memo, and the most marks.
const MOST_REMEMBERED: usize = 1 << 20;

/// The longest key of a storage. PyTorch's are numbers.
const LONGEST_KEY: usize = 64;

/// The longest text that a message quotes.
const QUOTED: usize = 120;

/// The fault of a pickle, in words.
pub(super) type Result<T> = std::result::Result<T, String>;

/// A pickle that is being read.
struct Machine<'a> {
    bytes: Bytes<'a>,
    objects: Objects,
    stack: Vec<Id>,
    /// The heights of the stack at the marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

/// The bytes of a pickle.
struct Bytes<'a> {
    source: &'a mut dyn Read,
    left: u64,
}

/// Reads one pickle from `source`, up to and including its end. Returns its objects and the one
/// that it is about.
///
/// # Errors
/// When the pickle is damaged, too long, or contains more than tensors and plain data.
pub(super) fn unpickle(source: &mut dyn Read) -> Result<(Objects, Id)> {
    let left = MOST_BYTES;
    let mut machine = Machine {
        bytes: Bytes { source, left },
        objects: Objects::default(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    while machine.step()? {}
    let result = machine.pop()?;
    Ok((machine.objects, result))
}

impl Bytes<'_> {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        let fits = self.left.checked_sub(buffer.len() as u64);
        self.left = fits.ok_or_else(too_long)?;
        self.source.read_exact(buffer).map_err(broken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// A text of so many bytes. Memory is taken as the bytes arrive.
    fn text(&mut self, length: u64) -> Result<String> {
        self.left = self.left.checked_sub(length).ok_or_else(too_long)?;
        let mut bytes = Vec::new();
        let source = &mut *self.source;
        let read = source.take(length).read_to_end(&mut bytes);
        let read = read.map_err(broken)?;
        if read as u64 != length {
            return Err("its list of tensors is cut off".into());
        }
        String::from_utf8(bytes).map_err(|_| "a text in it is not UTF-8".into())
    }

    fn line(&mut self) -> Result<String> {
        let mut bytes = Vec::new();
        loop {
            match self.array::<1>()? {
                [b'\n'] => break,
                [byte] => bytes.push(byte),
            }
        }
        String::from_utf8(bytes).map_err(|_| "a name in it is not UTF-8".into())
    }
}

fn too_long() -> String {
    format!("expected a list of tensors of at most {MOST_BYTES} bytes, found a longer one")
}

fn broken(error: std::io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => "its list of tensors is cut off".into(),
        _ => format!("cannot read its list of tensors: {error}"),
    }
}

impl Machine<'_> {
    /// Executes one instruction; `false` at the end of the pickle.
    fn step(&mut self) -> Result<bool> {
        let [code] = self.bytes.array()?;
        match code {
            b'.' => return Ok(false),
            b'(' => {
                bounded(self.marks.len())?;
                self.marks.push(self.stack.len());
            }
            b'0' => drop(self.pop()?),
            b'1' => drop(self.since_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            0x80 => drop(self.bytes.array::<1>()?),
            0x95 => drop(self.bytes.array::<8>()?),
            b'c' => {
                let (module, name) = (self.bytes.line()?, self.bytes.line()?);
                self.name(&module, &name)?;
            }
            0x93 => {
                let (name, module) = (self.pop_text()?, self.pop_text()?);
                self.name(&module, &name)?;
            }
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.remember(code)?,
            b'Q' => self.storage()?,
            b'R' => self.call()?,
            b'b' => self.set_state()?,
            b'}' | b'd' | b's' | b'u' => self.dict(code)?,
            b']' | b'l' | b'a' | b'e' => self.list(code)?,
            b')' | b't' | 0x85..=0x87 => self.tuple(code)?,
            _ => self.plain(code)?,
        }
        Ok(true)
    }

    /// Numbers, texts and constants.
    fn plain(&mut self, code: u8) -> Result<()> {
        let bytes = &mut self.bytes;
        let object = match code {
            b'N' => Object::None,
            0x88 => Object::Bool(true),
            0x89 => Object::Bool(false),
            b'K' => Object::Int(bytes.array::<1>()?[0].into()),
            b'M' => Object::Int(u16::from_le_bytes(bytes.array()?).into()),
            b'J' => Object::Int(i32::from_le_bytes(bytes.array()?).into()),
            0x8a => {
                let [length] = bytes.array()?;
                let mut digits = [0; 16];
                let digits_used = digits
                    .get_mut(..usize::from(length))
                    .ok_or("a number in it has more than 16 bytes")?;
                bytes.fill(digits_used)?;
                let is_negative = digits_used.last().is_some_and(|byte| byte & 0x80 != 0);
                if is_negative {
                    digits[usize::from(length)..].fill(0xff);
                }
                Object::Int(i128::from_le_bytes(digits))
            }
            b'G' => {
                bytes.array::<8>()?;
                Object::Float
            }
            b'U' | 0x8c => {
                let [length] = bytes.array()?;
                Object::Text(bytes.text(length.into())?)
            }
            b'T' | b'X' => {
                let length = u32::from_le_bytes(bytes.array()?);
                Object::Text(bytes.text(length.into())?)
            }
            0x8d => {
                let length = u64::from_le_bytes(bytes.array()?);
                Object::Text(bytes.text(length)?)
            }
            b'i' | b'o' | 0x81 | 0x92 => {
                return Err("it contains code: it makes an instance of a class".into());
            }
            b'P' | 0x82..=0x84 => return Err("it contains code: it refers to other objects".into()),
            _ => {
                return Err(format!(
                    "expected tensors only, found the pickle instruction {code:#04x}"
                ));
            }
        };
        self.push(object)
    }

    fn push(&mut self, object: Object) -> Result<()> {
        let id = self.objects.add(object)?;
        self.stack.push(id);
        Ok(())
    }

    fn top(&self) -> Result<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let above = self.stack.get(floor..).unwrap_or_default();
        above.last().copied().ok_or_else(damaged)
    }

    fn pop(&mut self) -> Result<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_text(&mut self) -> Result<String> {
        let id = self.pop()?;
        let text = self.objects.text(id);
        text.map(str::to_owned).ok_or_else(damaged)
    }

    /// Takes everything above the last mark.
    fn since_mark(&mut self) -> Result<Vec<Id>> {
        let height = self.marks.pop().ok_or_else(damaged)?;
        if height > self.stack.len() {
            return Err(damaged());
        }
        Ok(self.stack.split_off(height))
    }

    fn name(&mut self, module: &str, name: &str) -> Result<()> {
        let known = Name::of(module, name).ok_or_else(|| {
            let full: String = format!("{module}.{name}").chars().take(QUOTED).collect();
            format!("it contains code: expected tensors only, found the Python name {full}")
        })?;
        self.push(Object::Name(known))
    }

    /// Writes to the memo, or reads from it.
    fn remember(&mut self, code: u8) -> Result<()> {
        let key = match code {
            b'q' | b'h' => self.bytes.array::<1>()?[0].into(),
            b'r' | b'j' => u32::from_le_bytes(self.bytes.array()?),
            _ => self.memo.len() as u32,
        };
        if matches!(code, b'h' | b'j') {
            let id = self.memo.get(&key).copied().ok_or_else(damaged)?;
            self.stack.push(id);
        } else {
            let top = self.top()?;
            bounded(self.memo.len())?;
            self.memo.insert(key, top);
        }
        Ok(())
    }

    fn dict(&mut self, code: u8) -> Result<()> {
        let flat = match code {
            b'}' => Vec::new(),
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.since_mark()?,
        };
        let pairs = flat.as_chunks::<2>();
        if !pairs.1.is_empty() {
            return Err(damaged());
        }
        let pairs = pairs.0.iter().map(|&[key, value]| (key, value));
        if matches!(code, b'}' | b'd') {
            return self.push(Object::Dict(pairs.collect()));
        }
        let top = self.top()?;
        match self.objects.get_mut(top) {
            Object::Dict(entries) => entries.extend(pairs),
            _ => return Err(damaged()),
        }
        Ok(())
    }

    fn list(&mut self, code: u8) -> Result<()> {
        let items = match code {
            b']' => Vec::new(),
            b'a' => vec![self.pop()?],
            _ => self.since_mark()?,
        };
        if matches!(code, b']' | b'l') {
            return self.push(Object::List(items));
        }
        let top = self.top()?;
        match self.objects.get_mut(top) {
            Object::List(list) => list.extend(items),
            _ => return Err(damaged()),
        }
        Ok(())
    }

    fn tuple(&mut self, code: u8) -> Result<()> {
        let items = match code {
            b')' => Vec::new(),
            b't' => self.since_mark()?,
            _ => {
                let mut items = Vec::new();
                for _ in 0..=(code - 0x85) {
                    items.push(self.pop()?);
                }
                items.reverse();
                items
            }
        };
        self.push(Object::Tuple(items))
    }

    /// A storage: `("storage", TYPE, KEY, DEVICE, NUMBERS)`, in the older layout with a sixth item,
    /// which is `None` or the view `(KEY, FIRST, NUMBERS)`.
    fn storage(&mut self) -> Result<()> {
        let id = self.pop()?;
        let objects = &self.objects;
        let parse = || {
            let items = objects.tuple(id)?;
            let (&[kind, class, key, _, numbers], rest) = items.split_first_chunk::<5>()?;
            let Object::Name(Name::Storage(dtype)) = objects.get(class) else {
                return None;
            };
            let mut storage = Storage {
                dtype: *dtype,
                key: objects.text(key)?.chars().take(LONGEST_KEY + 1).collect(),
                numbers: objects.number(numbers)?,
                first: 0,
            };
            match rest {
                [] => {}
                [view] if *objects.get(*view) == Object::None => {}
                [view] => {
                    let &[_, first, numbers] = objects.tuple(*view)? else {
                        return None;
                    };
                    storage.first = objects.number(first)?;
                    let end = storage.first.checked_add(objects.number(numbers)?)?;
                    if end > storage.numbers {
                        return None;
                    }
                }
                _ => return None,
            }
            let is_known =
                objects.text(kind) == Some("storage") && storage.key.len() <= LONGEST_KEY;
            is_known.then_some(storage)
        };
        let storage = parse().ok_or("a storage in it is described in an unknown form")?;
        self.push(Object::Storage(storage))
    }

    /// Calls one of the known names.
    fn call(&mut self) -> Result<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let objects = &self.objects;
        let arguments = objects.tuple(arguments).ok_or_else(damaged)?;
        let result = match (objects.get(function), arguments) {
            (Object::Name(Name::OrderedDict), []) => Object::Dict(Vec::new()),
            (Object::Name(Name::Tensor), arguments) => {
                let tensor = tensor(objects, arguments);
                Object::Tensor(tensor.ok_or("a tensor in it is described in an unknown form")?)
            }
            (Object::Name(Name::Parameter), &[tensor, _, _]) => match objects.get(tensor) {
                Object::Tensor(tensor) => Object::Tensor(tensor.clone()),
                _ => return Err("a parameter in it is described in an unknown form".into()),
            },
            (Object::Name(_), _) => {
                return Err("a call in it has other arguments than expected".into());
            }
            _ => return Err("it contains code: it calls something that is no name".into()),
        };
        self.push(result)
    }

    /// Accepts the attributes of a state dict (`_metadata`), which are not needed.
    fn set_state(&mut self) -> Result<()> {
        self.pop()?;
        let object = self.top()?;
        match self.objects.get(object) {
            Object::Dict(_) => Ok(()),
            _ => Err("it contains code: it sets the state of an object".into()),
        }
    }
}

/// A tensor from `(STORAGE, OFFSET, SHAPE, STRIDES, REQUIRES_GRAD, HOOKS)`, and possibly metadata.
fn tensor(objects: &Objects, arguments: &[Id]) -> Option<Tensor> {
    let (&[storage, offset, shape, strides], rest) = arguments.split_first_chunk::<4>()?;
    let Object::Storage(storage) = objects.get(storage) else {
        return None;
    };
    let tensor = Tensor {
        storage: storage.clone(),
        offset: objects.number(offset)?,
        shape: objects.sizes(shape)?,
        strides: objects.sizes(strides)?,
    };
    let is_known = rest.len() <= 3 && tensor.shape.len() == tensor.strides.len();
    is_known.then_some(tensor)
}

fn bounded(length: usize) -> Result<()> {
    if length < MOST_REMEMBERED {
        return Ok(());
    }
    Err(format!(
        "expected at most {MOST_REMEMBERED} remembered values in its list of tensors, found more"
    ))
}

fn damaged() -> String {
    "its list of tensors is damaged".into()
}

#[cfg(test)]
mod tests;
