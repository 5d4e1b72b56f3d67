//! Two well-behaved participants, who must not notice what others do to the proxy.

use super::PATIENCE;
use super::agent::Transport;
use super::participant::Participant;
use super::proxy::{Proxy, wait_until};

/// Alice and Bob.
pub struct Bystanders {
    /// On UDP.
    pub alice: Participant,
    /// On TCP.
    pub bob: Participant,
}

impl Bystanders {
    /// Lets both join this room.
    pub fn join(proxy: &Proxy, room: &str) -> Self {
        Self {
            alice: Participant::join(proxy, "alice", Transport::Udp, room),
            bob: Participant::join(proxy, "bob", Transport::Tcp, room),
        }
    }

    /// Checks that they can still talk, nobody else is left in any room, and the proxy holds
    /// nothing of others.
    pub fn unharmed(&self, proxy: Proxy) {
        let words = self.alice.say("still there?");
        self.bob.hears(&words);
        let words = self.bob.say("still here.");
        self.alice.hears(&words);
        let counts = || {
            (
                proxy.statistic("conferences"),
                proxy.statistic("participants"),
            )
        };
        let alone = wait_until(PATIENCE, || counts() == (1, 2));
        assert!(alone, "{}: {:?}", proxy.host.name, counts());
        assert_eq!(proxy.statistic("panics"), 0);
        let done = wait_until(PATIENCE * 2, || proxy.transactions() == 0);
        assert!(
            done,
            "{}: {} transactions",
            proxy.host.name,
            proxy.transactions()
        );
        proxy.stop();
    }
}
