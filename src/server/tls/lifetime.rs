//! From when until when certificates are valid, and what is said when that is not now, or not for long.

use rustls::pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, prelude::FromDer, time::ASN1Time};

use crate::auth::certificate::subject;

/// How long before its end a certificate is spoken of, in seconds.
const AHEAD: i64 = 14 * DAY;
const DAY: i64 = 24 * 60 * 60;

/// When a certificate is valid, in seconds since the Unix epoch.
pub(super) struct Lifetime {
    subject: String,
    from: ASN1Time,
    until: ASN1Time,
}

impl Lifetime {
    /// `None` if that cannot be read.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let validity = parsed.validity();
        Some(Self { subject: subject(certificate).ok()?, from: validity.not_before, until: validity.not_after })
    }

    /// What is to be said of it at a time.
    pub(super) fn warning(&self, now: i64) -> Option<String> {
        let Self { subject, from, until } = self;
        let left = until.timestamp().saturating_sub(now);
        let said = if now < from.timestamp() {
            format!("is not valid before {}: clients turn away until then, or the clock is wrong", utc(*from))
        } else if left < 0 {
            format!("has expired at {}: clients turn away", utc(*until))
        } else if left < AHEAD {
            let days = left / DAY;
            format!("expires at {}, in {days} day{}", utc(*until), if days == 1 { "" } else { "s" })
        } else {
            return None;
        };
        Some(format!("the certificate of {subject:?} {said}"))
    }
}

fn utc(time: ASN1Time) -> String {
    let at = time.to_datetime();
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", at.hour(), at.minute())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn a_certificate_is_spoken_of_before_it_expires_and_then() {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(["a".to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, "broker");
        (params.not_before, params.not_after) = (date_time_ymd(2026, 3, 1), date_time_ymd(2026, 5, 1));
        let certificate = params.self_signed(&key).expect("signed");
        let lifetime = Lifetime::of(certificate.der()).expect("it can be read");
        let (from, until) = (1_772_323_200, 1_777_593_600);
        for (now, said) in [
            (from - 1, Some("is not valid before 2026-03-01 00:00 UTC: ")),
            (from, None),
            (until - AHEAD, None),
            (until - AHEAD + 1, Some("expires at 2026-05-01 00:00 UTC, in 13 days")),
            (until - DAY, Some("expires at 2026-05-01 00:00 UTC, in 1 day")),
            (until, Some("expires at 2026-05-01 00:00 UTC, in 0 days")),
            (until + 1, Some("has expired at 2026-05-01 00:00 UTC: ")),
        ] {
            let warning = lifetime.warning(now);
            assert_eq!(warning.is_some(), said.is_some(), "{now}: {warning:?}");
            let (warning, said) = (warning.unwrap_or_default(), said.unwrap_or_default());
            assert!(warning.contains(said) && (said.is_empty() || warning.contains("CN=broker")), "{now}: {warning}");
        }
    }
}
