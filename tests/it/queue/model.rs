//! Random commands against a plain model of a queue: a list of messages, and hours that pass.

use std::collections::BTreeMap;

use super::*;

const HOUR: i64 = 3_600_000;
const MAX: i64 = 3;

#[derive(Debug, Clone, PartialEq)]
enum State {
    New,
    Leased { worker: u64, until: u64 },
    Parked { until: u64 },
    Dead,
}

#[derive(Debug, Clone)]
struct Message {
    id: String,
    state: State,
    deliveries: i64,
}

impl Message {
    fn is_due(&self, now: u64) -> bool {
        match self.state {
            State::Leased { until, .. } | State::Parked { until } => now >= until,
            State::New | State::Dead => false,
        }
    }

    fn is_leased(&self, now: u64) -> bool {
        matches!(self.state, State::Leased { until, .. } if now < until)
    }
}

/// Messages by their number, which is their body, and the hour it is.
#[derive(Default)]
struct Model {
    messages: BTreeMap<u64, Message>,
    now: u64,
}

impl Model {
    fn stat(&self) -> [i64; 4] {
        let count = |is: &dyn Fn(&Message) -> bool| {
            self.messages.values().filter(|message| is(message)).count() as i64
        };
        let now = self.now;
        [
            count(&|m| m.state == State::New || m.is_due(now)),
            count(&|m| matches!(m.state, State::Parked { until } if now < until)),
            count(&|m| m.is_leased(now)),
            count(&|m| m.state == State::Dead),
        ]
    }

    /// Whether GET would hand it out, or put it aside.
    fn is_buried(&self, message: &Message) -> bool {
        message.is_due(self.now) && message.deliveries >= MAX
    }

