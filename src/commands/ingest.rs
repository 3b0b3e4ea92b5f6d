//! `DEVICE.INGEST id payload [BASE64] [SESSION n [SEQ n]]`

use devicestate_core::message::{self, Beat};

use super::{check_fence, reply_beat, Args, Command, FENCE_ARGS};
use crate::fleet::shadow::Fence;
use crate::fleet::{ingest, settings, Error, Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// A heartbeat whose content is a protobuf `devicestate.v1.DeviceMessage`: what it reports, its
/// timeout, its session and the results of commands. Replies as `DEVICE.HEARTBEAT`. SESSION takes the
/// place of the session in the message, and its number with it.
pub struct Ingest;

impl Command for Ingest {
    const SPEC: Spec = Spec {
        name: "device.ingest",
        summary: "Proves that a device is alive by a protobuf message, and stores what it says",
        complexity: "O(N) in the size of the message and of the merged document",
        since: "0.1.0",
        arity: -3,
        flags: "write",
        keys: Keys::First(KeyUse::Update),
        tips: "",
        args: &[
            ArgSpec::new("id", ArgKind::Key),
            ArgSpec::new("payload", ArgKind::Text),
            ArgSpec::flag("BASE64", "base64"),
            FENCE_ARGS,
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let (id, id_key) = args.next_id_and_key()?;
        let payload = args.next_document("payload")?;
        let (mut is_base64, mut fence) = (false, Fence::default());
        let mut seen = Vec::new();
        while let Some(keyword) = args.next_keyword(&["BASE64", "SESSION", "SEQ"], &mut seen)? {
            match keyword {
                "BASE64" => is_base64 = true,
                "SESSION" => fence.session = Some(args.next_number("SESSION")?),
                _ => fence.seq = Some(args.next_number("SEQ")?),
            }
        }
        check_fence(fence)?;
        args.finish()?;
        let mut beat = match is_base64 {
            true => message::from_base64(payload).and_then(|bytes| decode(&bytes)),
            false => decode(payload),
        }
        .map_err(Error::bad_payload)?;
        if fence.session.is_some() {
            (beat.session, beat.seq) = (fence.session, fence.seq);
        }

        let outcome = ingest::ingest(ctx, fleet, id, id_key, beat, ctx.now_ms())?;
        reply_beat(ctx, &outcome);
        Ok(())
    }
}

fn decode(bytes: &[u8]) -> std::result::Result<Beat, message::BadPayload> {
    message::decode(bytes, settings::max_document_depth())
}
