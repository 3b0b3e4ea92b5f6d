//! `DEVICE.SHADOW.UPDATE id document [NAME n]`

use devicestate_core::shadow::request;

use super::{next_name, Args, Command};
use crate::fleet::error::Error;
use crate::fleet::shadow::{self, Update};
use crate::fleet::{settings, Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// Takes a request document of the AWS IoT Device Shadow service, and answers the document that the
/// service publishes on `update/accepted`: only what the request carried, with its metadata, the new
/// version and the client token. A refusal carries the service's number behind its code (400, 404,
/// 409, 413), so that a bridge can publish it on `update/rejected`.
pub struct ShadowUpdate;

impl Command for ShadowUpdate {
    const SPEC: Spec = Spec {
        name: "device.shadow.update",
        summary: "Updates a device's shadow by an AWS IoT request document",
        complexity: "O(N) in the size of the merged documents",
        since: "0.1.0",
        arity: -3,
        flags: "write deny-oom",
        keys: Keys::First(KeyUse::Update),
        tips: "",
        args: &[
            ArgSpec::new("id", ArgKind::Key),
            ArgSpec::new("document", ArgKind::Text),
            ArgSpec::option("NAME", "name", ArgKind::Text),
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, args: Args<'_>) -> Result<()> {
        let accepted = update(ctx, fleet, args).map_err(Error::numbered)?;
        ctx.reply_bytes(accepted.as_bytes());
        Ok(())
    }
}

fn update(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<String> {
    let id = args.next_id()?;
    let document = args.next_document("document")?;
    let name = next_name(&mut args)?;
    args.finish()?;

    let now = ctx.now_ms();
    let request = request::parse(document, settings::max_document_depth())
        .map_err(|refusal| Error::bad_request(&refusal))?;
    let update = Update::from_request(&request);
    let outcome = shadow::change(ctx, fleet, id, name, update, now)?;
    Ok(request.accepted(outcome.version, now))
}
