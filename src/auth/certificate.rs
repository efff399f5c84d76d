//! Whom a certificate is about: its subject, as Java's `X500Principal.getName()` writes it.
//!
//! That is RFC 2253 with a few liberties. The parts come last first; nine types have a name, the others are numbers with
//! their value as `#` and the hexadecimal DER. `=` and `#` are escaped wherever they stand, as is every blank at either
//! end, and a NUL is `\00`. Java's releases differ in how they read old types of text; this is how those of today do. A
//! value that is no valid text of its type is written in hexadecimal, where Java puts replacement characters: two
//! subjects are never one name.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use x509_parser::{
    asn1_rs::{Any, Tag},
    prelude::{AttributeTypeAndValue, FromDer, RelativeDistinguishedName, X509Certificate, X509Name},
};

/// The types that have a name.
const KEYWORDS: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];
/// What is escaped wherever it stands.
const ESCAPED: &str = ",=+<>#;\"\\";
/// What is escaped at either end of a value.
const BLANKS: [char; 2] = [' ', '\r'];
/// A length in DER up to which one byte says it.
const SHORT_LENGTH_MAX: usize = 127;

/// What is no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the certificate cannot be read: {0}")]
pub struct CertificateError(String);

/// The subject of a certificate in DER.
pub fn subject(certificate: &[u8]) -> Result<String, CertificateError> {
    match X509Certificate::from_der(certificate) {
        Ok((_, certificate)) => Ok(name(certificate.subject())),
        Err(error) => Err(CertificateError(error.to_string())),
    }
}

fn name(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name.iter_rdn().map(part).collect();
    parts.reverse();
    parts.join(",")
}

fn part(part: &RelativeDistinguishedName<'_>) -> String {
    let attributes: Vec<String> = part.iter().map(attribute).collect();
    attributes.join("+")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let value = attribute.attr_value();
    let keyword = KEYWORDS.iter().find(|(number, _)| *number == oid).map(|(_, keyword)| *keyword);
    match keyword.zip(text(value)) {
        Some((keyword, text)) => format!("{keyword}={}", escape(&text)),
        None => format!("{}=#{}", keyword.unwrap_or(&oid), hex(&der(value))),
    }
}

/// The text of a value of a type of text.
fn text(value: &Any<'_>) -> Option<String> {
    if value.header.is_constructed() || !value.header.is_universal() {
        return None;
    }
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::GeneralString => {
            std::str::from_utf8(value.data).ok().map(str::to_owned)
        }
        // Latin-1, as everybody has it.
        Tag::TeletexString => Some(value.data.iter().map(|byte| char::from(*byte)).collect()),
        Tag::BmpString => {
            let units = value.data.chunks(2).map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?)));
            String::from_utf16(&units.collect::<Option<Vec<u16>>>()?).ok()
        }
        _ => None,
    }
}

