//! Status codes (RFC 2326 section 7.1.1).

use core::fmt;

/// A three-digit status code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(pub u16);

macro_rules! statuses {
    ($($name:ident = $code:literal $phrase:literal;)*) => {
        impl Status {
            $(#[doc = concat!(stringify!($code), " ", $phrase, ".")] pub const $name: Status = Status($code);)*

            /// The phrase that RFC 2326 gives the code; `Unknown` for a code that it does not have.
            pub fn phrase(self) -> &'static str {
                match self.0 {
                    $($code => $phrase,)*
                    _ => "Unknown",
                }
            }
        }
    };
}

statuses! {
    CONTINUE = 100 "Continue";
    OK = 200 "OK";
    MOVED_PERMANENTLY = 301 "Moved Permanently";
    MOVED_TEMPORARILY = 302 "Moved Temporarily";
    BAD_REQUEST = 400 "Bad Request";
    UNAUTHORIZED = 401 "Unauthorized";
    FORBIDDEN = 403 "Forbidden";
    NOT_FOUND = 404 "Not Found";
    METHOD_NOT_ALLOWED = 405 "Method Not Allowed";
    NOT_ACCEPTABLE = 406 "Not Acceptable";
    REQUEST_ENTITY_TOO_LARGE = 413 "Request Entity Too Large";
    REQUEST_URI_TOO_LARGE = 414 "Request-URI Too Large";
    UNSUPPORTED_MEDIA_TYPE = 415 "Unsupported Media Type";
    PARAMETER_NOT_UNDERSTOOD = 451 "Parameter Not Understood";
    NOT_ENOUGH_BANDWIDTH = 453 "Not Enough Bandwidth";
    SESSION_NOT_FOUND = 454 "Session Not Found";
    METHOD_NOT_VALID_IN_THIS_STATE = 455 "Method Not Valid in This State";
    HEADER_FIELD_NOT_VALID = 456 "Header Field Not Valid for Resource";
    INVALID_RANGE = 457 "Invalid Range";
    PARAMETER_IS_READ_ONLY = 458 "Parameter Is Read-Only";
    AGGREGATE_OPERATION_NOT_ALLOWED = 459 "Aggregate Operation Not Allowed";
    ONLY_AGGREGATE_OPERATION_ALLOWED = 460 "Only Aggregate Operation Allowed";
    UNSUPPORTED_TRANSPORT = 461 "Unsupported Transport";
    DESTINATION_UNREACHABLE = 462 "Destination Unreachable";
    INTERNAL_SERVER_ERROR = 500 "Internal Server Error";
    NOT_IMPLEMENTED = 501 "Not Implemented";
    SERVICE_UNAVAILABLE = 503 "Service Unavailable";
    VERSION_NOT_SUPPORTED = 505 "RTSP Version Not Supported";
    OPTION_NOT_SUPPORTED = 551 "Option Not Supported";
}

impl Status {
    /// Whether the request was carried out.
    pub fn is_success(self) -> bool {
        (200..300).contains(&self.0)
    }

    /// Whether the answer names another place.
    pub fn is_redirect(self) -> bool {
        (300..400).contains(&self.0)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.phrase())
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
