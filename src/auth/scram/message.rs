//! The client's two messages (RFC 5802, section 7).
//!
//! ```text
//! client-first-message = gs2-header client-first-message-bare
//! gs2-header           = "n" "," [ "a=" saslname ] ","
//! client-first-bare    = "n=" saslname ",r=" nonce *( "," extension )
//! client-final-message = "c=" base64 ",r=" nonce *( "," extension ) ",p=" base64
//! ```
//!
//! Apache Kafka's patterns (`ScramMessages`) are narrower and wider than that. As it does, only the flag `n` is taken: there
//! is no channel to bind to. Beyond it, names may be any UTF-8, and what is signed is what was sent, with extensions in
//! their order; a mandatory extension (`m=`), which it lets pass and then fails on, is refused.
#![cfg_attr(
    not(test),
    deny(clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use base64::prelude::{BASE64_STANDARD, Engine};

/// The longest message that is looked at.
const BYTES_MAX: usize = 64 << 10;

/// `client-first-message`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFirst<'a> {
    /// To be repeated by the final message.
    pub(super) gs2_header: &'a str,
    /// As whom the client wants to act, if not as who it is.
    pub(super) authorization_id: Option<String>,
    /// What is signed of it.
    pub(super) bare: &'a str,
    /// Who the client says it is.
    pub(super) user: String,
    /// The client's half of the nonce.
    pub(super) nonce: &'a str,
}

/// `client-final-message`.
#[derive(PartialEq, Eq)]
pub(super) struct ClientFinal<'a> {
    /// What is signed of it.
    pub(super) without_proof: &'a str,
    /// The header of the first message, if the client is honest.
    pub(super) channel_binding: Vec<u8>,
    /// Both halves.
    pub(super) nonce: &'a str,
    /// That the client knows the password.
    pub(super) proof: Vec<u8>,
}

/// Why a message is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::auth) enum MessageError {
    #[error("longer than {BYTES_MAX} bytes")]
    TooLong,
    #[error("not UTF-8, or with a NUL in it")]
    NotText,
    #[error("its header asks for channel binding, which is not supported")]
    ChannelBinding,
    #[error("its header is malformed")]
    Header,
    #[error("a mandatory extension, which is not supported")]
    Mandatory,
    #[error("{0}= is missing or malformed")]
    Attribute(char),
    #[error("an extension is malformed")]
    Extension,
    #[error("a delegation token, which is not supported")]
    DelegationToken,
}

impl<'a> ClientFirst<'a> {
    pub(super) fn parse(token: &'a [u8]) -> Result<Self, MessageError> {
        let text = text(token)?;
        let (flag, rest) = text.split_once(',').ok_or(MessageError::Header)?;
        match flag {
            "n" => {}
            _ if flag.starts_with("p=") => return Err(MessageError::ChannelBinding),
            _ => return Err(MessageError::Header),
        }
        let (authorization_id, bare) = rest.split_once(',').ok_or(MessageError::Header)?;
        let authorization_id = match authorization_id {
            "" => None,
            id => Some(id.strip_prefix("a=").and_then(saslname).ok_or(MessageError::Header)?),
        };
        let mut attributes = bare.split(',');
        let user = attributes.next().unwrap_or_default();
        if user.starts_with("m=") {
            return Err(MessageError::Mandatory);
        }
        let user = user.strip_prefix("n=").and_then(saslname).ok_or(MessageError::Attribute('n'))?;
        let nonce = nonce(attributes.next())?;
        attributes.try_for_each(check_extension)?;
        Ok(Self { gs2_header: text.strip_suffix(bare).unwrap_or_default(), authorization_id, bare, user, nonce })
    }
}

impl<'a> ClientFinal<'a> {
    pub(super) fn parse(token: &'a [u8]) -> Result<Self, MessageError> {
        let text = text(token)?;
        let (without_proof, proof) = text.rsplit_once(',').ok_or(MessageError::Attribute('p'))?;
        let proof = base64(Some(proof), 'p')?;
        let mut attributes = without_proof.split(',');
        let channel_binding = base64(attributes.next(), 'c')?;
        let nonce = nonce(attributes.next())?;
        attributes.try_for_each(check_extension)?;
        Ok(Self { without_proof, channel_binding, nonce, proof })
    }
}

fn text(token: &[u8]) -> Result<&str, MessageError> {
    if token.len() > BYTES_MAX {
        return Err(MessageError::TooLong);
    }
    let text = std::str::from_utf8(token).ok().filter(|text| !text.contains('\0'));
    text.ok_or(MessageError::NotText)
}

/// The name that an attribute's value stands for: `=2C` is a comma, `=3D` an equals sign, and no other `=` may be there.
fn saslname(value: &str) -> Option<String> {
    let mut parts = value.split('=');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (c, rest) = match part.split_at_checked(2)? {
            ("2C", rest) => (',', rest),
            ("3D", rest) => ('=', rest),
            _ => return None,
        };
        name.push(c);
        name.push_str(rest);
    }
    Some(name).filter(|name| !name.is_empty())
}

