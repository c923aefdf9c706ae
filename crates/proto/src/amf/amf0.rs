//! AMF 0: values, a reader and a writer.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Cursor, Error, Limits, amf3};

/// A value of AMF 0.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A number.
    Number(f64),
    /// Yes or no.
    Boolean(bool),
    /// Text, of either length.
    String(String),
    /// An object without a class: its properties in their order.
    Object(Properties),
    /// Nothing.
    Null,
    /// Not even nothing.
    Undefined,
    /// The complex value with this number, counted in the order in which they began. It is not
    /// followed.
    Reference(u16),
    /// An array with names for keys: what onMetaData is as a rule.
    EcmaArray(Properties),
    /// An array with places for keys.
    StrictArray(Vec<Value>),
    /// A time.
    Date {
        /// Milliseconds since 1970 in UTC.
        millis: f64,
        /// Minutes from UTC; to be written as 0 and not to be believed (section 2.13).
        zone: i16,
    },
    /// Something that its sender could not write.
    Unsupported,
    /// An XML document, as text.
    XmlDocument(String),
    /// An object with a class.
    TypedObject {
        /// The name of its class.
        class: String,
        /// Its properties in their order.
        properties: Properties,
    },
    /// A value of AMF 3 (avmplus-object-marker).
    Amf3(Box<amf3::Value>),
}

/// Names with values, in the order in which they stand.
pub type Properties = Vec<(String, Value)>;

impl Value {
    /// An object of these properties.
    pub fn object<const N: usize>(properties: [(&str, Value); N]) -> Self {
        Value::Object(named(properties))
    }

