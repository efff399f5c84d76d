//! Whom an address belongs to, where strangers are counted.

use std::net::{IpAddr, Ipv6Addr};

/// The address, or of IPv6 the network of 64 bits that it is in: whoever has one address there has all of them.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_one_network_are_one() {
        let network = |text: &str| network_of(text.parse().expect("an address")).to_string();
        for text in ["2001:db8::1", "2001:db8::2", "2001:db8::3:4:5:6"] {
            assert_eq!(network(text), "2001:db8::", "{text}");
        }
        assert_eq!(network("2001:db8:0:1::1"), "2001:db8:0:1::");
        assert_eq!(network("::ffff:10.0.0.1"), "10.0.0.1");
        assert_eq!((network("10.0.0.1"), network("::1")), ("10.0.0.1".to_owned(), "::1".to_owned()));
    }
}
