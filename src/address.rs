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
