//! What is published: when the server has answered, and when something is outstanding.

use super::document::{self, Deleted, ShadowDocument};
use super::rejection::Rejection;
use super::topic::{Operation, Shadow};
use crate::mqtt::outbox::Publication;
use crate::redis_link::Answers;
use redis::Value;

/// What a device has asked for, as far as the answer needs to know.
#[derive(Debug)]
pub struct Request {
    pub shadow: Shadow,
    pub operation: Operation,
    pub client_token: Option<String>,
    /// How many commands stand before the one that does what was asked for.
    pub before: usize,
}

impl Request {
    /// The messages that say what has become of the request; `now` is in milliseconds.
    pub fn answer(&self, answers: &Answers, now: u64) -> Vec<Publication> {
        match self.accepted(answers) {
            Ok(accepted) => accepted,
            Err(rejection) => self.rejected(&rejection, now).into_iter().collect(),
        }
    }

    pub fn rejected(&self, rejection: &Rejection, now: u64) -> Option<Publication> {
        let payload = document::rejected(rejection, self.token(), now).ok()?;
        self.publication("rejected", payload)
    }

    fn accepted(&self, answers: &Answers) -> Result<Vec<Publication>, Rejection> {
        // A transaction that did not run has one error for all.
        let answer = answers.get(self.before).or(answers.first());
        let answer = match answer {
            Some(Ok(Value::Nil)) => return Err(Rejection::no_shadow(&self.shadow)),
            Some(Ok(answer)) => text(answer).ok_or_else(Rejection::internal)?,
            Some(Err(error)) => return Err(Rejection::of(error, &self.shadow)),
            None => return Err(Rejection::internal()),
        };
        let payload = match self.operation {
            Operation::Delete => Deleted::read(answer).and_then(|it| it.accepted(self.token())),
            Operation::Update | Operation::Get => {
                ShadowDocument::read(answer).and_then(|it| it.accepted(self.token()))
            }
        };
        let payload = payload.map_err(|_| Rejection::internal())?;
        let accepted = self.publication("accepted", payload);
        Ok(accepted
            .into_iter()
            .chain(self.documents(answers))
            .collect())
    }

    /// Before and after the update, where both were asked for.
    fn documents(&self, answers: &Answers) -> Option<Publication> {
        let previous = answers.get(self.before.checked_sub(1)?)?.as_ref().ok()?;
        let current = answers.get(self.before + 1)?.as_ref().ok()?;
        let read = |answer| ShadowDocument::read(text(answer)?).ok();
        let (previous, current) = (read(previous), read(current)?);
        let payload = document::documents(previous.as_ref(), &current, self.token()).ok()?;
        self.publication("documents", payload)
    }

    fn token(&self) -> Option<&str> {
        self.client_token.as_deref()
    }

    fn publication(&self, last: &str, payload: Vec<u8>) -> Option<Publication> {
        Some(Publication {
            topic: self.shadow.topic(self.operation, last)?,
            payload,
            ..Publication::default()
        })
    }
}

/// What says that something is outstanding, from what `DEVICE.SHADOW.GET` answers. `None` in sync.
pub fn delta(shadow: &Shadow, document: &str) -> Option<Publication> {
    let document = ShadowDocument::read(document.as_bytes()).ok()?;
    Some(Publication {
        topic: shadow.topic(Operation::Update, "delta")?,
        payload: document::delta(&document).ok()??,
        ..Publication::default()
    })
}

fn text(answer: &Value) -> Option<&[u8]> {
    match answer {
        Value::BulkString(text) => Some(text),
        _ => None,
    }
}
