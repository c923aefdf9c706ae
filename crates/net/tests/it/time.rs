//! Timers, tasks, doorbells, threads.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use weir_net::sim::World;
use weir_net::{Doorbell, Either, os, select, timeout};

use crate::worlds::in_both;

#[test]
fn timers_fire_in_order_of_their_time() {
    in_both(|pair| async move {
        let order = Rc::new(RefCell::new(Vec::new()));
        for wait_ms in [30, 10, 20] {
            let (host, order) = (pair.server.clone(), Rc::clone(&order));
            pair.server.spawn(async move {
                host.sleep(Duration::from_millis(wait_ms)).await;
                order.borrow_mut().push(wait_ms);
            });
        }
        pair.server.sleep(Duration::from_millis(60)).await;
        assert_eq!(*order.borrow(), [10, 20, 30]);
    });
}

#[test]
fn the_first_of_two_wins_when_both_are_ready() {
    in_both(|pair| async move {
        let both = select(async { 1 }, async { 2 }).await;
        assert_eq!(both, Either::First(1));
        let never = std::future::pending::<()>();
        assert_eq!(timeout(&pair.server, Duration::from_millis(1), never).await, None);
    });
}

#[test]
fn a_doorbell_gives_each_key_once_and_in_order() {
    in_both(|pair| async move {
        let bell = Doorbell::new();
        for key in [3, 1, 3, 2] {
            bell.ring(key);
        }
        let mut keys = Vec::new();
        bell.rung(&mut keys).await;
        assert_eq!(keys, [1, 2, 3]);
        let ringer = bell.clone();
        pair.server.spawn(async move { ringer.ring(9) });
        bell.rung(&mut keys).await;
        assert_eq!(keys, [9]);
    });
}

#[test]
fn work_runs_on_every_shard_and_comes_back() {
    let settings = os::Settings { shards: Some(3) };
    let threads = os::run(&settings, |host| async move {
        let bell = Doorbell::new();
        for (index, shard) in host.shards().iter().enumerate() {
            let bell = bell.clone();
            host.spawn_on(shard, move |host| async move {
                host.sleep(Duration::from_millis(1)).await;
                bell.ring(index as u64);
            });
        }
        let (mut all, mut keys) = (Vec::new(), Vec::new());
        while all.len() < 3 {
            bell.rung(&mut keys).await;
            all.append(&mut keys);
        }
        all.sort_unstable();
        all
    });
    assert_eq!(threads.unwrap(), [0, 1, 2]);
}

#[test]
fn a_world_that_waits_for_nothing_says_so() {
    let world = World::new(1);
    assert_eq!(world.run(std::future::pending::<()>()), None);
}
