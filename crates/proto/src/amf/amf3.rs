//! AMF 3: values, a reader and a writer.
//!
//! References to strings and to traits are followed, those to complex values are not. The writer
//! makes none of the first two kinds, which every reader allows.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Cursor, Error, Limits};

/// A value of AMF 3.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Not even nothing.
    Undefined,
    /// Nothing.
    Null,
    /// Yes or no.
    Boolean(bool),
    /// A number of 29 bits with its sign; a greater one is written as a double.
    Integer(i32),
    /// A number.
    Double(f64),
    /// Text.
    String(String),
    /// An XML document of the old kind, as text.
    XmlDocument(String),
    /// Milliseconds since 1970 in UTC.
    Date(f64),
    /// An array: what has names, and what has places.
    Array {
        /// Values with names, none of which is empty.
        named: Properties,
        /// Values by place.
        items: Vec<Value>,
    },
    /// An object.
    Object {
        /// The name of its class; empty for none.
        class: String,
        /// The properties that all objects of its class have.
        sealed: Properties,
        /// What this one has besides, if its class allows it; no name is empty.
        dynamic: Option<Properties>,
    },
    /// XML, as text.
    Xml(String),
    /// Bytes.
    ByteArray(Bytes),
    /// Numbers of 32 bits with their sign.
    Ints {
        /// Their count is not to change.
        fixed: bool,
        /// The numbers.
        items: Vec<i32>,
    },
    /// Numbers of 32 bits.
    Uints {
        /// Their count is not to change.
        fixed: bool,
        /// The numbers.
        items: Vec<u32>,
    },
    /// Numbers.
    Doubles {
        /// Their count is not to change.
        fixed: bool,
        /// The numbers.
        items: Vec<f64>,
    },
    /// Values of one class.
    Objects {
        /// Their count is not to change.
        fixed: bool,
        /// The name of the class; empty or `*` for any.
        class: String,
        /// The values.
        items: Vec<Value>,
    },
    /// Values with values for keys.
    Dictionary {
        /// Keys are held weakly.
        weak: bool,
        /// Keys and values in their order.
        entries: Vec<(Value, Value)>,
    },
    /// The complex value with this number, counted in the order in which they began. It is not
    /// followed.
    Reference(u32),
}

/// Names with values, in the order in which they stand.
pub type Properties = Vec<(String, Value)>;

