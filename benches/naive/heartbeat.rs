//! The module that comes to mind first: a heartbeat that does with `RM_Call` what the plain recipe
//! does with commands. A peer of the benches, nothing to run: it detects no death, checks no types,
//! and writes the heartbeat key and the sets on every beat.
//!
//! `cargo build --release --example naive_heartbeat`

// What the macro makes of this may crash the server on bytes that no bench sends.
#![allow(clippy::disallowed_methods)]

use redis_module::{
    redis_module, CallOptions, CallOptionsBuilder, CallResult, Context, NextArg, RedisError,
    RedisResult, RedisString, RedisValue,
};

thread_local! {
    /// As all that writes: for the replicas and the append-only file too.
    static REPLICATED: CallOptions = CallOptionsBuilder::new().replicate().build();
}

/// Runs one command of the server.
fn call(ctx: &Context, name: &str, args: &[&[u8]]) -> RedisResult {
    let reply: CallResult = REPLICATED.with(|options| ctx.call_ext(name, options, args));
    Ok(RedisValue::from(&reply.map_err(RedisError::from)?))
}

/// `NAIVE.HEARTBEAT id timeout-seconds`, answered as `DEVICE.HEARTBEAT` is.
fn heartbeat(ctx: &Context, args: Vec<RedisString>) -> RedisResult {
    let mut args = args.into_iter().skip(1);
    let id = args.next_arg()?;
    let timeout = args.next_arg()?;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis())
        .to_string();
    args.done()?;

    let state = [b"device:state:", id.as_slice()].concat();
    let known = [&state[..], b"version", b"status"];
    let RedisValue::Array(known) = call(ctx, "HMGET", &known)? else {
        return Ok(RedisValue::Null);
    };
    let text = |at: usize| match known.get(at) {
        Some(RedisValue::SimpleString(text)) => text.as_str(),
        _ => "",
    };
    let version: i64 = text(0).parse().unwrap_or(0);
    let came_online = text(1) != "online";

    let seen = [
        &state[..],
        b"last_seen",
        now.as_bytes(),
        b"status",
        b"online",
    ];
    call(ctx, "HSET", &seen)?;
    let key = [b"device:heartbeat:", id.as_slice()].concat();
    call(ctx, "SETEX", &[&key, timeout.as_slice(), b"1"])?;
    call(ctx, "SADD", &[b"devices:online", id.as_slice()])?;
    if came_online {
        let message = format!(r#"{{"type":"presence","device_id":"{id}","status":"online"}}"#);
        call(ctx, "PUBLISH", &[b"devices:presence", message.as_bytes()])?;
    }
    Ok(RedisValue::Array(vec![
        RedisValue::Integer(came_online.into()),
        RedisValue::Integer(1),
        RedisValue::Integer(version),
        RedisValue::Null,
        RedisValue::Integer(0),
    ]))
}

redis_module! {
    name: "naive",
    version: 1,
    allocator: (redis_module::alloc::RedisAlloc, redis_module::alloc::RedisAlloc),
    data_types: [],
    commands: [
        ["naive.heartbeat", heartbeat, "write deny-oom fast", 0, 0, 0, ""],
    ],
}
