#![allow(clippy::all, clippy::pedantic)]
#![allow(missing_docs, clippy::print_stdout, clippy::disallowed_methods, clippy::unwrap_used)]
//! scratch
use weir_emulator::namespace::*;
use weir_emulator::{Clock, Command, Inbox, Plan, Reply};
use weir_link::{Change, Settings};
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args[0] == "exec" {
        panic!("{}", exec(&args[1], None, &args[3..]));
    }
    let split = args.iter().position(|a| a == "--").unwrap_or(args.len());
    let command: Vec<String> = args.get(split + 1..).unwrap_or_default().to_vec();
    let mut on = None;
    let topology = if args[0].ends_with(".toml") {
        on = args.get(1).filter(|_| split > 1).cloned();
        Topology::parse(&std::fs::read_to_string(&args[0]).unwrap())
            .unwrap_or_else(|e| panic!("{e}"))
    } else {
        let change: Change = args[0].parse().unwrap();
        let mut s = Settings::default();
        change.apply(&mut s);
        let mut t = Topology::one_link(Plan { name: "link".into(), up: s.clone(), down: s });
        for p in &args[1..split] {
            t.publish.push(p.parse().unwrap());
        }
        t
    };
    let mut supervisor = Supervisor::new().unwrap();
    let network = Network::make(topology, "x").unwrap_or_else(|e| {
        eprintln!("{e}");
        std::process::exit(1)
    });
    let (inbox, remote) = Inbox::new().unwrap();
    let running = network.start(Clock::start(), 1, None, inbox, true).unwrap_or_else(|e| {
        eprintln!("{e}");
        std::process::exit(1)
    });
    for h in running.addresses() {
        eprintln!("{} {}", h.name, h.address);
    }
    let outcome = running.supervise(&mut supervisor, on.as_deref(), &command);
    if let Reply::Links(l) = remote.ask(Command::Show) {
        for l in l {
            eprintln!("{} up {:?}\n down {:?}", l.name, l.up.counters, l.down.counters);
        }
    }
    eprintln!("{:?} {:?}", outcome, running.finish());
    if let Ok(Outcome::Ended(c)) = outcome {
        std::process::exit(c.into())
    }
}
