//! A server that is killed in every phase of its life, and what must hold each time it is back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Connection;

use super::ledger::{Counts, Ledger, LINE};
use super::load::Load;
use super::{Keeps, Mode};
use crate::consistency::*;
use crate::deaf_time::beaters::{all, ids, Beaters};
use crate::devices::*;
use crate::support::random::Random;
use crate::support::*;
use crate::survival::size::size;

/// `restart-grace`, in milliseconds.
const GRACE: i64 = 1_000;
/// Of the devices that beat all the time; they do so much more often, for busy machines.
const TIMEOUT: i64 = 3_000;
const EVERY: Duration = Duration::from_millis(200);
const LIVE: usize = 60;
/// Of the devices that fall silent with the kill.
const SILENT_TIMEOUT: i64 = 700;
const SILENT: usize = 20;
/// So many events are kept and looked at: those of several rounds.
const EVENTS: usize = 10_000;
/// How late a death may be told on a busy machine, in milliseconds.
const LATE: i64 = 5_000;

/// What has been done to it.
#[derive(Default)]
struct Done {
    answered: u64,
    /// Commands of ledgers that were acknowledged, how many of them had to be kept, and how many
    /// were lost.
    acknowledged: u64,
    kept: u64,
    lost: u64,
    /// Kills while a child wrote everything, while the server loaded, within the grace.
    with_child: u64,
    while_loading: u64,
    in_the_grace: u64,
    silent: usize,
}

pub struct Survivor {
    mode: Mode,
    server: Server,
    live: Beaters,
    random: Random,
    done: Done,
}

impl Survivor {
    /// A server that persists this way, and the devices that beat all the time.
    #[track_caller]
    pub fn start(mode: Mode) -> Survivor {
        let mut builder = Server::builder()
            .config("devicestate.restart-grace", GRACE)
            .config("devicestate.heartbeat-timeout", SILENT_TIMEOUT)
            .config("devicestate.commands-maxlen", 100_000)
            .config("devicestate.events-maxlen", EVENTS)
            // So that a child takes some time, in microseconds for each key.
            .config("rdb-key-save-delay", 200);
        for (name, value) in mode.config {
            builder = builder.config(name, value);
        }
        let server = builder.start();
        server.settle();
        let live = Beaters::start(&server, &ids("live", LIVE), EVERY, TIMEOUT as u64);
        Survivor {
            mode,
            server,
            live,
            random: Random::new(11),
            done: Done::default(),
        }
    }

    /// It is killed again and again; says in one line how that went.
    #[track_caller]
    pub fn survive(mut self) {
        let kills = size(2, 50);
        for round in 0..kills {
            self.round(round);
        }
        println!("{}", self.summary(kills));
    }

    /// One kill under load, perhaps others after it, and what must hold then.
    #[track_caller]
    fn round(&mut self, round: u64) {
        let silent = ids(&format!("silent-{round}"), SILENT);
        let ledgers = self.load_and_kill(round, &silent);
        if round % 10 == 9 {
            // Long enough for everybody to be overdue.
            wait_until(Duration::from_millis(TIMEOUT as u64 + 200));
        }
        if round % 2 == 1 {
            self.kill_while_loading();
        }
        let mut began = now_ms();
        self.server.restart();
        if round.is_multiple_of(4) {
            // The grace begins when the load is over, a moment ago.
            let within = self.random.below(GRACE as usize / 2) as u64;
            wait_until(Duration::from_millis(within));
            self.server.kill_hard();
            self.done.in_the_grace += 1;
            began = now_ms();
            self.server.restart();
        }
        let mut con = self.server.connection();
        for (ledger, said, kept) in &ledgers {
            self.done.acknowledged += ledger.counts().iter().sum::<u64>();
            self.done.kept += kept.iter().sum::<u64>();
            self.done.lost += ledger.lost(&mut con, *said, kept);
        }
        assert_sound(&mut con);
        self.wait_for_deaths(&mut con, began);
        for (ledger, ..) in &ledgers {
            ledger.remove(&mut con);
        }
        let left = silent.iter().map(|id| format!("DEVICE.REMOVE {id}"));
        all(&mut con, left);
    }

    /// Gives each ledger, the last number that it said, and how many of each kind must be kept.
    #[track_caller]
    fn load_and_kill(&mut self, round: u64, silent: &[String]) -> Vec<(Arc<Ledger>, u64, Counts)> {
        let mut con = self.server.connection();
        let load = Load::start(&self.server, 1 + round, round);
        if round.is_multiple_of(2) {
            self.start_child(&mut con);
        }
        self.let_answer(&load, 1_000);
        if round % 5 == 1 {
            assert_sound(&mut con);
        }
        let mut snapshot = vec![[0; LINE]; load.counts().len()];
        match self.mode.keeps {
            Keeps::Snapshots if self.random.below(3) > 0 => {
                snapshot = save(&mut con, || load.counts());
                self.let_answer(&load, 500);
            }
            // Long enough for something to be old.
            Keeps::But(last) if round % 5 == 4 => wait_until(last + last / 2),
            _ => {}
        }
        let beat = |id| format!("DEVICE.HEARTBEAT {id} TIMEOUT {SILENT_TIMEOUT}");
        all(&mut con, silent.iter().map(beat));
        if round % 2 == 1 {
            self.start_child(&mut con);
        }
        let micros = self.random.below(60_000) as u64;
        wait_until(Duration::from_micros(micros));
        self.done.with_child += u64::from(child_is_running(&mut con));
        assert_eq!(info_number(&mut con, "mended"), 0);
        self.server.kill_hard();

        let killed = Instant::now();
        self.done.answered += load.answered();
        let ends = load.end().into_iter().zip(snapshot);
        ends.map(|((ledger, said), snapshot)| {
            let kept = match self.mode.keeps {
                Keeps::All => ledger.counts(),
                Keeps::But(last) => ledger.counts_before(killed, last),
                Keeps::Snapshots => snapshot,
            };
            (ledger, said, kept)
        })
        .collect()
    }

