//! Who may do what.

use std::fmt;
use std::net::IpAddr;

/// Something that a peer wants to do with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// See that it exists, and what it is made of.
    Describe,
    /// Watch it.
    Play,
    /// Bring it.
    Publish,
    /// Change settings, or read what is not for viewers.
    Administer,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Describe => "describe",
            Action::Play => "play",
            Action::Publish => "publish",
            Action::Administer => "administer",
        })
    }
}

/// What a peer says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The Authorization header as it came.
    pub authorization: Option<String>,
    /// What stands behind `?` in the address.
    pub query: Option<String>,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{peer} may not {action} {path:?}: {why}")]
pub struct Denied {
    /// What was to be done.
    pub action: Action,
    /// With which stream.
    pub path: String,
    /// By whom.
    pub peer: IpAddr,
    /// Why not, and what would help.
    pub why: &'static str,
}

/// The rule that holds while nobody has set another: anyone may watch, and only programs on this
/// machine may publish or administer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Access;

impl Access {
    /// Says whether `peer` may do `action` with the stream at `path`.
    ///
    /// # Errors
    /// The refusal, in words for the log and the peer.
    pub fn authorize(
        &self,
        action: Action,
        path: &str,
        _credentials: &Credentials,
        peer: IpAddr,
    ) -> Result<(), Denied> {
        let allowed = match action {
            Action::Describe | Action::Play => true,
            Action::Publish | Action::Administer => peer.to_canonical().is_loopback(),
        };
        if allowed {
            return Ok(());
        }
        let why = "only programs on the server's own machine may";
        Err(Denied { action, path: path.to_owned(), peer, why })
    }

    /// The rule in words, for the banner.
    pub fn in_words(&self) -> &'static str {
        "anyone who reaches this server may play"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(action: Action, peer: &str) -> bool {
        let peer = peer.parse().unwrap();
        Access.authorize(action, "movie", &Credentials::default(), peer).is_ok()
    }

    #[test]
    fn anyone_may_play_and_nobody_else_may_publish_from_another_machine() {
        assert!(may(Action::Play, "192.0.2.1"));
        assert!(may(Action::Publish, "127.0.0.1"));
        assert!(may(Action::Publish, "::ffff:127.0.0.1"));
        assert!(!may(Action::Publish, "192.0.2.1"));
        assert!(!may(Action::Administer, "2001:db8::1"));
    }
}
