use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// Any value, at most three deep.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let number = any::<f64>().prop_filter("it is not equal to itself", |n| !n.is_nan());
    let leaf = prop_oneof![
        Just(Value::Undefined),
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        (INTEGER_MIN..=INTEGER_MAX).prop_map(Value::Integer),
        number.clone().prop_map(Value::Double),
        "[a-zé]{0,12}".prop_map(Value::String),
        "[a-z<>]{0,12}".prop_map(Value::XmlDocument),
        "[a-z<>]{0,12}".prop_map(Value::Xml),
        number.clone().prop_map(Value::Date),
        vec(any::<u8>(), 0..9).prop_map(|bytes| Value::ByteArray(bytes.into())),
        (any::<bool>(), vec(any::<i32>(), 0..4))
            .prop_map(|(fixed, items)| Value::Ints { fixed, items }),
        (any::<bool>(), vec(any::<u32>(), 0..4))
            .prop_map(|(fixed, items)| Value::Uints { fixed, items }),
        (any::<bool>(), vec(number, 0..4))
            .prop_map(|(fixed, items)| Value::Doubles { fixed, items }),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let named = vec(("[a-z]{1,5}", inner.clone()), 0..4);
        let items = vec(inner.clone(), 0..4);
        prop_oneof![
            (named.clone(), items.clone()).prop_map(|(named, items)| Value::Array { named, items }),
            ("[A-Z]{0,4}", named.clone(), prop::option::of(named))
                .prop_map(|(class, sealed, dynamic)| Value::Object { class, sealed, dynamic }),
            (any::<bool>(), "[A-Z]{0,4}", items).prop_map(|(fixed, class, items)| Value::Objects {
                fixed,
                class,
                items
            }),
            (any::<bool>(), vec((inner.clone(), inner), 0..4))
                .prop_map(|(weak, entries)| Value::Dictionary { weak, entries }),
        ]
    })
}

fn read_one(data: &[u8]) -> Result<Value, Error> {
    Reader::new(data, Limits::default()).next().unwrap()
}

fn written(value: &Value) -> BytesMut {
    let mut out = BytesMut::new();
    value.write(&mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn what_is_written_reads_as_the_same(value in any_value()) {
        prop_assert_eq!(read_one(&written(&value)), Ok(value));
    }

    #[test]
    fn any_bytes_are_values_or_an_error(data in vec(any::<u8>(), 0..200)) {
        crate::amf::fuzz::fuzz_amf3(&data);
    }
}

#[test]
fn integers_have_one_to_four_bytes() {
    // Section 1.3.1.
    for (number, bytes) in [
        (0x7f, &[0x7f][..]),
        (0x80, &[0x81, 0]),
        (0x3fff, &[0xff, 0x7f]),
        (0x1f_ffff, &[0xff, 0xff, 0x7f]),
        (0x20_0000, &[0x80, 0xc0, 0x80, 0]),
        (-1, &[0xff, 0xff, 0xff, 0xff]),
    ] {
        assert_eq!(written(&Value::Integer(number)), [&[INTEGER], bytes].concat());
    }
    assert_eq!(written(&Value::Integer(1 << 28))[0], DOUBLE);
}

#[test]
fn references_to_strings_and_traits_are_followed() {
    // Two dynamic objects of a class "A" with a sealed "b"; the second refers to all of that.
    let first = [OBJECT, 0x13, 3, b'A', 3, b'b', NULL];
    let second = [OBJECT, 1, STRING, 2];
    let data = [&[ARRAY, 5, 1][..], &first, &second].concat();
    let object = |value| Value::Object {
        class: "A".into(),
        sealed: vec![("b".into(), value)],
        dynamic: None,
    };
    let items = vec![object(Value::Null), object(Value::String("b".into()))];
    assert_eq!(read_one(&data), Ok(Value::Array { named: vec![], items }));
}

#[test]
fn references_to_what_did_not_come_are_refused() {
    let refused = |index, known| Err(Error::Reference { offset: 1, index, known });
    assert_eq!(read_one(&[STRING, 0]), refused(0, 0));
    assert_eq!(read_one(&[OBJECT, 4]), refused(2, 0));
    assert_eq!(read_one(&[ARRAY, 3, 1, ARRAY, 0]).unwrap(), {
        Value::Array { named: vec![], items: vec![Value::Reference(0)] }
    });
}

#[test]
fn objects_that_only_their_class_can_read_are_refused() {
    let error = read_one(&[OBJECT, 7, 3, b'A']).unwrap_err();
    assert_eq!(error, Error::Externalizable { offset: 2 });
}

#[test]
fn bombs_are_refused_by_their_limit() {
    // One long string, referred to again and again.
    let mut data = vec![ARRAY, 0xff, 0x7f, 1, STRING, 0xff, 0x7f];
    data.extend([b'x'; 0x1fff]);
    data.extend([STRING, 0].repeat(0x1fff));
    assert!(matches!(read_one(&data), Err(Error::TooManyBytes { .. })));
    let names = [&[OBJECT, 0xff, 0xff, 0xff, 0xf3, 1][..], &[1; 100_000]].concat();
    assert!(matches!(read_one(&names), Err(Error::TooManyBytes { .. })));
    let deep = [ARRAY, 3, 1].repeat(100_000);
    assert!(matches!(read_one(&deep), Err(Error::TooDeep { .. })));
}
