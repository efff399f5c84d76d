//! Credentials of users that do not exist, so that nobody learns which do.
//!
//! A decoy looks like the credential of a real user, and always like that of the same one: its number of iterations, and
//! the length and alphabet of its salt, which is made of the name and of a secret of this broker. It lasts over
//! connections and restarts, as a real one does. Nobody knows a password for it; whoever uses one has to fail also if the
//! keys agree by chance.

use bytes::Bytes;

use super::{super::random::ALPHABET, hashing};
use crate::metadata::users::{ScramCredential, ScramMechanism, Users};

/// What a decoy looks like where no user has such a credential. There is nobody then to be told from.
static MODEL: ScramCredential = ScramCredential {
    salt: Bytes::from_static(b"1zzzzzzzzzzzzzzzzzzzzzzzzz"),
    stored_key: Bytes::new(),
    server_key: Bytes::new(),
    iterations: 4096,
};

/// The decoy of a user for a mechanism.
pub(super) fn decoy(secret: &[u8; 32], users: &Users, mechanism: ScramMechanism, user: &str) -> ScramCredential {
    let stream = Stream { secret, name: format!("{} {user}", mechanism.code()) };
    let models = || users.iter().filter_map(|(_, credentials)| credentials.get(&mechanism));
    let model = stream.pick(models().count()).and_then(|n| models().nth(n));
    let model = model.map_or(&MODEL, AsRef::as_ref);
    stream.credential(mechanism, model)
}

/// The decoy of a user for a comparison with a password, and its mechanism: the first that the user it looks like has.
pub(in crate::auth) fn password_decoy(
    secret: &[u8; 32],
    users: &Users,
    user: &str,
) -> (ScramMechanism, ScramCredential) {
    let stream = Stream { secret, name: format!("- {user}") };
    let models = || users.iter().filter_map(|(_, credentials)| credentials.first_key_value());
    let model = stream.pick(models().count()).and_then(|n| models().nth(n));
    let (mechanism, model) =
        model.map_or((ScramMechanism::Sha256, &MODEL), |(mechanism, model)| (*mechanism, model.as_ref()));
    (mechanism, stream.credential(mechanism, model))
}

/// Bytes without end that only the secret and a name lead to.
struct Stream<'a> {
    secret: &'a [u8; 32],
    name: String,
}

impl Stream<'_> {
    fn bytes(&self, purpose: &str, len: usize) -> Vec<u8> {
        let block = |n: usize| {
            let label = format!("{purpose} {n} {}", self.name);
            hashing::hmac(ScramMechanism::Sha512, self.secret, label.as_bytes()).to_vec()
        };
        (0..len.div_ceil(hashing::len(ScramMechanism::Sha512))).flat_map(block).take(len).collect()
    }

    /// One of `count`.
    fn pick(&self, count: usize) -> Option<usize> {
        let number = self.bytes("pick", size_of::<usize>()).try_into().map(usize::from_le_bytes);
        number.expect("as many bytes as were asked for").checked_rem(count)
    }

    fn credential(&self, mechanism: ScramMechanism, model: &ScramCredential) -> ScramCredential {
        let key = |purpose| self.bytes(purpose, hashing::len(mechanism)).into();
        let (stored_key, server_key) = (key("stored key"), key("server key"));
        ScramCredential { salt: self.salt(&model.salt), stored_key, server_key, iterations: model.iterations }
    }

    /// The first digit of a number is not like the others, so it is the model's.
    fn salt(&self, model: &[u8]) -> Bytes {
        if !model.iter().all(|byte| ALPHABET.contains(byte)) {
            return self.bytes("salt", model.len()).into();
        }
        let digits = self.bytes("salt", 2 * model.len());
        let digits = digits.chunks_exact(2).map(|two| usize::from(u16::from_le_bytes([two[0], two[1]])));
        let mut salt: Vec<u8> = digits.map(|digit| ALPHABET[digit % ALPHABET.len()]).collect();
        if let (Some(own), Some(first)) = (salt.first_mut(), model.first()) {
            *own = *first;
        }
        salt.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [7; 32];

    fn users(salts: &[&'static [u8]]) -> Users {
        let mut users = Users::default();
        for (n, salt) in (0..).zip(salts) {
            let salt = Bytes::from_static(salt);
            let credential = ScramCredential::from_password(ScramMechanism::Sha256, b"x", salt, 4096 + n);
            users.set(&format!("u{n}"), ScramMechanism::Sha256, credential);
        }
        users
    }

    #[test]
    fn a_decoy_lasts_and_differs_from_any_other() {
        let users = users(&[b"1abcdefghijklmnopqrstuvwxy"]);
        let of = |secret, mechanism, user| decoy(secret, &users, mechanism, user);
        let first = of(&SECRET, ScramMechanism::Sha256, "a");
        assert!(first == of(&SECRET, ScramMechanism::Sha256, "a"));
        assert_ne!(first.salt, of(&SECRET, ScramMechanism::Sha256, "b").salt);
        assert_ne!(first.salt, of(&[8; 32], ScramMechanism::Sha256, "a").salt);
        assert_ne!(first.salt, of(&SECRET, ScramMechanism::Sha512, "a").salt);
        assert_eq!((first.stored_key.len(), first.server_key.len()), (32, 32));
        assert_ne!(first.stored_key, first.server_key);
    }

    #[test]
    fn a_decoy_looks_like_a_credential_that_there_is() {
        let users = users(&[b"1abcdefghijklmnopqrstuvwxy", b"\xff\x00\x01", b"k234567890123456789012345"]);
        let real: Vec<_> = users.iter().flat_map(|(_, of)| of.values()).collect();
        let shape = |credential: &ScramCredential| {
            let is_text = credential.salt.iter().all(|byte| ALPHABET.contains(byte));
            let first = credential.salt.first().filter(|_| is_text).copied();
            (credential.salt.len(), first, credential.iterations)
        };
        let mut seen = std::collections::HashSet::new();
        for n in 0..100 {
            let decoy = decoy(&SECRET, &users, ScramMechanism::Sha256, &format!("nobody{n}"));
            let like = real.iter().position(|real| shape(real) == shape(&decoy)).expect("like a real one");
            assert_ne!(real[like].salt, decoy.salt);
            seen.insert(like);
        }
        assert_eq!(seen.len(), 3);
        let (mechanism, decoy) = password_decoy(&SECRET, &users, "nobody");
        assert_eq!(mechanism, ScramMechanism::Sha256);
        assert!(real.iter().any(|real| shape(real) == shape(&decoy)));
    }
}
