//! XML as a tree of elements.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::Error;

/// An element with what is in it. Names are without prefixes.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    attributes: Vec<(String, String)>,
    pub(super) text: String,
    children: Vec<Element>,
}

/// Elements within elements.
const DEPTH_MAX: usize = 32;

impl Element {
    /// The root of a document.
    pub(super) fn parse(text: &str) -> Result<Element, Error> {
        let mut reader = Reader::from_str(text);
        let mut open = vec![Element::default()];
        loop {
            let at = reader.buffer_position();
            let failed = |reason: String| Error::Xml { at, reason };
            match reader.read_event().map_err(|error| failed(error.to_string()))? {
                Event::Start(start) => {
                    if open.len() > DEPTH_MAX {
                        return Err(failed(format!(
                            "more than {DEPTH_MAX} elements within another"
                        )));
                    }
                    open.push(element(&start).map_err(failed)?);
                }
                Event::Empty(start) => add(&mut open, element(&start).map_err(failed)?),
                Event::End(_) => {
                    let closed = open.pop().filter(|_| !open.is_empty());
                    let closed = closed.ok_or_else(|| failed("an end without a start".into()))?;
                    add(&mut open, closed);
                }
                Event::Text(text) => push_text(&mut open, &text),
                Event::CData(text) => push_text(&mut open, &text),
                // Inside text; those of attributes are resolved there.
                Event::GeneralRef(reference) => {
                    let text = match &*reference {
                        "amp" => "&",
                        "lt" => "<",
                        "gt" => ">",
                        "quot" => "\"",
                        "apos" => "'",
                        name => return Err(failed(format!("&{name}; is not known"))),
                    };
                    push_text(&mut open, text);
                }
                Event::Eof if open.len() > 1 => {
                    return Err(failed("an element does not end".into()));
                }
                Event::Eof => break,
                _ => {}
            }
        }
        let root = open.pop().and_then(|mut document| document.children.pop());
        root.ok_or_else(|| Error::Xml { at: 0, reason: "there is no element".into() })
    }

    /// The value of an attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(attribute, _)| attribute == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The elements in it with a name.
    pub(super) fn children<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

fn add(open: &mut [Element], closed: Element) {
    if let Some(parent) = open.last_mut() {
        parent.children.push(closed);
    }
}

fn push_text(open: &mut [Element], text: &str) {
    if let Some(parent) = open.last_mut() {
        parent.text.push_str(text);
    }
}

fn element(start: &BytesStart<'_>) -> Result<Element, String> {
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let name = attribute.key.local_name().as_ref().to_owned();
        let value = attribute
            .normalized_value(quick_xml::XmlVersion::default())
            .map_err(|error| error.to_string())?;
        attributes.push((name, value.into_owned()));
    }
    let name = start.local_name().as_ref().to_owned();
    Ok(Element { name, attributes, ..Element::default() })
}