fn escape(text: &str) -> String {
    let leading = text.len().saturating_sub(text.trim_start_matches(BLANKS).len());
    let trailing = text.trim_end_matches(BLANKS).len();
    let mut escaped = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if ESCAPED.contains(c) || at < leading || at >= trailing {
            escaped.push('\\');
        }
        match c {
            '\0' => escaped.push_str("\\00"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The value with its type and length.
fn der(value: &Any<'_>) -> Vec<u8> {
    let mut bytes = value.header.raw_tag().unwrap_or_default().to_vec();
    let len = value.data.len();
    if let Some(short) = u8::try_from(len).ok().filter(|_| len <= SHORT_LENGTH_MAX) {
        bytes.push(short);
    } else {
        let significant: Vec<u8> = len.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
        bytes.push(0x80 | u8::try_from(significant.len()).expect("the bytes of a length are few"));
        bytes.extend(significant);
    }
    bytes.extend(value.data);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(hex: &str) -> String {
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
        let der: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let (rest, parsed) = X509Name::from_der(&der).expect("a name");
        assert!(rest.is_empty());
        name(&parsed)
    }

    /// What `new X500Principal(der).getName()` says of these on Java 25.
    const GOLDEN: &[(&str, &str)] = &[
        (
            "3064310b3009060355040613024445310f300d06035504080c0642617965726e3111300f06035504070c084dc3bc6e6368656e31133011060355040a0c0a41636d652c20496e632e310c300a060355040b0c03446576310e300c06035504030c05616c696365",
            "CN=alice,OU=Dev,O=Acme\\, Inc.,L=München,ST=Bayern,C=DE",
        ),
        (
            "307831133011060a0992268993f22c64011916036f726731173015060a0992268993f22c64011916076578616d706c6531283008060355040b0c0161300a06035504030c03626f623010060a0992268993f22c6401010c026231311e301c06092a864886f70d010901160f626f62406578616d706c652e6f7267",
            "1.2.840.113549.1.9.1=#160f626f62406578616d706c652e6f7267,OU=a+CN=bob+UID=b1,DC=example,DC=org",
        ),
        (
            "30283126302406035504030c1d2020737061636573202f20236c656164203d2022203b203c783e205c20",
            "CN=\\ \\ spaces / \\#lead \\= \\\" \\; \\<x\\> \\\\\\ ",
        ),
        (
            "302f310c300a06035504051303313233310f300d06035504090c06526f61642031310e300c06035504030c052368617368",
            "CN=\\#hash,STREET=Road 1,2.5.4.5=#1303313233",
        ),
        ("30133111300f06035504030c086100620d630a647f", "CN=a\\00b\u{d}c\u{a}d\u{7f}"),
        ("3010310e300c06035504030c050d2078200d", "CN=\\\u{d}\\ x\\ \\\u{d}"),
        ("300e310c300a06035504030c03202020", "CN=\\ \\ \\ "),
        ("300b3109300706035504030c00", "CN="),
        ("3000", ""),
        ("300f310d300b06035504031404636166e9", "CN=café"),
        ("300f310d300b06035504031e0400610062", "CN=ab"),
        ("300e310c300a06035504031b0367656e", "CN=gen"),
        ("300e310c300a06035504031a03766973", "CN=#1a03766973"),
        ("300e310c300a06035504031203313233", "CN=#1203313233"),
        ("300f310d300b06035504031c0400000061", "CN=#1c0400000061"),
        ("300e310c300a060355040304036f6374", "CN=#04036f6374"),
        ("300c310a30080603550403020105", "CN=#020105"),
        ("30163114301206035504030c0be697a5e69cac20f09fa680", "CN=日本 🦀"),
        ("3015311330110603550403130a706c61696e2b706c7573", "CN=plain\\+plus"),
        ("30263114300806035504030c0161300806035504030c0162310e300c06035504030c05632c4f3d78", "CN=c\\,O\\=x,CN=a+CN=b"),
        (
            "3025310b3009060355040c0c024472310a3008060355042e0c0171310a3008060355042a0c0167",
            "2.5.4.42=#0c0167,2.5.4.46=#0c0171,2.5.4.12=#0c024472",
        ),
    ];

    #[test]
    fn names_are_those_of_java() {
        for (der, java) in GOLDEN {
            assert_eq!(name_of(der), *java, "{der}");
        }
        let long = name_of(&format!("30819231818f30818c06032a03040c8184{}", "78".repeat(132)));
        assert_eq!(long, format!("1.2.3.4=#0c8184{}", "78".repeat(132)));
    }

    #[test]
    fn what_is_no_text_is_not_made_one() {
        assert_eq!(name_of("30133111300f06035504030c08696eff76616c6964"), "CN=#0c08696eff76616c6964");
        assert_eq!(name_of("300f310d300b06035504031e04d8000062"), "CN=#1e04d8000062");
        assert_eq!(name_of("300e310c300a06035504031e03006100"), "CN=#1e03006100");
    }

    #[test]
    fn the_subject_of_a_certificate_is_read() {
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("valid");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Acme, Inc.");
        params.distinguished_name.push(rcgen::DnType::CommonName, "alice");
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        assert_eq!(subject(certificate.der()), Ok("CN=alice,O=Acme\\, Inc.".to_owned()));
        let error = subject(&certificate.der()[..40]).expect_err("cut short").to_string();
        assert!(error.starts_with("the certificate cannot be read: "), "{error}");
    }
}