    /// An array of these properties.
    pub fn ecma_array<const N: usize>(properties: [(&str, Value); N]) -> Self {
        Value::EcmaArray(named(properties))
    }

    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            Value::Amf3(value) => value.as_str(),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            Value::Amf3(value) => value.as_number(),
            _ => None,
        }
    }

    /// Yes or no: also for numbers, which some peers send in its place.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Boolean(yes) => Some(*yes),
            Value::Number(number) => Some(*number != 0.0),
            Value::Amf3(value) => value.as_bool(),
            _ => None,
        }
    }

    /// The properties of an object or of an array with names; none for other values.
    pub fn properties(&self) -> &[(String, Value)] {
        match self {
            Value::Object(properties)
            | Value::EcmaArray(properties)
            | Value::TypedObject { properties, .. } => properties,
            _ => &[],
        }
    }

    /// The first property with this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.properties().iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Writes the value behind what is there. A property whose name is longer than 65,535 bytes is
    /// left out: there is no form for it.
    pub fn write(&self, out: &mut BytesMut) {
        match self {
            Value::Number(number) => {
                out.put_u8(NUMBER);
                out.put_f64(*number);
            }
            Value::Boolean(yes) => out.put_slice(&[BOOLEAN, u8::from(*yes)]),
            Value::String(text) => write_string(text, out),
            Value::Object(properties) => {
                out.put_u8(OBJECT);
                write_properties(properties, out);
            }
            Value::Null => out.put_u8(NULL),
            Value::Undefined => out.put_u8(UNDEFINED),
            Value::Reference(number) => {
                out.put_u8(REFERENCE);
                out.put_u16(*number);
            }
            Value::EcmaArray(properties) => {
                out.put_u8(ECMA_ARRAY);
                out.put_u32(properties.len() as u32);
                write_properties(properties, out);
            }
            Value::StrictArray(values) => {
                out.put_u8(STRICT_ARRAY);
                out.put_u32(values.len() as u32);
                values.iter().for_each(|value| value.write(out));
            }
            Value::Date { millis, zone } => {
                out.put_u8(DATE);
                out.put_f64(*millis);
                out.put_i16(*zone);
            }
            Value::Unsupported => out.put_u8(UNSUPPORTED),
            Value::XmlDocument(text) => {
                out.put_u8(XML_DOCUMENT);
                write_long(text, out);
            }
            Value::TypedObject { class, properties } => {
                out.put_u8(TYPED_OBJECT);
                write_name(class.get(..floor(class, NAME_BYTES_MAX)).unwrap_or(""), out);
                write_properties(properties, out);
            }
            Value::Amf3(value) => {
                out.put_u8(AVMPLUS);
                value.write(out);
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Number(number)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Value::Boolean(yes)
    }
}

/// Values one behind the other, in bytes.
pub fn write_all(values: &[Value]) -> Bytes {
    let mut out = BytesMut::new();
    values.iter().for_each(|value| value.write(&mut out));
    out.freeze()
}

/// Reads values that stand one behind the other. Its limits hold for all of them together.
///
/// An object or an array with names also ends where the data ends, which some encoders leave it
/// at, and the count of such an array is not believed.
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

    /// Bytes that were read.
    pub fn offset(&self) -> usize {
        self.cursor.offset
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

fn read(cursor: &mut Cursor<'_>) -> Result<Value, Error> {
    cursor.enter()?;
    let offset = cursor.offset;
    let value = match cursor.u8()? {
        NUMBER => Value::Number(cursor.f64()?),
        BOOLEAN => Value::Boolean(cursor.u8()? != 0),
        STRING => Value::String(read_name(cursor)?),
        OBJECT => Value::Object(read_properties(cursor)?),
        NULL => Value::Null,
        UNDEFINED => Value::Undefined,
        REFERENCE => Value::Reference(cursor.u16()?),
        ECMA_ARRAY => {
            cursor.u32()?;
            Value::EcmaArray(read_properties(cursor)?)
        }
        STRICT_ARRAY => Value::StrictArray(read_items(cursor)?),
        DATE => {
            let millis = cursor.f64()?;
            Value::Date { millis, zone: cursor.u16()? as i16 }
        }
        LONG_STRING => Value::String(read_long(cursor)?),
        UNSUPPORTED => Value::Unsupported,
        XML_DOCUMENT => Value::XmlDocument(read_long(cursor)?),
        TYPED_OBJECT => {
            let class = read_name(cursor)?;
            Value::TypedObject { class, properties: read_properties(cursor)? }
        }
        AVMPLUS => Value::Amf3(Box::new(amf3::read(cursor)?)),
        marker => return Err(Error::Marker { offset, marker }),
    };
    cursor.leave();
    Ok(value)
}

fn read_properties(cursor: &mut Cursor<'_>) -> Result<Properties, Error> {
    let mut properties = Vec::new();
    while !cursor.is_empty() {
        let name = read_name(cursor)?;
        if name.is_empty() && cursor.rest().first() == Some(&OBJECT_END) {
            cursor.u8()?;
            break;
        }
        properties.push((name, read(cursor)?));
    }
    Ok(properties)
}

fn read_items(cursor: &mut Cursor<'_>) -> Result<Vec<Value>, Error> {
    let count = cursor.u32()?;
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(read(cursor)?);
    }
    Ok(items)
}

fn read_name(cursor: &mut Cursor<'_>) -> Result<String, Error> {
    let bytes = usize::from(cursor.u16()?);
    cursor.text(bytes)
}

fn read_long(cursor: &mut Cursor<'_>) -> Result<String, Error> {
    let bytes = cursor.u32()? as usize;
    cursor.text(bytes)
}

fn write_string(text: &str, out: &mut BytesMut) {
    if text.len() > NAME_BYTES_MAX {
        out.put_u8(LONG_STRING);
        return write_long(text, out);
    }
    out.put_u8(STRING);
    write_name(text, out);
}

fn write_name(text: &str, out: &mut BytesMut) {
    out.put_u16(text.len() as u16);
    out.put_slice(text.as_bytes());
}

fn write_long(text: &str, out: &mut BytesMut) {
    out.put_u32(text.len() as u32);
    out.put_slice(text.as_bytes());
}

fn write_properties(properties: &[(String, Value)], out: &mut BytesMut) {
    for (name, value) in properties.iter().filter(|(name, _)| name.len() <= NAME_BYTES_MAX) {
        write_name(name, out);
        value.write(out);
    }
    out.put_slice(&[0, 0, OBJECT_END]);
}

/// The greatest place at or before `bytes` that does not cut a character.
fn floor(text: &str, bytes: usize) -> usize {
    (0..=bytes.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

fn named<const N: usize>(properties: [(&str, Value); N]) -> Properties {
    properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

// Section 2.1.
const NUMBER: u8 = 0;
const BOOLEAN: u8 = 1;
const STRING: u8 = 2;
const OBJECT: u8 = 3;
const NULL: u8 = 5;
const UNDEFINED: u8 = 6;
const REFERENCE: u8 = 7;
const ECMA_ARRAY: u8 = 8;
const OBJECT_END: u8 = 9;
const STRICT_ARRAY: u8 = 10;
const DATE: u8 = 11;
const LONG_STRING: u8 = 12;
const UNSUPPORTED: u8 = 13;
const XML_DOCUMENT: u8 = 15;
const TYPED_OBJECT: u8 = 16;
const AVMPLUS: u8 = 17;
/// The length of a name has 16 bits.
const NAME_BYTES_MAX: usize = u16::MAX as usize;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any value, at most three deep.
    pub(crate) fn any_value() -> impl Strategy<Value = Value> {
        let number = any::<f64>().prop_filter("it is not equal to itself", |n| !n.is_nan());
        let leaf = prop_oneof![
            number.clone().prop_map(Value::Number),
            any::<bool>().prop_map(Value::Boolean),
            "[a-zé]{0,12}".prop_map(Value::String),
            Just(Value::Null),
            Just(Value::Undefined),
            Just(Value::Unsupported),
            any::<u16>().prop_map(Value::Reference),
            (number, any::<i16>()).prop_map(|(millis, zone)| Value::Date { millis, zone }),
            "[a-z<>]{0,12}".prop_map(Value::XmlDocument),
            amf3::tests::any_value().prop_map(|value| Value::Amf3(Box::new(value))),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let named = prop::collection::vec(("[a-z]{0,5}", inner.clone()), 0..4);
            prop_oneof![
                named.clone().prop_map(Value::Object),
                named.clone().prop_map(Value::EcmaArray),
                prop::collection::vec(inner, 0..4).prop_map(Value::StrictArray),
                ("[A-Z]{0,5}", named)
                    .prop_map(|(class, properties)| Value::TypedObject { class, properties }),
            ]
        })
    }

    fn read_one(data: &[u8]) -> Result<Value, Error> {
        Reader::new(data, Limits::default()).next().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn what_is_written_reads_as_the_same(values in prop::collection::vec(any_value(), 0..4)) {
            let bytes = write_all(&values);
            let read: Result<Vec<_>, _> = Reader::new(&bytes, Limits::default()).collect();
            prop_assert_eq!(read.unwrap(), values);
        }

        #[test]
        fn any_bytes_are_values_or_an_error(data in prop::collection::vec(any::<u8>(), 0..200)) {
            crate::amf::fuzz::fuzz_amf0(&data);
        }

        #[test]
        fn values_cut_anywhere_are_values_or_an_error(value in any_value(), keep in 0.0..1.0) {
            let bytes = write_all(&[value]);
            crate::amf::fuzz::fuzz_amf0(&bytes[..(bytes.len() as f64 * keep) as usize]);
        }
    }

    #[test]
    fn text_past_64_kib_is_a_long_string() {
        let text = "x".repeat(70_000);
        let bytes = write_all(&[Value::String(text.clone())]);
        assert_eq!(bytes[..5], [LONG_STRING, 0, 1, 0x11, 0x70]);
        assert_eq!(read_one(&bytes), Ok(Value::String(text)));
    }

    #[test]
    fn a_property_with_a_name_too_long_is_left_out() {
        let value =
            Value::Object(vec![("n".repeat(65_536), Value::Null), ("a".into(), true.into())]);
        assert_eq!(read_one(&write_all(&[value])), Ok(Value::object([("a", true.into())])));
    }

    #[test]
    fn an_object_ends_where_the_data_ends() {
        let bytes = write_all(&[Value::ecma_array([("width", 320.0.into())])]);
        let cut = &bytes[..bytes.len() - 3];
        assert_eq!(read_one(cut), Ok(Value::ecma_array([("width", 320.0.into())])));
        assert!(matches!(read_one(&cut[..cut.len() - 1]), Err(Error::Truncated { .. })));
    }

    #[test]
    fn the_count_of_an_array_with_names_is_not_believed() {
        let mut bytes = write_all(&[Value::ecma_array([("a", true.into())])]).to_vec();
        bytes[1..5].copy_from_slice(&[0xff; 4]);
        assert_eq!(read_one(&bytes), Ok(Value::ecma_array([("a", true.into())])));
    }

    #[test]
    fn an_empty_name_is_a_name_unless_the_end_follows() {
        let value = Value::object([("", true.into()), ("b", Value::Null)]);
        assert_eq!(read_one(&write_all(std::slice::from_ref(&value))), Ok(value));
    }

    #[test]
    fn bombs_are_refused_by_their_limit() {
        let deep = [STRICT_ARRAY, 0, 0, 0, 1].repeat(100_000);
        assert_eq!(read_one(&deep), Err(Error::TooDeep { offset: 80, depth_max: 16 }));
        let many = [&[STRICT_ARRAY, 0xff, 0xff, 0xff, 0xff][..], &[NULL; 10_000]].concat();
        let refused = Err(Error::TooManyValues { offset: 4100, values_max: 4096 });
        assert_eq!(read_one(&many), refused);
        let long = Value::String("x".repeat(300_000));
        assert!(matches!(read_one(&write_all(&[long])), Err(Error::TooManyBytes { .. })));
        let claim = [LONG_STRING, 0xff, 0xff, 0xff, 0xff, b'x'];
        let error = read_one(&claim).unwrap_err();
        assert_eq!(error.to_string(), "AMF byte 5: 4294967295 bytes expected, 1 are left");
    }

    #[test]
    fn a_marker_of_no_value_is_named() {
        assert_eq!(read_one(&[0x63]), Err(Error::Marker { offset: 0, marker: 0x63 }));
    }
}