    /// One that is over by the time of the kill, or is not. Refused while another one is at it.
    fn start_child(&self, con: &mut Connection) {
        let _ = cmd!(con, self.mode.child);
    }

    /// Waits until the load has had so many answers, more or less.
    #[track_caller]
    fn let_answer(&mut self, load: &Load, about: usize) {
        let wanted = load.answered() + (about / 2 + self.random.below(about)) as u64;
        wait_for("the load goes on", SOON, || load.answered() >= wanted);
    }

    /// Starts the server, so slowly that it is met in the middle, and kills it again.
    #[track_caller]
    fn kill_while_loading(&mut self) {
        let before = self.server.log().len();
        self.server.begin(&["--key-load-delay", "300"]);
        let log = |server: &Server| server.log()[before..].to_lowercase();
        wait_for("the server begins to load", SOON, || {
            log(&self.server).contains("server initialized")
        });
        let micros = self.random.below(100_000) as u64;
        wait_until(Duration::from_micros(micros));
        self.server.kill_hard();
        if !log(&self.server).contains("ready to accept connections") {
            self.done.while_loading += 1;
        }
    }

    /// The server that began to start at `began` is there, and only those beat who always do: the
    /// others are told offline when the grace is over, each once.
    #[track_caller]
    fn wait_for_deaths(&mut self, con: &mut Connection, began: i64) {
        let ready = now_ms();
        wait_for("all others are dead, and all is checked", SOON, || {
            let info = info(con);
            let online = cmd!(con, "SMEMBERS devices:online").texts();
            let wired = |id: &String| field(con, id, "timeout").as_deref() == Some("0");
            let mut others = online.iter().filter(|id| !id.starts_with("live"));
            info["hearing"] == "yes" && info["checking"] == "no" && others.all(wired)
        });
        // Nothing was left half done, so there was nothing to mend.
        assert_eq!(info_number(con, "mended"), 0);
        assert_sound(con);
        let told = events(con);
        let late = self.live.late_ms();
        for event in told.iter().filter(|event| event.kind() == "offline") {
            let of_live = event.device().starts_with("live");
            assert!(!of_live, "the beaters were up to {late} ms late: {event:?}");
            if event.get("reason") != "timeout" || event.int("timestamp") < began {
                continue;
            }
            let bounds = began + GRACE..=ready + GRACE + LATE;
            assert!(
                bounds.contains(&event.int("timestamp")),
                "{bounds:?}: {event:?}"
            );
            self.done.silent += usize::from(event.device().starts_with("silent"));
        }
    }

    fn summary(&self, kills: u64) -> String {
        let Done {
            answered,
            acknowledged,
            kept,
            lost,
            with_child,
            while_loading,
            in_the_grace,
            silent,
        } = self.done;
        format!(
            "{}: {kills} kills under load ({with_child} while a child wrote) and {} after it \
             ({while_loading} while loading, {in_the_grace} in the grace), {answered} commands \
             answered, {acknowledged} of them counted, {kept} to be kept, {lost} lost, \
             {silent} silent devices told offline once, {LIVE} living never",
            self.mode.name,
            while_loading + in_the_grace,
        )
    }
}

/// A moment that nobody has chosen: there is nothing to wait for but the time.
#[track_caller]
fn wait_until(later: Duration) {
    let moment = Instant::now() + later;
    wait_for("the moment", SOON, || Instant::now() >= moment);
}

#[track_caller]
fn persistence(con: &mut Connection, line: &str) -> bool {
    let info = cmd!(con, "INFO persistence").text();
    info.lines().any(|found| found == line)
}

#[track_caller]
fn child_is_running(con: &mut Connection) -> bool {
    persistence(con, "rdb_bgsave_in_progress:1") || persistence(con, "aof_rewrite_in_progress:1")
}

/// A snapshot that is whole; gives what `look` saw when it began.
#[track_caller]
fn save<T>(con: &mut Connection, look: impl Fn() -> T) -> T {
    let is_over = |con: &mut Connection| persistence(con, "rdb_bgsave_in_progress:0");
    wait_for("an earlier one is over", SOON, || is_over(con));
    let seen = look();
    cmd!(con, "BGSAVE").text();
    wait_for("the snapshot is there", SOON, || is_over(con));
    assert!(persistence(con, "rdb_last_bgsave_status:ok"));
    seen
}
