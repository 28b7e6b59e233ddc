//! How connections get to the home shard of their users, with each driver: with everything that was sent ahead, and also
//! where there is no room, and in the middle of a drain.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use gateway_core::home_shard;
use gateway_server::{GatewayConfig, ShardConfig};
use gateway_transport::TlsClient;
use protocol::codes::Code;
use protocol::figures::{Buckets, Family, Figures, Visitor};
use protocol::frame;
use protocol::ids::{Realm, UserId};
use protocol::wire::ServerBody;

use crate::product::{hello, lookup, ping, receive_type, start_router_for};
use crate::support::{Bench, Client, config, each_driver};

const SHARDS: u16 = 2;
const USERS: u64 = 200;
const DEVICES: usize = 2;

/// A router for each shard, and whom it has welcomed there.
fn start_routers(bench: &mut Bench) -> (Vec<JoinHandle<()>>, Receiver<(u16, UserId)>) {
    let (welcomes, welcomed) = channel();
    let start = |(shard, link)| {
        let welcomes = welcomes.clone();
        // A test that has seen enough does not listen any more.
        start_router_for(link, move |user| {
            let _ = welcomes.send((shard, user));
        })
    };
    ((0..).zip(bench.links.drain(..)).map(start).collect(), welcomed)
}

fn user(number: u64) -> UserId {
    UserId::new(Realm(1), number)
}

/// Those of them who are at home in this shard.
fn users_of(shard: u16) -> impl Iterator<Item = UserId> {
    (1..).map(user).filter(move |user| home_shard(*user, SHARDS) == shard)
}

fn end(bench: Bench, routers: Vec<JoinHandle<()>>) {
    bench.gateway.drain().expect("it ends well");
    routers.into_iter().for_each(|router| router.join().expect("it ends with the gateway"));
}

fn framed(frames: &[Vec<u8>]) -> Vec<u8> {
    frames.iter().flat_map(|frame| [&frame::prefix(frame.len())[..], frame].concat()).collect()
}

/// What a figure without labels says.
fn figure(bench: &Bench, name: &'static str) -> u64 {
    struct Search(&'static str, bool, Option<u64>);

    impl Visitor for Search {
        fn family(&mut self, family: &Family) {
            self.1 = family.name == self.0;
        }
        fn number(&mut self, _: &str, value: u64) {
            if self.1 {
                self.2 = Some(value);
            }
        }
        fn time(&mut self, _: &str, _: Duration) {}
        fn buckets(&mut self, _: Buckets<'_>) {}
    }

    let mut search = Search(name, false, None);
    bench.gateway.view().visit(&mut search);
    search.2.expect("there is such a figure")
}

#[test]
fn every_device_is_served_at_its_users_home_and_nothing_that_was_sent_ahead_is_lost() {
    for config in each_driver(&config()) {
        let mut bench = Bench::start_product(config, SHARDS.into());
        let (routers, welcomed) = start_routers(&mut bench);
        let mut clients = Vec::new();
        for number in (1..=USERS).flat_map(|number| [number; DEVICES]) {
            let mut client = bench.connect();
            let token = bench.token_of(user(number), Duration::from_secs(60));
            let ahead = framed(&[hello(&token), lookup(), ping(), lookup()]);
            // Anywhere in the Hello or behind it; what follows meets the connection before, during or after its move.
            let (head, tail) = ahead.split_at(number as usize * 7 % ahead.len());
            client.send_bytes(head);
            client.send_bytes(tail);
            assert_eq!(receive_type(&mut client), ServerBody::Welcome);
            let mut answers = [(); 3].map(|()| receive_type(&mut client));
            answers.sort_by_key(|answer| answer.0);
            let mut expected = [ServerBody::UserPage, ServerBody::UserPage, ServerBody::Pong];
            expected.sort_by_key(|answer| answer.0);
            assert_eq!(answers, expected);
            clients.push(client);
        }
        let mut devices: HashMap<UserId, usize> = HashMap::new();
        for (shard, user) in welcomed.try_iter() {
            assert_eq!(shard, home_shard(user, SHARDS), "{user}");
            *devices.entry(user).or_default() += 1;
        }
        assert_eq!(devices.len(), USERS as usize);
        assert!(devices.values().all(|count| *count == DEVICES));
        clients.iter_mut().for_each(|client| client.send(&ping()));
        assert!(clients.iter_mut().all(|client| receive_type(client) == ServerBody::Pong), "all are served still");
        drop(clients);
        end(bench, routers);
    }
}

#[test]
fn who_finds_no_room_at_home_is_told_to_come_again() {
    let shard = ShardConfig { connections_max: 3, ..ShardConfig::default() };
    for config in each_driver(&GatewayConfig { shard, ..config() }) {
        let mut bench = Bench::start_product(config, SHARDS.into());
        let (routers, _welcomed) = start_routers(&mut bench);
        let mut at_home = Vec::new();
        // Which shard accepts is not known: one that is full closes the socket at once.
        let code = users_of(1).take(50).find_map(|user| {
            let mut client = Client::try_connect(bench.gateway.address(), &bench.tls_client).ok()?;
            client.send(&hello(&bench.token_of(user, Duration::from_secs(60))));
            let frame = client.receive().expect("a frame");
            let frame = frame::server_frame(&frame).expect("verifies");
            let code = frame.body_as_go_away().map(|goodbye| goodbye.code());
            at_home.push(client);
            code
        });
        assert_eq!((code, at_home.len()), (Some(Code::Overloaded.number()), 4));
        let mut client = at_home.swap_remove(0);
        client.send(&ping());
        assert_eq!(receive_type(&mut client), ServerBody::Pong, "who was there before is unharmed");
        drop((client, at_home));
        end(bench, routers);
    }
}

/// Each is told something, or cut at once: who is left behind waits until its patience ends.
fn come_until_nobody_listens<'a>(address: SocketAddr, tls: &TlsClient, tokens: impl Iterator<Item = &'a Vec<u8>>) {
    let is_told = |result: io::Result<()>| match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("nobody has told this client anything"),
        Err(error) => error.kind() != ErrorKind::ConnectionRefused,
        Ok(()) => true,
    };
    for token in tokens {
        let come = || {
            let mut client = Client::try_connect(address, tls)?;
            client.try_send(&hello(token))?;
            client.try_receive().map(drop)
        };
        if !is_told(come()) {
            return;
        }
    }
}

#[test]
fn a_drain_in_the_middle_of_moves_leaves_nobody_behind() {
    for config in each_driver(&config()) {
        let drain_timeout = config.drain_timeout;
        let mut bench = Bench::start_product(config, SHARDS.into());
        let (routers, _welcomed) = start_routers(&mut bench);
        let (address, tls_client) = (bench.gateway.address(), bench.tls_client.clone());
        let tokens: Vec<_> = (1..=20).map(|number| bench.token_of(user(number), Duration::from_secs(60))).collect();
        let draining = thread::scope(|scope| {
            for worker in 0..4 {
                let tokens = tokens.iter().cycle().skip(worker * 5);
                scope.spawn(|| come_until_nobody_listens(address, &tls_client, tokens));
            }
            let moved = || figure(&bench, "ringpost_shard_connections_moved_in_total");
            while moved() < 20 {
                thread::yield_now();
            }
            let began = Instant::now();
            bench.gateway.drain().expect("it ends well");
            began.elapsed()
        });
        assert!(draining < drain_timeout, "it had to cut somebody: {draining:?}");
        routers.into_iter().for_each(|router| router.join().expect("it ends with the gateway"));
    }
}