    /// In order, what is handed out; and what is dead from then on.
    fn in_order(&self, count: usize, in_flight: usize) -> (Vec<u64>, Vec<u64>) {
        let leased = self
            .messages
            .values()
            .filter(|m| m.is_leased(self.now))
            .count();
        let room = in_flight.saturating_sub(leased).min(count);
        let (mut places, mut out, mut buried) = (in_flight, Vec::new(), Vec::new());
        for (number, message) in &self.messages {
            if places == 0 || out.len() == room {
                break;
            }
            if message.state == State::Dead {
                continue;
            }
            if self.is_buried(message) {
                buried.push(*number);
                continue;
            }
            places -= 1;
            if message.state == State::New || message.is_due(self.now) {
                out.push(*number);
            }
        }
        (out, buried)
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

/// One run; panics with its seed and what was done.
fn run(con: &mut Connection, seed: u64, steps: usize) {
    cmd!(con, "DEL q").int();
    let mut random = Random(seed);
    let mut model = Model::default();
    let mut done: Vec<String> = Vec::new();
    for step in 0..steps {
        let number = step as u64;
        let known: Vec<u64> = model.messages.keys().copied().collect();
        let any = known
            .get(random.below(known.len().max(1) as u64) as usize)
            .copied();
        let worker = random.below(3);
        let hours = random.below(4) + 1;
        match (random.below(12), any) {
            (0..=3, _) | (_, None) => {
                let is_delayed = random.below(4) == 0;
                let delay = if is_delayed {
                    format!("DELAY {hours}h")
                } else {
                    String::new()
                };
                let state = match is_delayed {
                    true => State::Parked {
                        until: model.now + hours,
                    },
                    false => State::New,
                };
                done.push(format!("ADD {number} {delay}"));
                let id = add(con, "q", &number.to_string(), &delay);
                model.messages.insert(
                    number,
                    Message {
                        id,
                        state,
                        deliveries: 0,
                    },
                );
            }
            (4..=6, _) => {
                let count = random.below(4) as usize + 1;
                let in_flight = (random.below(3) > 0).then(|| random.below(4) as usize + 1);
                // The lease of the server is over when an hour is, and no hour of the model lasts as long.
                let (lease, hours) = match random.below(3) {
                    0 => ("LEASE 30s".to_owned(), 1),
                    _ => (format!("LEASE {hours}h"), hours),
                };
                let mut words = format!("q w{worker} COUNT {count} {lease} MAX {MAX}");
                if let Some(n) = in_flight {
                    words.push_str(&format!(" INFLIGHT {n}"));
                }
                done.push(format!("GET {words}"));
                let got = take(con, &words);
                let numbers: Vec<u64> = got.iter().map(|got| got.body.parse().unwrap()).collect();
                let context = || format!("seed {seed}: {done:#?}\n{:#?}", model.messages);
                if let Some(in_flight) = in_flight {
                    let (expected, buried) = model.in_order(count, in_flight);
                    assert_eq!(numbers, expected, "{}", context());
                    for number in buried {
                        model.messages.get_mut(&number).unwrap().state = State::Dead;
                    }
                } else {
                    // Which of the due ones come first is up to the milliseconds.
                    let due = |m: &&Message| m.is_due(model.now);
                    let is_live = |m: &&Message| m.deliveries < MAX;
                    let all_due = model.messages.values().filter(due).count();
                    let live_due = model.messages.values().filter(due).filter(is_live).count();
                    let new = model
                        .messages
                        .values()
                        .filter(|m| m.state == State::New)
                        .count();
                    assert_eq!(numbers.len(), count.min(live_due + new), "{}", context());
                    let again = got.iter().filter(|got| got.deliveries > 1).count();
                    assert!(again <= live_due, "{}", context());
                    // Those that were in the way of the ones that came are dead; ask which.
                    let dead: Vec<String> = dead(con, "q").into_iter().map(|(id, _)| id).collect();
                    let buried = model
                        .messages
                        .values_mut()
                        .filter(|m| m.state != State::Dead && dead.contains(&m.id));
                    let mut some = 0;
                    for message in buried {
                        assert!(message.deliveries >= MAX, "seed {seed}: {done:#?}");
                        message.state = State::Dead;
                        some += 1;
                    }
                    assert!(some <= all_due - live_due);
                }
                for (number, got) in numbers.iter().zip(&got) {
                    let now = model.now;
                    let message = model.messages.get_mut(number).expect("one that was added");
                    assert!(message.state == State::New || message.is_due(now));
                    message.deliveries += 1;
                    message.state = State::Leased {
                        worker,
                        until: now + hours,
                    };
                    assert_eq!((&got.id, got.deliveries), (&message.id, message.deliveries));
                }
            }
            (7, Some(any)) => {
                let id = model.messages.remove(&any).unwrap().id;
                done.push(format!("ACK {any}"));
                assert_eq!(number_of(con, &format!("ACK q {id}")), 1);
            }
            (8, Some(any)) => {
                let how = random.below(3);
                let words = ["", "DEAD", &format!("DELAY {hours}h")][how as usize].to_owned();
                let message = model.messages.get_mut(&any).unwrap();
                let holds =
                    matches!(message.state, State::Leased { worker: by, .. } if by == worker);
                if holds {
                    message.state = match how {
                        0 => State::Parked { until: model.now },
                        1 => State::Dead,
                        _ => State::Parked {
                            until: model.now + hours,
                        },
                    };
                }
                done.push(format!("NACK {any} by {worker} {words}"));
                let line = format!("NACK q w{worker} {} {words}", message.id);
                assert_eq!(
                    number_of(con, line.trim_end()),
                    i64::from(holds),
                    "{done:#?}"
                );
            }
            (9, Some(any)) => {
                let message = model.messages.get_mut(&any).unwrap();
                let holds =
                    matches!(message.state, State::Leased { worker: by, .. } if by == worker);
                if holds {
                    message.state = State::Leased {
                        worker,
                        until: model.now + hours,
                    };
                }
                done.push(format!("TOUCH {any} by {worker} {hours}h"));
                let line = format!("TOUCH q w{worker} {hours}h {}", message.id);
                assert_eq!(number_of(con, &line), i64::from(holds), "{done:#?}");
            }
            (10, Some(any)) => {
                let message = model.messages.get_mut(&any).unwrap();
                let is_dead = message.state == State::Dead;
                if is_dead {
                    message.state = State::Parked { until: model.now };
                    message.deliveries = 0;
                }
                done.push(format!("KICK {any}"));
                let line = format!("KICK q {}", message.id);
                assert_eq!(number_of(con, &line), i64::from(is_dead), "{done:#?}");
            }
            _ => {
                let hours = random.below(3);
                done.push(format!("{hours} hours pass"));
                model.now += hours;
                if cmd!(con, "XPENDING q work").is_ok() {
                    let_pass(con, "q", hours as i64 * HOUR);
                }
            }
        }
        assert_eq!(stat(con, "q"), model.stat(), "seed {seed}: {done:#?}");
        assert_eq!(cmd!(con, "XLEN q").int(), model.messages.len() as i64);
    }
}

#[test]
fn random_commands_agree_with_the_model() {
    let server = Server::start();
    let mut con = server.connection();
    for seed in 1..=12 {
        run(&mut con, 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed), 250);
    }
}

#[test]
fn slow_many_random_commands_agree_with_the_model() {
    let server = Server::start();
    let mut con = server.connection();
    for seed in 1..=150 {
        run(&mut con, 0xD1B5_4A32_D192_ED03_u64.wrapping_mul(seed), 400);
    }
}
