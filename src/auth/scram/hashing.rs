//! The functions that RFC 5802 is written in, `H`, `HMAC` and `Hi`, of either mechanism.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

use crate::metadata::users::ScramMechanism;

/// Why it cannot fail.
const ANY_KEY: &str = "HMAC takes keys of any length";

/// How many bytes a key or a proof has.
pub(in crate::auth) fn len(mechanism: ScramMechanism) -> usize {
    match mechanism {
        ScramMechanism::Sha256 => Sha256::output_size(),
        ScramMechanism::Sha512 => Sha512::output_size(),
    }
}

/// `H(data)`.
pub(super) fn hash(mechanism: ScramMechanism, data: &[u8]) -> Vec<u8> {
    match mechanism {
        ScramMechanism::Sha256 => Sha256::digest(data).to_vec(),
        ScramMechanism::Sha512 => Sha512::digest(data).to_vec(),
    }
}

/// `HMAC(key, data)`.
pub(in crate::auth) fn hmac(mechanism: ScramMechanism, key: &[u8], data: &[u8]) -> Zeroizing<Vec<u8>> {
    let tag = match mechanism {
        ScramMechanism::Sha256 => {
            let mac = Hmac::<Sha256>::new_from_slice(key).expect(ANY_KEY);
            mac.chain_update(data).finalize().into_bytes().to_vec()
        }
        ScramMechanism::Sha512 => {
            let mac = Hmac::<Sha512>::new_from_slice(key).expect(ANY_KEY);
            mac.chain_update(data).finalize().into_bytes().to_vec()
        }
    };
    Zeroizing::new(tag)
}

/// `Hi(password, salt, iterations)`: the salted password. This is what takes time.
pub(super) fn salted_password(
    mechanism: ScramMechanism,
    password: &[u8],
    salt: &[u8],
    iterations: u32,
) -> Zeroizing<Vec<u8>> {
    let mut salted = Zeroizing::new(vec![0; len(mechanism)]);
    let done = match mechanism {
        ScramMechanism::Sha256 => pbkdf2::pbkdf2::<Hmac<Sha256>>(password, salt, iterations, &mut salted),
        ScramMechanism::Sha512 => pbkdf2::pbkdf2::<Hmac<Sha512>>(password, salt, iterations, &mut salted),
    };
    done.expect(ANY_KEY);
    salted
}
