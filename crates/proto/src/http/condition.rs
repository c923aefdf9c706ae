//! Conditional requests (RFC 9110 section 13).

use http::Method;
use http::header::{
    HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE,
};

use super::{HttpDate, RequestHead};

/// What tells one version of a resource from another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// The entity tag with its quotes, and `W/` before it if it is weak.
    pub etag: Option<String>,
    /// When it was last changed.
    pub modified: Option<HttpDate>,
}

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Do as asked; whether the Range field is to be looked at.
    Met {
        /// The request has a Range field that holds for this version of the resource.
        range: bool,
    },
    /// The client has it already: 304.
    NotModified,
    /// It is not what the client takes it for: 412.
    Failed,
}

impl Condition {
    /// Weighs the conditions of a request in their order (RFC 9110 section 13.2.2).
    pub fn of(head: &RequestHead, validators: &Validators, now: HttpDate) -> Condition {
        let headers = &head.headers;
        let date = |name| read_date(headers, name, now);
        let is_read = matches!(head.method, Method::GET | Method::HEAD);
        if headers.contains_key(IF_MATCH) {
            if !matches(headers, IF_MATCH, validators, is_strong_match) {
                return Condition::Failed;
            }
        } else if let (Some(since), Some(modified)) =
            (date(IF_UNMODIFIED_SINCE), validators.modified)
            && modified > since
        {
            return Condition::Failed;
        }
        if headers.contains_key(IF_NONE_MATCH) {
            if matches(headers, IF_NONE_MATCH, validators, is_weak_match) {
                return if is_read { Condition::NotModified } else { Condition::Failed };
            }
        } else if is_read
            && let (Some(since), Some(modified)) = (date(IF_MODIFIED_SINCE), validators.modified)
            && modified <= since
        {
            return Condition::NotModified;
        }
        // Ranges are defined for GET alone (RFC 9110 section 14.2).
        let asked = head.method == Method::GET && headers.contains_key(RANGE);
        Condition::Met { range: asked && is_range_valid(headers, validators, now) }
    }
}

/// Whether If-Range, if it is there, names this very version (RFC 9110 section 13.1.5).
fn is_range_valid(headers: &HeaderMap, validators: &Validators, now: HttpDate) -> bool {
    let Some(value) = headers.get(IF_RANGE) else { return true };
    let Ok(value) = value.to_str() else { return false };
    let value = value.trim();
    if value.ends_with('"') {
        return validators.etag.as_deref().is_some_and(|etag| is_strong_match(etag, value));
    }
    // A date is exact only for what was not changed again within its second.
    let date = HttpDate::parse(value, now);
    date.is_some_and(|date| {
        validators.modified == Some(date) && date.0 + DATE_IS_STRONG_AFTER_S <= now.0
    })
}

/// A resource that is older than this has one version with its date (RFC 9110 section 8.8.2.2).
const DATE_IS_STRONG_AFTER_S: u64 = 1;

fn read_date(headers: &HeaderMap, name: HeaderName, now: HttpDate) -> Option<HttpDate> {
    HttpDate::parse(headers.get(name)?.to_str().ok()?.trim(), now)
}

/// Whether a list of entity tags has the resource's own; `*` is any that there is.
fn matches(
    headers: &HeaderMap,
    name: HeaderName,
    validators: &Validators,
    is_match: fn(&str, &str) -> bool,
) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let mut any = false;
    for line in lines {
        let own = validators.etag.as_deref();
        any |= line.trim() == "*";
        any |= tags(line).any(|tag| own.is_some_and(|own| is_match(own, tag)));
    }
    any
}

/// The entity tags of a list; commas may stand within their quotes.
fn tags(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let opaque = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?;
        let end = rest.len() - opaque.len() + opaque.find('"')? + 1;
        let (tag, behind) = rest.split_at_checked(end)?;
        rest = behind;
        Some(tag)
    })
}

/// RFC 9110 section 8.8.3.2.
fn is_strong_match(own: &str, other: &str) -> bool {
    own == other && !own.starts_with("W/")
}

fn is_weak_match(own: &str, other: &str) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    opaque(own) == opaque(other)
}
