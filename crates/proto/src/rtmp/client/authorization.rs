//! Credentials as Flash Media Server and Wowza want them (`authmod=adobe`): in the query of the
//! application, over three connections.
//!
//! The server refuses connect and says `authmod=adobe`. The client connects anew and names its
//! user; the server refuses again, with a salt and a challenge. The client connects once more with
//! the answer to these, in which the password is hidden.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::fmt;
use md5::{Digest, Md5};

/// A name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Credentials {
    /// What the next connection is to say ([`super::Config::authorization`]) after the server
    /// refused one with this description ([`super::Cause::Credentials`]). `None` where there is
    /// nothing more to be said: the credentials are wrong, or wanted in another form. The client's
    /// own challenge depends on `seed` alone.
    pub fn answer(&self, description: &str, seed: u64) -> Option<String> {
        if !description.contains("authmod=adobe") {
            return None;
        }
        let Some((_, query)) = description.split_once('?') else {
            // The first refusal.
            return Some(format!("authmod=adobe&user={}", self.user));
        };
        let query = query.split_whitespace().next().unwrap_or_default();
        let value = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        if value("reason") != Some("needauth") {
            return None;
        }
        let salt = value("salt").unwrap_or_default();
        let (opaque, challenge) = (value("opaque"), value("challenge"));
        let own = format!("{:08x}", seed as u32);
        let hidden = hash(&[&self.user, salt, &self.password]);
        let asked = opaque.or(challenge).unwrap_or_default();
        let response = hash(&[&hidden, asked, &own]);
        let user = &self.user;
        let mut answer = format!("authmod=adobe&user={user}&challenge={own}&response={response}");
        if let Some(opaque) = opaque {
            answer.push_str("&opaque=");
            answer.push_str(opaque);
        }
        Some(answer)
    }
}

fn hash(parts: &[&str]) -> String {
    let mut hash = Md5::new();
    parts.iter().for_each(|part| hash.update(part));
    STANDARD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        Credentials { user: "zang".into(), password: "123456".into() }
    }

    #[test]
    fn the_first_refusal_is_answered_with_the_user() {
        let words = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
        let answer = credentials().answer(words, 1);
        assert_eq!(answer.as_deref(), Some("authmod=adobe&user=zang"));
    }

    #[test]
    fn the_second_refusal_is_answered_with_a_response() {
        let words = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=zang\
            &salt=PJuw1w==&challenge=6fruuQ==&opaque=6fruuQ==";
        let answer = credentials().answer(words, 0x1234_abcd).unwrap();
        let hidden = hash(&["zangPJuw1w==123456"]);
        let response = hash(&[&hidden, "6fruuQ==1234abcd"]);
        let expected = format!(
            "authmod=adobe&user=zang&challenge=1234abcd&response={response}&opaque=6fruuQ=="
        );
        assert_eq!(answer, expected);
        assert_eq!(response.len(), 24);
    }

    #[test]
    fn wrong_credentials_and_other_forms_have_no_answer() {
        let words = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed&opaque=x";
        assert_eq!(credentials().answer(words, 1), None);
        assert_eq!(credentials().answer("[ code=403 need auth; authmod=llnw ]", 1), None);
    }

    #[test]
    fn passwords_are_not_shown() {
        assert!(!format!("{:?}", credentials()).contains("123456"));
    }
}
