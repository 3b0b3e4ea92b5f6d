//! How the downlink asks the server: over one connection that is made when it is needed, and again
//! when it is broken.

use super::errand::Errands;
use super::look::{Lookout, Seen};
use super::pause::{Part, Pause};
use super::reader::is_no_group;
use super::Downlink;
use crate::redis_link::{Answers, Layout, Primary, Trouble};
use redis::{Cmd, Value};
use tokio::time::sleep;

impl Downlink {
    pub(super) async fn look(&mut self, errands: &Errands) -> Seen {
        let lookout = Lookout {
            profiles: &self.parts.profiles,
            lease: self.lease,
            refused: &self.refused,
        };
        let seen = lookout.look(&mut self.link, errands).await;
        self.judge(seen.trouble.as_ref());
        seen
    }

    pub(super) async fn acknowledge(&mut self, ids: &[String]) {
        for command in self.receipts.finish(ids) {
            let answer = self.insist(&command).await;
            self.receipts.heard(&answer);
        }
    }

    /// The answer to a command, which is sent again until there is one.
    pub(super) async fn insist(&mut self, command: &Cmd) -> Value {
        loop {
            match self.once(command).await {
                Ok(answer) => return answer,
                Err(pause) => self.pause(pause).await,
            }
        }
    }

    /// The answer of one primary. `None` where it is none any more.
    pub(super) async fn insist_at(&mut self, primary: &Primary, command: &Cmd) -> Option<Value> {
        loop {
            let asked = std::slice::from_ref(command);
            let answers = self.link.ask_at(primary, asked).await;
            match self.one(answers) {
                Ok(answer) => return Some(answer),
                Err(pause) => self.pause(pause).await,
            }
            if !self.primaries().await.contains(primary) {
                return None;
            }
        }
    }

    /// The server, or the primaries of the cluster.
    pub(super) async fn primaries(&mut self) -> Vec<Primary> {
        loop {
            match self.link.primaries().await {
                Ok(primaries) => return primaries,
                Err(trouble) => self.pause(Pause::broken(&trouble)).await,
            }
        }
    }

    /// Who has which devices, now.
    pub(super) async fn layout(&mut self) -> Layout {
        loop {
            match self.link.layout().await {
                Ok(layout) => return layout,
                Err(trouble) => self.pause(Pause::broken(&trouble)).await,
            }
        }
    }

    /// The answer to a command. A group that is gone is no obstacle: the reader finds that.
    pub(super) async fn once(&mut self, command: &Cmd) -> Result<Value, Pause> {
        let answers = self.link.ask(std::slice::from_ref(command)).await;
        self.one(answers)
    }

    fn one(&mut self, answers: Result<Answers, Trouble>) -> Result<Value, Pause> {
        let answer = match answers {
            Ok(mut answers) => match answers.pop() {
                Some(Ok(answer)) => Ok(answer),
                Some(Err(error)) if is_no_group(&error) => Ok(Value::Nil),
                Some(Err(error)) => Err(Pause::of(&error)),
                None => Ok(Value::Nil),
            },
            Err(trouble) => Err(Pause::broken(&trouble)),
        };
        self.judge(answer.as_ref().err());
        answer
    }

    fn judge(&mut self, trouble: Option<&Pause>) {
        if trouble.is_some_and(|pause| pause.reconnect) {
            self.link.give_up();
        }
        if trouble.is_none() {
            self.backoff.reset();
            self.condition.works(Part::Look);
        }
    }

    pub(super) async fn pause(&mut self, pause: Pause) {
        self.condition.fails(Part::Look, &pause);
        sleep(self.backoff.pause()).await;
    }
}