fn nonce(attribute: Option<&str>) -> Result<&str, MessageError> {
    let value = attribute.and_then(|attribute| attribute.strip_prefix("r="));
    let is_printable = |value: &&str| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic());
    value.filter(is_printable).ok_or(MessageError::Attribute('r'))
}

fn base64(attribute: Option<&str>, name: char) -> Result<Vec<u8>, MessageError> {
    let value = attribute.and_then(|attribute| attribute.strip_prefix(name)?.strip_prefix('='));
    value.and_then(|value| BASE64_STANDARD.decode(value).ok()).ok_or(MessageError::Attribute(name))
}

/// Extensions mean nothing here, but Kafka's own, which says that the name is that of a delegation token.
fn check_extension(attribute: &str) -> Result<(), MessageError> {
    let (name, value) = attribute.split_once('=').ok_or(MessageError::Extension)?;
    if name.is_empty() || value.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(MessageError::Extension);
    }
    match name {
        "tokenauth" if value.eq_ignore_ascii_case("true") => Err(MessageError::DelegationToken),
        "m" => Err(MessageError::Mandatory),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_message_is_taken_apart() {
        let first = ClientFirst::parse(b"n,a=a=2Cb,n=x=3D=2Cy=3D,r=f!~,foo=1=2,tokenauth=false").expect("well-formed");
        assert_eq!(
            first,
            ClientFirst {
                gs2_header: "n,a=a=2Cb,",
                authorization_id: Some("a,b".to_owned()),
                bare: "n=x=3D=2Cy=3D,r=f!~,foo=1=2,tokenauth=false",
                user: "x=,y=".to_owned(),
                nonce: "f!~",
            }
        );
        let plain = ClientFirst::parse("n,,n=bé,r=a".as_bytes()).expect("well-formed");
        assert_eq!((plain.gs2_header, plain.authorization_id, plain.user.as_str()), ("n,,", None, "bé"));
    }

    #[test]
    fn what_is_no_first_message_is_refused() {
        let error = |text: &[u8]| ClientFirst::parse(text).expect_err("refused");
        for header in ["", "n", "n,", "y,,n=a,r=b", "N,,n=a,r=b", "n,b=c,n=a,r=b", "n,a=,n=a,r=b", "n,a=x=41,n=a,r=b"] {
            assert_eq!(error(header.as_bytes()), MessageError::Header, "{header}");
        }
        assert_eq!(error(b"p=tls-unique,,n=a,r=b"), MessageError::ChannelBinding);
        assert_eq!(error(b"n,,m=x,n=a,r=b"), MessageError::Mandatory);
        for name in ["", "n=", "a=b", "n=a=41", "n=a=2c", "n=a=", "n=a=2", "n==2é"] {
            assert_eq!(error(format!("n,,{name},r=b").as_bytes()), MessageError::Attribute('n'), "{name}");
        }
        for nonce in ["", ",", ",r=", ",r=a b", ",r=\u{7f}", ",r=é", ",x=1"] {
            assert_eq!(error(format!("n,,n=a{nonce}").as_bytes()), MessageError::Attribute('r'), "{nonce}");
        }
        for extension in ["", "x", "x=", "=x", "1=x", "x-y=1"] {
            assert_eq!(error(format!("n,,n=a,r=b,{extension}").as_bytes()), MessageError::Extension, "{extension}");
        }
        assert_eq!(error(b"n,,n=a,r=b,tokenauth=True"), MessageError::DelegationToken);
        assert_eq!(error(b"n,,n=a\xff,r=b"), MessageError::NotText);
        assert_eq!(error(b"n,,n=a\0,r=b"), MessageError::NotText);
        assert_eq!(error(&[b'n'; BYTES_MAX + 1]), MessageError::TooLong);
    }

    #[test]
    fn a_final_message_is_taken_apart() {
        let last = ClientFinal::parse(b"c=biws,r=ab,x=1,p=AQI=").expect("well-formed");
        assert_eq!((last.without_proof, last.nonce), ("c=biws,r=ab,x=1", "ab"));
        assert_eq!((last.channel_binding, last.proof), (b"n,,".to_vec(), vec![1, 2]));
    }

    #[test]
    fn what_is_no_final_message_is_refused() {
        let error = |text: &[u8]| ClientFinal::parse(text).err().expect("refused");
        for text in ["", "c=biws", "c=biws,r=a", "c=biws,r=a,p=?", "c=biws,r=a,p=AQI", "c=biws,p=AQI=,r=a"] {
            assert_eq!(error(text.as_bytes()), MessageError::Attribute('p'), "{text}");
        }
        assert_eq!(error(b"r=a,p=AQI="), MessageError::Attribute('c'));
        assert_eq!(error(b"c=biws,p=AQI="), MessageError::Attribute('r'));
        assert_eq!(error(b"c=biws,r=a,x,p=AQI="), MessageError::Extension);
        assert_eq!(error(b"c=biws,r=a,m=1,p=AQI="), MessageError::Mandatory);
    }
}
