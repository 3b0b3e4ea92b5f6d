//! `THROTTLE.HIT key limit period [limit period ...] [COST n] [GCRA]`

use devicestate_core::throttle::{gcra::is_too_fast, Limit, MAX_LIMITS};

use super::args::given_twice;
use super::{Args, Command};
use crate::fleet::error::Error;
use crate::fleet::{settings, Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;
use crate::throttle;

/// Asks whether a caller may go on, and charges it if so: at most `limit` hits per `period`. Replies
/// `[limited, limit, remaining, retry_ms, reset_ms]`; `retry_ms` is -1 when the hit was let through,
/// or when its cost can never fit.
///
/// By default a fixed window: the first hit opens it, the key holds the plain count. GCRA spreads the
/// hits evenly and takes several limits, all charged or none. COST 0 looks without writing, a
/// negative one gives back.
pub struct ThrottleHit;

/// The longest period, in milliseconds: ten years, as that of a timeout.
const MAX_PERIOD_MS: u64 = settings::MAX_TIMEOUT_MS;

const KEYWORDS: [&str; 2] = ["COST", "GCRA"];

impl Command for ThrottleHit {
    const SPEC: Spec = Spec {
        name: "throttle.hit",
        summary: "Asks whether a caller may go on, and charges it if so",
        complexity: "O(N) in the number of limits",
        since: "0.1.0",
        arity: -4,
        // No deny-oom: a throttle must not become an outage.
        flags: "write fast",
        keys: Keys::First(KeyUse::Update),
        tips: "",
        args: &[
            ArgSpec::new("key", ArgKind::Key),
            ArgSpec::new(
                "limit",
                ArgKind::Block(&[
                    ArgSpec::new("limit", ArgKind::Integer),
                    ArgSpec::new("period", ArgKind::Integer),
                ]),
            )
            .multiple(),
            ArgSpec::option("COST", "cost", ArgKind::Integer),
            ArgSpec::flag("GCRA", "gcra"),
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let key = args.next_key("key")?;
        let mut limits = [next_limit(&mut args)?; MAX_LIMITS];
        let mut count = 1;
        while args.left() > 0 && !args.is_at_keyword(&KEYWORDS) {
            let next = next_limit(&mut args)?;
            let too_many = || Error::usage(format_args!("more than {MAX_LIMITS} limits"));
            *limits.get_mut(count).ok_or_else(too_many)? = next;
            count += 1;
        }
        let limits = &limits[..count];
        let (mut cost, mut is_gcra) = (None, false);
        while let Some(keyword) = args.next_option(&KEYWORDS)? {
            let was_given = match keyword {
                "COST" => cost.replace(args.next_signed("COST")?).is_some(),
                _ => std::mem::replace(&mut is_gcra, true),
            };
            if was_given {
                return Err(given_twice(keyword));
            }
        }
        let cost = cost.unwrap_or(1);
        args.finish()?;
        if is_gcra && limits.iter().any(is_too_fast) {
            return Err(Error::usage(
                "limit: more than one hit per nanosecond is no limit",
            ));
        }
        if !is_gcra && limits.len() > 1 {
            return Err(Error::usage("several limits go with GCRA"));
        }

        let now = ctx.now_ms();
        let answer = match is_gcra {
            true => throttle::hit_gcra(ctx, key, limits, cost, now)?,
            false => throttle::hit_window(ctx, key, limits[0], cost, now)?,
        };
        fleet.stats.hits.add(1);
        fleet.stats.limited.add(u64::from(answer.limited));
        ctx.reply_array(5);
        ctx.reply_int(u64::from(answer.limited));
        ctx.reply_int(answer.limit);
        ctx.reply_int(answer.remaining);
        match answer.retry_ms {
            Some(retry_ms) => ctx.reply_int(retry_ms),
            None => ctx.reply_minus_one(),
        }
        ctx.reply_int(answer.reset_ms);
        Ok(())
    }
}

fn next_limit(args: &mut Args<'_>) -> Result<Limit> {
    let limit = args.next_bounded("limit", 1, MAX_LIMIT)?;
    let period_ms = args.next_ms("period")?;
    if !(1..=MAX_PERIOD_MS).contains(&period_ms) {
        return Err(Error::usage(format_args!(
            "period: {period_ms} ms is not from 1 ms to 10 years"
        )));
    }
    Ok(Limit { limit, period_ms })
}

/// What a counter can hold.
const MAX_LIMIT: u64 = i64::MAX as u64;
