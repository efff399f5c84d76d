//! Credentials of users that do not exist, so that nobody learns which do.
//!
//! A decoy has the shape of real users' credentials, each shape as often as they have it, and bytes that are made of the
//! name, the shape and a secret of this broker. It lasts over connections and restarts, as a real one does. Which shape a
//! name has is decided by weighted rendezvous: when a user comes or changes, other names only move to that user's new shape
//! or from its old one, no more of them than the proportions ask for, and get a new salt, as if their password had changed.
//! Nobody knows a password for a decoy; whoever uses one has to fail also if the keys agree by chance.
//!
//! It is made for users that exist too, and takes as long whatever the number of users.

use bytes::Bytes;

use super::{super::random::ALPHABET, hashing};
use crate::metadata::users::{ScramCredential, ScramMechanism, Shape, Shapes, Users};

/// Of how many shapes one is chosen. Where users have more, what is rarest is left out.
const SHAPES_MAX: usize = 32;
/// The length of a number of 130 bits in 36 digits, which is what Kafka's tools take: its first digit is 1 then.
const LONGEST_NUMBER: usize = 26;

/// The decoy of a user for a mechanism.
pub(super) fn decoy(secret: &[u8; 32], users: &Users, mechanism: ScramMechanism, user: &str) -> ScramCredential {
    let stream = Stream { secret, name: format!("{} {user}", mechanism.code()) };
    let shape = stream.pick(users.shapes(mechanism)).unwrap_or_else(|| shape_of_nobody(mechanism));
    stream.credential(shape)
}

/// The decoy of a user for a comparison with a password, and its mechanism.
pub(in crate::auth) fn password_decoy(
    secret: &[u8; 32],
    users: &Users,
    user: &str,
) -> (ScramMechanism, ScramCredential) {
    let stream = Stream { secret, name: format!("- {user}") };
    let picked = stream.pick(users.shapes_of_passwords());
    let shape = picked.unwrap_or_else(|| shape_of_nobody(ScramMechanism::Sha256));
    (shape.mechanism, stream.credential(shape))
}

/// What a decoy looks like where no user has such a credential. There is nobody then to be told from.
fn shape_of_nobody(mechanism: ScramMechanism) -> Shape {
    Shape { mechanism, iterations: 4096, salt_len: LONGEST_NUMBER, is_text: true }
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

    /// A shape, each with a probability in proportion to its count: the one that would be drawn first, if each waited for
    /// a time of its own that is exponentially distributed, with the count as its rate.
    fn pick(&self, shapes: &Shapes) -> Option<Shape> {
        let drawn = shapes.most_frequent(SHAPES_MAX).map(|(shape, count)| (self.waits_for(shape, count), shape));
        drawn.min_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, shape)| shape)
    }

    #[expect(clippy::cast_precision_loss, reason = "2^53 values are enough, and there are fewer users")]
    fn waits_for(&self, shape: Shape, count: usize) -> f64 {
        let drawn = self.bytes(&format!("wait for {}", label(shape)), 8).try_into().map(u64::from_le_bytes);
        let drawn = drawn.expect("as many bytes as were asked for") >> 11;
        // Between 0 and 1, and neither.
        let drawn = (drawn as f64 + 0.5) / (1_u64 << 53) as f64;
        -drawn.ln() / count as f64
    }

    fn credential(&self, shape: Shape) -> ScramCredential {
        let key = |purpose| self.bytes(purpose, hashing::len(shape.mechanism)).into();
        let (stored_key, server_key) = (key("stored key"), key("server key"));
        ScramCredential { salt: self.salt(shape), stored_key, server_key, iterations: shape.iterations }
    }

    fn salt(&self, shape: Shape) -> Bytes {
        let purpose = format!("salt of {}", label(shape));
        if !shape.is_text {
            return self.bytes(&purpose, shape.salt_len).into();
        }
        let digits = self.bytes(&purpose, 2 * shape.salt_len);
        let digits = digits.chunks_exact(2).map(|two| usize::from(u16::from_le_bytes([two[0], two[1]])));
        let mut digits: Vec<usize> = digits.collect();
        if let Some(first) = digits.first_mut() {
            // No number begins with 0.
            *first = if shape.salt_len == LONGEST_NUMBER { 1 } else { 1 + *first % (ALPHABET.len() - 1) };
        }
        digits.into_iter().map(|digit| ALPHABET[digit % ALPHABET.len()]).collect()
    }
}

