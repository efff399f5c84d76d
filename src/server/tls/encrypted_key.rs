//! Private keys that a password opens: PKCS#8 by PBES2 (RFC 8018), with PBKDF2 or scrypt, and AES.
//!
//! What OpenSSL wrote before PKCS#8 (`Proc-Type: 4,ENCRYPTED`), PBES1, DES and SHA-1 are not read: they hardly protect a
//! key.

use base64::prelude::{BASE64_STANDARD, Engine};
use pkcs8::{
    EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef,
    pkcs5::{EncryptionScheme, pbes2::Kdf},
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use zeroize::Zeroizing;

use crate::config::key::Secret;

const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";
/// In a key as OpenSSL once encrypted it.
const LEGACY: &str = "4,ENCRYPTED";
/// How often PBKDF2 may hash: some seconds, and more than anybody advises.
const ITERATIONS_MAX: u32 = 10_000_000;
/// The memory that scrypt may take. OpenSSL's default takes 16 MiB.
const SCRYPT_BYTES_MAX: u64 = 256 << 20;
/// How often scrypt may go through that much.
const SCRYPT_PASSES_MAX: u64 = 16;

/// An encrypted key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum EncryptedKey {
    /// The bytes of one in PKCS#8.
    Pkcs8(Vec<u8>),
    /// One in PKCS#8 that is no PEM, with what is wrong.
    NotPem(&'static str),
    /// As OpenSSL once wrote it.
    Legacy,
}

/// Why a key is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpenError {
    /// It is encrypted in another way.
    Form,
    /// Whoever wrote it wants more time or memory than a start may take.
    Cost,
    /// Another password opens it, or it is damaged: that looks the same.
    Password,
}

impl EncryptedKey {
    /// The first in a text.
    pub(super) fn find(text: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(text);
        let Some((_, after)) = text.split_once(BEGIN) else { return text.contains(LEGACY).then_some(Self::Legacy) };
        let Some((body, _)) = after.split_once(END) else {
            return Some(Self::NotPem("-----END ENCRYPTED PRIVATE KEY----- is missing, so the end was cut off"));
        };
        let body: String = body.split_whitespace().collect();
        let reason = "between -----BEGIN ENCRYPTED PRIVATE KEY----- and its end there is no base64";
        Some(BASE64_STANDARD.decode(body).map_or(Self::NotPem(reason), Self::Pkcs8))
    }
}

/// The key in the bytes of an encrypted one. Takes the time that it was made to take.
pub(super) fn open(encrypted: &[u8], password: &Secret) -> Result<PrivatePkcs8KeyDer<'static>, OpenError> {
    let info = EncryptedPrivateKeyInfoRef::try_from(encrypted).map_err(|_| OpenError::Form)?;
    let EncryptionScheme::Pbes2(parameters) = info.encryption_algorithm else { return Err(OpenError::Form) };
    check_cost(&parameters.kdf)?;
    let mut buffer = Zeroizing::new(info.encrypted_data.as_bytes().to_vec());
    let opened = parameters.decrypt_in_place(password.expose(), &mut buffer).map_err(|error| match error {
        pkcs8::pkcs5::Error::DecryptFailed => OpenError::Password,
        _ => OpenError::Form,
    })?;
    // Padding is right by chance for one wrong password in 256; that a key comes out is not.
    PrivateKeyInfoRef::try_from(opened).map_err(|_| OpenError::Password)?;
    Ok(PrivatePkcs8KeyDer::from(opened.to_vec()))
}

fn check_cost(derivation: &Kdf) -> Result<(), OpenError> {
    let is_bearable = match derivation {
        Kdf::Pbkdf2(pbkdf2) => pbkdf2.iteration_count <= ITERATIONS_MAX,
        Kdf::Scrypt(scrypt) => {
            let bytes = scrypt.cost_parameter.saturating_mul(128 * u64::from(scrypt.block_size));
            let in_all = bytes.saturating_mul(scrypt.parallelization.into());
            bytes <= SCRYPT_BYTES_MAX && in_all <= SCRYPT_PASSES_MAX * SCRYPT_BYTES_MAX
        }
        _ => return Err(OpenError::Form),
    };
    if is_bearable { Ok(()) } else { Err(OpenError::Cost) }
}

#[cfg(test)]
mod tests {
    use pkcs8::pkcs5::pbes2::ScryptParams;
    use rustls::pki_types::{PrivateKeyDer, pem::PemObject};

    use super::*;

