//! What can go wrong with namespaces.

use std::io;

/// Why a network of namespaces could not be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused a step.
    #[error("{doing}: {source}")]
    System {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system allows this user no namespaces.
    #[error(
        "this system gives no network namespaces to this user ({source}): run it as root, or ask \
         the administrator for unprivileged user namespaces (sysctl user.max_user_namespaces, \
         kernel.apparmor_restrict_unprivileged_userns). `weir link udp` and `weir link tcp` need \
         no privileges"
    )]
    NotAllowed {
        /// What the system said.
        source: io::Error,
    },
    /// The topology cannot be built.
    #[error("{0}")]
    Topology(String),
    /// A setting of a link in a topology cannot be done.
    #[error("link {link}: {source}")]
    Link {
        /// The link's name.
        link: String,
        /// Which setting, and why.
        source: Box<weir_link::Error>,
    },
    /// No running topology has what was asked for.
    #[error("{0}")]
    NotRunning(String),
    /// A command did not start.
    #[error("cannot run {command} on {host}: {source}")]
    Command {
        /// The program.
        command: String,
        /// Where.
        host: String,
        /// What the system said.
        source: io::Error,
    },
}

/// The error of a call of the system that has just failed.
pub(crate) fn last(doing: impl Into<String>) -> Error {
    Error::System { doing: doing.into(), source: io::Error::last_os_error() }
}

/// For `map_err`: what was being done when the system refused.
pub(crate) fn doing(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let doing = what.into();
    move |source| Error::System { doing, source }
}