impl Value {
    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Value::Integer(number) => Some(f64::from(*number)),
            Value::Double(number) => Some(*number),
            _ => None,
        }
    }

    /// Yes or no.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Boolean(yes) => Some(*yes),
            _ => None,
        }
    }

    /// Writes the value behind what is there. Lengths and counts have 28 bits: nothing longer is
    /// to be given.
    pub fn write(&self, out: &mut BytesMut) {
        match self {
            Value::Undefined => out.put_u8(UNDEFINED),
            Value::Null => out.put_u8(NULL),
            Value::Boolean(false) => out.put_u8(FALSE),
            Value::Boolean(true) => out.put_u8(TRUE),
            Value::Integer(number) if (INTEGER_MIN..=INTEGER_MAX).contains(number) => {
                out.put_u8(INTEGER);
                write_u29(*number as u32 & U29_MAX, out);
            }
            Value::Integer(number) => Value::Double(f64::from(*number)).write(out),
            Value::Double(number) => {
                out.put_u8(DOUBLE);
                out.put_f64(*number);
            }
            Value::String(text) => write_bytes(STRING, text.as_bytes(), out),
            Value::XmlDocument(text) => write_bytes(XML_DOCUMENT, text.as_bytes(), out),
            Value::Xml(text) => write_bytes(XML, text.as_bytes(), out),
            Value::ByteArray(bytes) => write_bytes(BYTE_ARRAY, bytes, out),
            Value::Date(millis) => {
                out.put_slice(&[DATE, 1]);
                out.put_f64(*millis);
            }
            Value::Reference(number) => {
                out.put_u8(OBJECT);
                write_u29(number << 1, out);
            }
            _ => self.write_complex(out),
        }
    }

    fn write_complex(&self, out: &mut BytesMut) {
        match self {
            Value::Array { named, items } => {
                write_count(ARRAY, items.len(), out);
                write_properties(named, out);
                items.iter().for_each(|item| item.write(out));
            }
            Value::Object { class, sealed, dynamic } => {
                out.put_u8(OBJECT);
                write_u29((sealed.len() as u32) << 4 | u32::from(dynamic.is_some()) << 3 | 3, out);
                write_text(class, out);
                sealed.iter().for_each(|(name, _)| write_text(name, out));
                sealed.iter().for_each(|(_, value)| value.write(out));
                if let Some(dynamic) = dynamic {
                    write_properties(dynamic, out);
                }
            }
            Value::Ints { fixed, items } => {
                write_vector(VECTOR_INT, *fixed, items.len(), out);
                items.iter().for_each(|item| out.put_i32(*item));
            }
            Value::Uints { fixed, items } => {
                write_vector(VECTOR_UINT, *fixed, items.len(), out);
                items.iter().for_each(|item| out.put_u32(*item));
            }
            Value::Doubles { fixed, items } => {
                write_vector(VECTOR_DOUBLE, *fixed, items.len(), out);
                items.iter().for_each(|item| out.put_f64(*item));
            }
            Value::Objects { fixed, class, items } => {
                write_vector(VECTOR_OBJECT, *fixed, items.len(), out);
                write_text(class, out);
                items.iter().for_each(|item| item.write(out));
            }
            Value::Dictionary { weak, entries } => {
                write_vector(DICTIONARY, *weak, entries.len(), out);
                for (key, value) in entries {
                    key.write(out);
                    value.write(out);
                }
            }
            _ => {}
        }
    }
}

/// Reads values that stand one behind the other. Its limits hold for all of them together;
/// references do not reach from one into another.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    cursor: Cursor<'a>,
    failed: bool,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `data`.
    pub fn new(data: &'a [u8], limits: Limits) -> Self {
        Reader { cursor: Cursor::new(data, limits), failed: false }
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<Value, Error>;

    /// The next value; `None` at the end of the data, and behind an error.
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.cursor.is_empty() {
            return None;
        }
        let value = read(&mut self.cursor);
        self.failed = value.is_err();
        Some(value)
    }
}

/// Reads one value with tables of its own.
pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Value, Error> {
    Tables::default().value(cursor)
}

/// What references can mean (section 2.2).
#[derive(Default)]
struct Tables {
    strings: Vec<String>,
    traits: Vec<Traits>,
    /// How many complex values began.
    complex: usize,
}

#[derive(Clone)]
struct Traits {
    class: String,
    names: Vec<String>,
    is_dynamic: bool,
}

/// What stands where a complex value may.
enum Head {
    Reference(u32),
    /// The other 28 bits.
    Inline(u32),
}

impl Tables {
    fn value(&mut self, cursor: &mut Cursor<'_>) -> Result<Value, Error> {
        cursor.enter()?;
        let offset = cursor.offset;
        let value = match cursor.u8()? {
            UNDEFINED => Value::Undefined,
            NULL => Value::Null,
            FALSE => Value::Boolean(false),
            TRUE => Value::Boolean(true),
            // The sign is the highest of 29 bits.
            INTEGER => Value::Integer(((read_u29(cursor)? << 3) as i32) >> 3),
            DOUBLE => Value::Double(cursor.f64()?),
            STRING => Value::String(self.string(cursor)?),
            marker @ XML_DOCUMENT..=DICTIONARY => match self.head(cursor)? {
                Head::Reference(number) => Value::Reference(number),
                Head::Inline(bits) => self.complex(marker, bits, cursor)?,
            },
            marker => return Err(Error::Marker { offset, marker }),
        };
        cursor.leave();
        Ok(value)
    }