    /// What the others open to: `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`
    const PLAIN: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgp6FBj5FEZFq1V6zG
t5bt+sNblKewFb0ctMJqiiC/y4ChRANCAAR5EzHBsVZKg9K2XQhsKGVV7EF9p4F1
zJ79+VDn6WIRRdlm2N0gaxoKm2FWRBLeHcFrV8PGvKHnOKX0M4kIakd3
-----END PRIVATE KEY-----";
    /// `openssl pkcs8 -topk8 -v2 aes-256-cbc -passout pass:hunter2`
    const PBKDF2: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgAfnHD2yNOMAICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEED/JmHKynZukDxdnpYWMz9MEgZDU
WnVHl6XzCniww9klya4aJUJLxGqTBrF/dOtaoYpgvMoybxxr+FGyJFv0Z//DG2yX
Lh4AWo1iOl8CaOyxReqfLau52Z3clVTXtORRS1jPx7RvQUNvoS7vnItMjxiSZhxr
prRWmLjOzu3Whxt0PPwC+1hmdr7TXjYdW3IUJRvxjTPP8K+dHWtzjKZRfyJSUoc=
-----END ENCRYPTED PRIVATE KEY-----";
    /// `openssl pkcs8 -topk8 -v2 aes-128-cbc -v2prf hmacWithSHA512 -iter 1000 -passout pass:hunter2`
    const SHA_512: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiW06pAiGNLswICA+gw
DAYIKoZIhvcNAgsFADAdBglghkgBZQMEAQIEECnfqjtlzoNTlsqXKWpzqf8EgZBw
Nhg77e39TnChrDFq+Wg0GFaM387ngvrWqqlf5a2AGL6bWdrdXiPtEmcdHIrIXoCH
zGCSlbJdeF6vGh4J+NeagaYwrqxEjxrcVQGxWH8R+J0TOdUoKLwp49YlMnvotvU5
Z2WtMLNue44fYPBAU55WnFkg0XV9GNJqrgA74Fzmlwc4KUSbq6VXLB9EVS2Gi+Q=
-----END ENCRYPTED PRIVATE KEY-----";
    /// `openssl pkcs8 -topk8 -scrypt -passout pass:hunter2`
    const SCRYPT: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHkME8GCSqGSIb3DQEFDTBCMCEGCSsGAQQB2kcECzAUBAiQULUp2gclhAICQAAC
AQgCAQEwHQYJYIZIAWUDBAEqBBCHVwpDfAWMC1SMcKMkE2Q4BIGQSJJYgy0qvdhe
s9SMkGMQh2HDDJnldQby8cCjgvaKNXuJv+OPkYI7k1NNTZHRmeFyNlkIIH2lnbPH
aBDXnCZuXC7okAVNo3lp7ie3wdXxLslyH2BGTpK6nPiztmDPYZBi+GEdvUjtC83Q
GqxikZs3gByxkhEc0Md3h8i2fjKDwJ5uf55s9GnkiWRNMVyRsvGh
-----END ENCRYPTED PRIVATE KEY-----";
    /// `openssl pkcs8 -topk8 -v1 PBE-SHA1-3DES -passout pass:hunter2`
    const PBES1: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGxMBwGCiqGSIb3DQEMAQMwDgQI+PyFV7OBSOoCAggABIGQhOwi9tJ9tHzCC2un
wQxa0EP5Z5RQ3blyTukYVaPYWZxUZISaEuT9udiMGFWHh1e68Xf69FOjYYtnFCMT
ypEcfPQlhuzsnm0ue6Bw3bX+TYMx15wBKVWfrHmcLKYdJ1ndrwqhbfsqhaw6KWva
S/ZaaxliEz3oQwOTYhYNw/onKqHe18dizqoF1h1g0RxlnvJe
-----END ENCRYPTED PRIVATE KEY-----";
    /// `openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA1 -passout pass:hunter2`
    const SHA_1: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHeMEkGCSqGSIb3DQEFDTA8MBsGCSqGSIb3DQEFDDAOBAgq/7SRqt6owQICCAAw
HQYJYIZIAWUDBAEqBBCbRXlh5lezkO7760xo20bsBIGQXNb0+JZhoXRmYUnAzs6H
su0EZCOlORNtEtIUMF8j4SuOhEAXyZfg/Xn7r93mmWFicFGXPlGhcQW4huFU5yGe
32JpE3XJ/ieXwoG9Ahn+lUfK+fmF0bKoFyEUfg6MKA3cyZgkEgL1EIZqd2WPN6vt
3nD2+zNrMgiTWXiPNgya1kiquPrRj8Dxhcuy87AuiF3M
-----END ENCRYPTED PRIVATE KEY-----";
    /// `openssl pkcs8 -topk8 -v2 des3 -passout pass:hunter2`
    const DES: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHjME4GCSqGSIb3DQEFDTBBMCkGCSqGSIb3DQEFDDAcBAiMSZZTxqjKBQICCAAw
DAYIKoZIhvcNAgkFADAUBggqhkiG9w0DBwQIJ2NUZsYkm3AEgZC2d6TD+vXI7Jbm
IC+ql65Z79DvohDPfsfXB4znx1k/00sX73t/BwCG4sOyhTLMjx3edUBy2BN6RfMv
CJxJegkuiGGw8zr39dvfH8t/Ex3JGXTZPuU4mHQfPs/ObSt5scDUFARz2k/XRs+C
K355CbNi4ebS8qwAcoKkktw+fAcVgF1n+Cx/5JODQ5g5PbwWLrY=
-----END ENCRYPTED PRIVATE KEY-----";
    /// `openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 10000001 -passout pass:hunter2`
    const COSTLY: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHuMFkGCSqGSIb3DQEFDTBMMCsGCSqGSIb3DQEFDDAeBAgEFDFUGeLWKAIEAJiW
gTAMBggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBKgQQJhSkX6gF3VBXNxYCfBCu0ASB
kKuTbfoGBwJd2OSVVocVPmCqHdOlMiVBEgAYgDtRnCJVXiwqFLWCpBn0tYxnvvWt
gMRSF+pghvFKtm09+3RfndlO/eo+i3qfH2b9oPu1gV1jHSko54W9uLyBTB+RVvk3
6XFKs3+lTrF0jVNZPir+jMnjpR8kwsNuGQgp33KfZEHeFqLqPUi/LB5EfjGkFbRl
Sg==
-----END ENCRYPTED PRIVATE KEY-----";

