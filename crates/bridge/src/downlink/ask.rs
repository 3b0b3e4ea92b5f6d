//! How the downlink asks the server: over one connection that is made when it is needed, and again
//! when it is broken.

use super::errand::Errands;
use super::look::{Lookout, Seen};
use super::pause::{Part, Pause};
use super::reader::is_no_group;
use super::Downlink;
use crate::redis_link::Link;
use redis::{Cmd, Value};
use tokio::time::sleep;

impl Downlink {
    pub(super) async fn look(&mut self, errands: &Errands) -> Result<Seen, Pause> {
        let mut link = self.connect().await?;
        let lookout = Lookout {
            profiles: &self.parts.profiles,
            lease: self.lease,
            refused: &self.refused,
        };
        let seen = lookout.look(&mut link, errands).await;
        self.keep(link, seen.as_ref().err());
        seen
    }

    pub(super) async fn acknowledge(&mut self, ids: &[String]) {
        for ids in ids.chunks(1000) {
            let command = self.membership.acknowledge(ids);
            self.insist(&command).await;
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

    /// The answer to a command. A group that is gone is no obstacle: the reader finds that.
    pub(super) async fn once(&mut self, command: &Cmd) -> Result<Value, Pause> {
        let mut link = self.connect().await?;
        let answer = link.ask(std::slice::from_ref(command)).await;
        let answer = match answer {
            Ok(mut answers) => match answers.pop() {
                Some(Ok(answer)) => Ok(answer),
                Some(Err(error)) if is_no_group(&error) => Ok(Value::Nil),
                Some(Err(error)) => Err(Pause::of(&error)),
                None => Ok(Value::Nil),
            },
            Err(error) => Err(Pause::broken(&error)),
        };
        self.keep(link, answer.as_ref().err());
        answer
    }

    async fn connect(&mut self) -> Result<Link, Pause> {
        if let Some(link) = self.link.take() {
            return Ok(link);
        }
        let opened = Link::open(&self.parts.look, self.previous.as_ref()).await;
        let link = opened.map_err(|error| Pause::broken(&error))?;
        self.previous.clone_from(&link.identity);
        Ok(link)
    }

    fn keep(&mut self, link: Link, trouble: Option<&Pause>) {
        match trouble {
            Some(pause) if pause.reconnect => {}
            _ => self.link = Some(link),
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