    fn head(&mut self, cursor: &mut Cursor<'_>) -> Result<Head, Error> {
        let offset = cursor.offset;
        let bits = read_u29(cursor)?;
        if bits & 1 == 1 {
            self.complex += 1;
            return Ok(Head::Inline(bits >> 1));
        }
        let (index, known) = ((bits >> 1) as usize, self.complex);
        if index >= known {
            return Err(Error::Reference { offset, index, known });
        }
        Ok(Head::Reference(bits >> 1))
    }

    fn complex(&mut self, marker: u8, bits: u32, cursor: &mut Cursor<'_>) -> Result<Value, Error> {
        let count = bits as usize;
        match marker {
            XML_DOCUMENT => Ok(Value::XmlDocument(cursor.text(count)?)),
            XML => Ok(Value::Xml(cursor.text(count)?)),
            BYTE_ARRAY => {
                let offset = cursor.offset;
                let bytes = Bytes::copy_from_slice(cursor.take(count)?);
                cursor.hold(offset, count)?;
                Ok(Value::ByteArray(bytes))
            }
            DATE => Ok(Value::Date(cursor.f64()?)),
            ARRAY => {
                let named = self.properties(cursor)?;
                Ok(Value::Array { named, items: self.items(count, cursor)? })
            }
            OBJECT => self.object(bits, cursor),
            DICTIONARY => {
                let weak = cursor.u8()? != 0;
                let mut entries = Vec::new();
                for _ in 0..count {
                    let key = self.value(cursor)?;
                    entries.push((key, self.value(cursor)?));
                }
                Ok(Value::Dictionary { weak, entries })
            }
            _ => self.vector(marker, count, cursor),
        }
    }

    fn vector(
        &mut self,
        marker: u8,
        count: usize,
        cursor: &mut Cursor<'_>,
    ) -> Result<Value, Error> {
        let fixed = cursor.u8()? != 0;
        if marker == VECTOR_OBJECT {
            let class = self.string(cursor)?;
            return Ok(Value::Objects { fixed, class, items: self.items(count, cursor)? });
        }
        let (offset, size) = (cursor.offset, if marker == VECTOR_DOUBLE { 8 } else { 4 });
        let bytes = cursor.take(count.saturating_mul(size))?;
        cursor.hold(offset, bytes.len())?;
        let fours = bytes.as_chunks::<4>().0.iter();
        Ok(match marker {
            VECTOR_INT => {
                Value::Ints { fixed, items: fours.map(|b| i32::from_be_bytes(*b)).collect() }
            }
            VECTOR_UINT => {
                Value::Uints { fixed, items: fours.map(|b| u32::from_be_bytes(*b)).collect() }
            }
            _ => {
                let eights = bytes.as_chunks::<8>().0.iter();
                Value::Doubles { fixed, items: eights.map(|b| f64::from_be_bytes(*b)).collect() }
            }
        })
    }

    /// An object; `bits` are those behind the first of U29O (section 3.12).
    fn object(&mut self, bits: u32, cursor: &mut Cursor<'_>) -> Result<Value, Error> {
        let offset = cursor.offset;
        let traits = if bits & 1 == 0 {
            let (index, known) = ((bits >> 1) as usize, self.traits.len());
            let found = self.traits.get(index);
            let traits = found.ok_or(Error::Reference { offset, index, known })?.clone();
            let names = traits.names.iter().map(|name| name.len() + NAME_BYTES);
            cursor.hold(offset, names.sum::<usize>() + traits.class.len())?;
            traits
        } else if bits & 2 != 0 {
            return Err(Error::Externalizable { offset });
        } else {
            let class = self.string(cursor)?;
            let mut names = Vec::new();
            for _ in 0..bits >> 3 {
                // Names take room as values do, also before any value.
                cursor.hold(cursor.offset, NAME_BYTES)?;
                names.push(self.string(cursor)?);
            }
            let traits = Traits { class, names, is_dynamic: bits & 4 != 0 };
            self.traits.push(traits.clone());
            traits
        };
        let mut sealed = Vec::new();
        for name in traits.names {
            sealed.push((name, self.value(cursor)?));
        }
        let dynamic = if traits.is_dynamic { Some(self.properties(cursor)?) } else { None };
        Ok(Value::Object { class: traits.class, sealed, dynamic })
    }

