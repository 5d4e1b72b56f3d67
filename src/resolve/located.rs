//! The servers of a name, and the order to try them in (RFC 2782, RFC 3263 §4.2).

use std::net::{IpAddr, SocketAddr};

use super::plan::Srv;
use super::target::{Hop, Transport};
use crate::entropy::Entropy;

/// Most destinations for one request: each may take the 32 s of a transaction.
const MAX_HOPS: usize = 8;

/// The servers of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    services: Vec<Service>,
}

/// The servers of one transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) transport: Transport,
    pub(super) servers: Vec<Server>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    priority: u16,
    weight: u16,
    port: u16,
    pub(super) name: String,
    pub(super) addresses: Vec<IpAddr>,
}

impl Server {
    pub(super) fn of_record(record: Srv) -> Self {
        Self {
            priority: record.priority,
            weight: record.weight,
            port: record.port,
            name: record.target,
            addresses: Vec::new(),
        }
    }

    /// The host itself, without service records.
    pub(super) fn alone(name: String, port: u16) -> Self {
        Self {
            priority: 0,
            weight: 0,
            port,
            name,
            addresses: Vec::new(),
        }
    }
}

impl Located {
    pub(super) fn new(services: Vec<Service>) -> Self {
        Self { services }
    }

    /// These places, in this order.
    #[cfg(test)]
    pub(crate) fn of(places: &[&str]) -> Self {
        let hops = places.iter().map(|uri| {
            let target = super::Target::of_uri(uri).expect("a target");
            target.hop().expect("an address")
        });
        let services = hops.map(|hop| Service {
            transport: hop.transport,
            servers: vec![Server {
                addresses: vec![hop.address.ip()],
                ..Server::alone(String::new(), hop.address.port())
            }],
        });
        Self::new(services.collect())
    }

    /// The destinations in the order to try them: services as the domain prefers them, servers by
    /// priority and, among equals, at random by weight; addresses of the family we send from first.
    pub fn hops(&self, from_ipv4: bool, entropy: &mut dyn Entropy) -> Vec<Hop> {
        let mut hops = Vec::new();
        for service in &self.services {
            for server in in_order(&service.servers, entropy) {
                let mut addresses = server.addresses.clone();
                addresses.sort_by_key(|address| address.is_ipv4() != from_ipv4);
                hops.extend(addresses.into_iter().map(|address| Hop {
                    address: SocketAddr::new(address, server.port),
                    transport: service.transport,
                }));
            }
        }
        hops.truncate(MAX_HOPS);
        hops
    }
}

/// RFC 2782: lowest priority first; among equals, a random draw in which a server's chance is its
/// weight.
fn in_order<'a>(servers: &'a [Server], entropy: &mut dyn Entropy) -> Vec<&'a Server> {
    let mut left: Vec<&Server> = servers.iter().collect();
    // Servers without weight come first, so that only a draw of 0 selects them.
    left.sort_by_key(|server| (server.priority, server.weight != 0));
    let mut ordered = Vec::with_capacity(left.len());
    while let Some(first) = left.first() {
        let priority = first.priority;
        let equals = left.iter().take_while(|it| it.priority == priority);
        let weights: Vec<u64> = equals.map(|it| it.weight.into()).collect();
        let drawn = draw(weights.iter().sum::<u64>() + 1, entropy);
        let mut sum = 0;
        let chosen = weights.iter().position(|weight| {
            sum += weight;
            sum >= drawn
        });
        ordered.push(left.remove(chosen.unwrap_or(0)));
    }
    ordered
}

/// A random number less than `below`.
fn draw(below: u64, entropy: &mut dyn Entropy) -> u64 {
    let mut octets = [0; 8];
    entropy.fill(&mut octets);
    u64::from_le_bytes(octets) % below
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Seeded;

    fn server(priority: u16, weight: u16, number: u8) -> Server {
        let record = Srv {
            priority,
            weight,
            port: 5060,
            target: "s.test".into(),
        };
        Server {
            addresses: vec![[192, 0, 2, number].into()],
            ..Server::of_record(record)
        }
    }

    fn located(servers: Vec<Server>) -> Located {
        Located::new(vec![Service {
            transport: Transport::Udp,
            servers,
        }])
    }

    fn numbers(located: &Located, entropy: &mut dyn Entropy) -> Vec<u8> {
        let hops = located.hops(true, entropy);
        let last = hops.iter().map(|hop| match hop.address.ip() {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(_) => 0,
        });
        last.collect()
    }

    #[test]
    fn weight_is_the_share_among_servers_of_one_priority() {
        let located = located(vec![server(1, 75, 1), server(1, 25, 2), server(2, 9, 3)]);
        let mut entropy = Seeded(1);
        let mut first = [0; 4];
        for _ in 0..4000 {
            let order = numbers(&located, &mut entropy);
            assert_eq!(order[2], 3, "the other priority comes last");
            first[usize::from(order[0])] += 1;
        }
        assert!((2800..3200).contains(&first[1]), "{first:?}");
        assert_eq!(first[1] + first[2], 4000);
    }

    #[test]
    fn a_server_without_weight_is_chosen_seldom_beside_one_with() {
        let located = located(vec![server(1, 100, 1), server(1, 0, 2)]);
        let mut entropy = Seeded(2);
        let first = (0..1000).filter(|_| numbers(&located, &mut entropy)[0] == 2);
        let first = first.count();
        assert!((1..50).contains(&first), "{first} of 1000");
    }

    #[test]
    fn the_family_of_our_own_socket_comes_first() {
        let mut both = server(1, 0, 1);
        both.addresses = vec!["2001:db8::1".parse().unwrap(), [192, 0, 2, 1].into()];
        let located = located(vec![both]);
        let first = |ipv4| located.hops(ipv4, &mut Seeded(1))[0].address.is_ipv4();
        assert_eq!([first(true), first(false)], [true, false]);
    }

    #[test]
    fn so_many_places_at_most_are_tried() {
        let servers = (0..30).map(|number| server(1, 1, number)).collect();
        let hops = located(servers).hops(true, &mut Seeded(3));
        assert_eq!(hops.len(), MAX_HOPS);
    }
}