fn label(shape: Shape) -> String {
    let Shape { mechanism, iterations, salt_len, is_text } = shape;
    format!("{} {iterations} {salt_len} {is_text}", mechanism.code())
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, sync::Arc};

    use proptest::{collection::vec, prelude::*};

    use super::*;

    const SECRET: [u8; 32] = [7; 32];
    const SALTS: [&[u8]; 3] = [b"1abcdefghijklmnopqrstuvwxy", &[0xff; 16], b"k234567890123456789012345"];

    fn set(users: &mut Users, name: &str, mechanism: ScramMechanism, salt: &'static [u8], iterations: u32) {
        let key = Bytes::from_static(&[1; 32]);
        let salt = Bytes::from_static(salt);
        users.set(name, mechanism, ScramCredential { salt, stored_key: key.clone(), server_key: key, iterations });
    }

    /// Users of the mechanism SCRAM-SHA-256.
    fn users(shapes: &[(usize, u32)]) -> Users {
        let mut users = Users::default();
        for (n, (salt, iterations)) in shapes.iter().enumerate() {
            set(&mut users, &format!("u{n}"), ScramMechanism::Sha256, SALTS[*salt], *iterations);
        }
        users
    }

    /// What of a credential a stranger sees.
    fn seen(credential: &ScramCredential) -> (usize, bool, u32) {
        let is_text = credential.salt.iter().all(|byte| ALPHABET.contains(byte));
        (credential.salt.len(), is_text, credential.iterations)
    }

    fn decoys(users: &Users) -> Vec<ScramCredential> {
        (0..100).map(|n| decoy(&SECRET, users, ScramMechanism::Sha256, &format!("nobody{n}"))).collect()
    }

    #[test]
    fn a_decoy_lasts_and_differs_from_any_other() {
        let users = users(&[(0, 4096)]);
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
    fn a_salt_is_such_a_number_as_kafka_writes() {
        let first_digits = |users: &Users| decoys(users).iter().map(|decoy| decoy.salt[0]).collect::<Vec<_>>();
        assert!(first_digits(&users(&[(0, 4096)])).iter().all(|digit| *digit == b'1'));
        let shorter = first_digits(&users(&[(2, 4096)]));
        assert!(shorter.iter().all(|digit| *digit != b'0') && shorter.iter().any(|digit| *digit != b'1'));
    }

    #[test]
    fn shapes_are_as_frequent_as_those_of_users() {
        let users = users(&[(0, 4096), (0, 4096), (0, 4096), (0, 8192)]);
        let decoy = |n| decoy(&SECRET, &users, ScramMechanism::Sha256, &format!("nobody{n}"));
        let others = (0..1000).filter(|n| decoy(*n).iterations == 8192).count();
        // A standard deviation is 14.
        assert!((200..300).contains(&others), "{others} of 1000");
    }

    #[test]
    fn a_decoy_for_a_password_is_hashed_as_a_user_s_is() {
        let mut users = Users::default();
        assert_eq!(password_decoy(&SECRET, &users, "nobody").0, ScramMechanism::Sha256);
        set(&mut users, "a", ScramMechanism::Sha512, SALTS[0], 5000);
        let (mechanism, decoy) = password_decoy(&SECRET, &users, "nobody");
        assert_eq!((mechanism, decoy.iterations, decoy.stored_key.len()), (ScramMechanism::Sha512, 5000, 64));
        set(&mut users, "a", ScramMechanism::Sha256, SALTS[0], 4096);
        let (mechanism, decoy) = password_decoy(&SECRET, &users, "nobody");
        assert_eq!((mechanism, decoy.iterations), (ScramMechanism::Sha256, 4096));
    }

    #[test]
    fn however_many_shapes_users_have_few_are_looked_at() {
        let shapes: Vec<_> = (4096..8000).map(|iterations| (0, iterations)).collect();
        let seen: HashSet<_> = decoys(&users(&shapes)).iter().map(seen).collect();
        assert!(seen.len() <= SHAPES_MAX, "{}", seen.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_user_that_comes_moves_others_only_to_its_shape(
            shapes in vec((0..3_usize, 4096..4099_u32), 1..12),
            (salt, iterations) in (0..3_usize, 4096..4099_u32),
        ) {
            let mut users = users(&shapes);
            let before = decoys(&users);
            let reals: Vec<_> = users.iter().flat_map(|(_, of)| of.values().cloned()).collect();
            for decoy in &before {
                let is_like = |real: &Arc<ScramCredential>| seen(real) == seen(decoy) && real.salt != decoy.salt;
                prop_assert!(reals.iter().any(is_like));
            }
            set(&mut users, "new", ScramMechanism::Sha256, SALTS[salt], iterations);
            let new = seen(users.credential("new", ScramMechanism::Sha256).expect("is set"));
            for (before, after) in before.iter().zip(decoys(&users)) {
                prop_assert!(*before == after || seen(&after) == new && before.salt != after.salt);
            }
            users.remove("new", ScramMechanism::Sha256);
            prop_assert!(before == decoys(&users));
        }
    }
}
