//! From a password to what the metadata has of it, and back to a verdict.
//!
//! ```text
//! SaltedPassword = Hi(password, salt, iterations)
//! StoredKey      = H(HMAC(SaltedPassword, "Client Key"))
//! ServerKey      = HMAC(SaltedPassword, "Server Key")
//! ```
//!
//! Passwords are taken as the UTF-8 that they are: Apache Kafka does not apply SASLprep (`ScramFormatter.normalize`), and a
//! password that one of the two prepared would not be the same password to the other.

use bytes::Bytes;
use subtle::{Choice, ConstantTimeEq};

use super::{
    super::random::random_text,
    hashing::{hash, hmac, salted_password},
};
use crate::metadata::users::{ScramCredential, ScramMechanism};

/// How many characters a random salt has.
const SALT_LEN: usize = 26;
/// What a salt of that many digits begins with if it is a random number of 130 bits, as Kafka's tools write it.
const FIRST_DIGIT: &str = "1";

impl ScramCredential {
    /// The credential of who knows this password. Takes time.
    #[must_use]
    pub fn from_password(mechanism: ScramMechanism, password: &[u8], salt: Bytes, iterations: u32) -> Self {
        let salted = salted_password(mechanism, password, &salt, iterations);
        Self::from_salted_password(mechanism, &salted, salt, iterations)
    }

    /// The credential of who knows this salted password.
    #[must_use]
    pub fn from_salted_password(mechanism: ScramMechanism, salted: &[u8], salt: Bytes, iterations: u32) -> Self {
        let client_key = hmac(mechanism, salted, b"Client Key");
        let server_key = hmac(mechanism, salted, b"Server Key");
        Self {
            salt,
            stored_key: hash(mechanism, &client_key).into(),
            server_key: Bytes::copy_from_slice(&server_key),
            iterations,
        }
    }

    /// Whether it is that of this password. Takes time.
    #[must_use]
    pub fn verifies(&self, mechanism: ScramMechanism, password: &[u8]) -> bool {
        self.check_password(mechanism, password).into()
    }

    pub(in crate::auth) fn check_password(&self, mechanism: ScramMechanism, password: &[u8]) -> Choice {
        let other = Self::from_password(mechanism, password, self.salt.clone(), self.iterations);
        other.stored_key.ct_eq(&self.stored_key)
    }

    /// Whether who made this proof of `auth_message` knows the password.
    pub(super) fn check_proof(&self, mechanism: ScramMechanism, auth_message: &[u8], proof: &[u8]) -> Choice {
        let signature = hmac(mechanism, &self.stored_key, auth_message);
        let client_key: Vec<u8> = signature.iter().zip(proof).map(|(a, b)| a ^ b).collect();
        let client_key = zeroize::Zeroizing::new(client_key);
        hash(mechanism, &client_key).ct_eq(&self.stored_key)
    }

    /// What proves to the client that the server knows the user.
    pub(super) fn server_signature(&self, mechanism: ScramMechanism, auth_message: &[u8]) -> Vec<u8> {
        hmac(mechanism, &self.server_key, auth_message).to_vec()
    }
}

/// A salt that nobody has had, of the shape that Kafka's tools give theirs.
#[must_use]
pub fn random_salt() -> Bytes {
    let digits = random_text(SALT_LEN - FIRST_DIGIT.len());
    Bytes::from(FIRST_DIGIT.to_owned() + &digits)
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, Engine};

    use super::*;

    fn decoded(text: &str) -> Bytes {
        BASE64_STANDARD.decode(text).expect("base64").into()
    }

    /// Of RFC 7677, section 3, and of the same with SHA-512 by Python's hashlib:
    /// `hashlib.pbkdf2_hmac("sha512", b"pencil", salt, 4096)`, then `hmac.new` and `hashlib.sha512` as above.
    const GOLDEN: [(ScramMechanism, &str, &str, &str); 2] = [
        (
            ScramMechanism::Sha256,
            "W22ZaJ0SNY7soEsUEjb6gQ==",
            "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=",
            "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        ),
        (
            ScramMechanism::Sha512,
            "Yin2FuHTt/M0kJWb0t9OI32n2VmOGi3m+JfjOvuDF88=",
            "ERxGuwQnAHA2amc01Vb1Qb9WPqMb68u8swldhuOn4MR7udux+oQ/DNrgcAy5c0/SEZybLeGYZ5jFkWH5ELNOXA==",
            "gFCGdO8qeAVvqKCfFpqPXI2n2596CVtax0k6IH3gzt94xA9+DgAD6NwrELJ0AjguZNc0dWJxduOe037HEcD1UA==",
        ),
    ];

    #[test]
    fn keys_are_those_of_the_standard() {
        for (mechanism, salt, stored_key, server_key) in GOLDEN {
            let credential = ScramCredential::from_password(mechanism, b"pencil", decoded(salt), 4096);
            assert_eq!(credential.stored_key, decoded(stored_key));
            assert_eq!(credential.server_key, decoded(server_key));
            assert_eq!(credential.iterations, 4096);
            assert!(credential.verifies(mechanism, b"pencil"));
            for wrong in [&b"Pencil"[..], b"pencil ", b"", b"pencil\0"] {
                // A key of HMAC that ends in zeros is the same without them: that is how RFC 2104 pads it.
                assert_eq!(credential.verifies(mechanism, wrong), wrong == b"pencil\0");
            }
        }
    }

    #[test]
    fn no_secret_is_printed() {
        let credential = ScramCredential {
            salt: Bytes::from_static(&[201; 9]),
            stored_key: Bytes::from_static(&[202; 9]),
            server_key: Bytes::from_static(&[203; 9]),
            iterations: 5000,
        };
        assert_eq!(format!("{credential:?}"), "ScramCredential { iterations: 5000, .. }");
    }

    #[test]
    fn salts_look_like_those_of_kafka() {
        let salts = [random_salt(), random_salt()];
        assert_ne!(salts[0], salts[1]);
        assert!(salts.iter().all(|salt| salt.len() == 26 && salt.starts_with(b"1")));
    }
}