    fn properties(&mut self, cursor: &mut Cursor<'_>) -> Result<Properties, Error> {
        let mut properties = Vec::new();
        loop {
            let name = self.string(cursor)?;
            if name.is_empty() {
                return Ok(properties);
            }
            properties.push((name, self.value(cursor)?));
        }
    }

    fn items(&mut self, count: usize, cursor: &mut Cursor<'_>) -> Result<Vec<Value>, Error> {
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.value(cursor)?);
        }
        Ok(items)
    }

    /// Text without a marker (section 1.3.2): inline, or one that came before.
    fn string(&mut self, cursor: &mut Cursor<'_>) -> Result<String, Error> {
        let offset = cursor.offset;
        let bits = read_u29(cursor)?;
        let index = (bits >> 1) as usize;
        if bits & 1 == 0 {
            let known = self.strings.len();
            let found = self.strings.get(index).ok_or(Error::Reference { offset, index, known })?;
            cursor.hold(offset, found.len())?;
            return Ok(found.clone());
        }
        let text = cursor.text(index)?;
        if !text.is_empty() {
            self.strings.push(text.clone());
        }
        Ok(text)
    }
}

/// A number of 29 bits in 1 to 4 bytes (section 1.3.1).
fn read_u29(cursor: &mut Cursor<'_>) -> Result<u32, Error> {
    let mut number = 0;
    for _ in 0..3 {
        let byte = cursor.u8()?;
        number = number << 7 | u32::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Ok(number << 8 | u32::from(cursor.u8()?))
}

fn write_u29(number: u32, out: &mut BytesMut) {
    let part = |shift: u32| (number >> shift) as u8 | 0x80;
    match number {
        0..0x80 => out.put_u8(number as u8),
        0x80..0x4000 => out.put_slice(&[part(7), number as u8 & 0x7f]),
        0x4000..0x20_0000 => out.put_slice(&[part(14), part(7), number as u8 & 0x7f]),
        _ => out.put_slice(&[part(22), part(15), part(8), number as u8]),
    }
}

fn write_bytes(marker: u8, bytes: &[u8], out: &mut BytesMut) {
    write_count(marker, bytes.len(), out);
    out.put_slice(bytes);
}

fn write_count(marker: u8, count: usize, out: &mut BytesMut) {
    out.put_u8(marker);
    write_u29((count as u32) << 1 | 1, out);
}

fn write_vector(marker: u8, flag: bool, count: usize, out: &mut BytesMut) {
    write_count(marker, count, out);
    out.put_u8(u8::from(flag));
}

fn write_text(text: &str, out: &mut BytesMut) {
    write_u29((text.len() as u32) << 1 | 1, out);
    out.put_slice(text.as_bytes());
}

fn write_properties(properties: &[(String, Value)], out: &mut BytesMut) {
    for (name, value) in properties.iter().filter(|(name, _)| !name.is_empty()) {
        write_text(name, out);
        value.write(out);
    }
    write_text("", out);
}

const INTEGER_MAX: i32 = (1 << 28) - 1;
const INTEGER_MIN: i32 = -(1 << 28);
const U29_MAX: u32 = (1 << 29) - 1;
/// What a name counts for besides its text.
const NAME_BYTES: usize = 16;

// Section 3.1.
const UNDEFINED: u8 = 0;
const NULL: u8 = 1;
const FALSE: u8 = 2;
const TRUE: u8 = 3;
const INTEGER: u8 = 4;
const DOUBLE: u8 = 5;
const STRING: u8 = 6;
const XML_DOCUMENT: u8 = 7;
const DATE: u8 = 8;
const ARRAY: u8 = 9;
const OBJECT: u8 = 10;
const XML: u8 = 11;
const BYTE_ARRAY: u8 = 12;
const VECTOR_INT: u8 = 13;
const VECTOR_UINT: u8 = 14;
const VECTOR_DOUBLE: u8 = 15;
const VECTOR_OBJECT: u8 = 16;
const DICTIONARY: u8 = 17;

#[cfg(test)]
pub(crate) mod tests;