    fn encrypted(pem: &str) -> Vec<u8> {
        match EncryptedKey::find(pem.as_bytes()) {
            Some(EncryptedKey::Pkcs8(encrypted)) => encrypted,
            found => panic!("{found:?} in {pem}"),
        }
    }

    fn opened(pem: &str, password: &str) -> Result<PrivatePkcs8KeyDer<'static>, OpenError> {
        open(&encrypted(pem), &Secret::new(password))
    }

    #[test]
    fn what_openssl_encrypts_is_opened() {
        let plain = PrivateKeyDer::from_pem_slice(PLAIN.as_bytes()).expect("a key");
        for pem in [PBKDF2, SHA_512, SCRYPT] {
            assert_eq!(PrivateKeyDer::from(opened(pem, "hunter2").expect("opens")), plain, "{pem}");
        }
    }

    #[test]
    fn a_wrong_password_opens_nothing() {
        // Enough of them for padding that is right by chance.
        for n in 0..600 {
            assert_eq!(opened(SHA_512, &format!("hunter2{n}")), Err(OpenError::Password));
        }
        assert_eq!(opened(SCRYPT, "Hunter2"), Err(OpenError::Password));
    }

    #[test]
    fn what_protects_little_or_costs_much_is_not_opened() {
        for pem in [PBES1, SHA_1, DES] {
            assert_eq!(opened(pem, "hunter2"), Err(OpenError::Form), "{pem}");
        }
        assert_eq!(opened(COSTLY, "hunter2"), Err(OpenError::Cost));
        let scrypt = encrypted(SCRYPT);
        let EncryptionScheme::Pbes2(parameters) =
            EncryptedPrivateKeyInfoRef::try_from(scrypt.as_slice()).expect("reads").encryption_algorithm
        else {
            panic!("not PBES2")
        };
        let scrypt = *parameters.kdf.scrypt().expect("scrypt");
        for (cost_parameter, parallelization, allowed) in
            [(1 << 14, 1, true), (1 << 18, 16, true), (1 << 19, 1, false), (1 << 18, 17, false), (u64::MAX, 1, false)]
        {
            let kdf = Kdf::Scrypt(ScryptParams { cost_parameter, parallelization, ..scrypt });
            assert_eq!(check_cost(&kdf).is_ok(), allowed, "{kdf:?}");
        }
    }

    #[test]
    fn what_is_damaged_is_told() {
        let find = |text: &str| EncryptedKey::find(text.as_bytes());
        assert_eq!(find(PLAIN), None);
        assert!(
            matches!(find(&PBKDF2[..PBKDF2.len() - 9]), Some(EncryptedKey::NotPem(why)) if why.contains("cut off"))
        );
        assert!(matches!(find(&PBKDF2.replace("MIH", "M~H")), Some(EncryptedKey::NotPem(_))));
        assert_eq!(find("Proc-Type: 4,ENCRYPTED"), Some(EncryptedKey::Legacy));
        let encrypted = encrypted(PBKDF2);
        for len in 0..encrypted.len() {
            open(&encrypted[..len], &Secret::new("hunter2")).expect_err("a part is no key");
        }
    }
}
