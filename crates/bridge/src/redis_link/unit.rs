//! Commands that belong together, on their way to a server: one, or several as a transaction.

use super::Answers;
use devicestate_core::slot::Slot;
use redis::{Arg, Cmd, Pipeline, RedisResult, Value};

/// None, one, or a transaction of several.
#[derive(Debug, Clone, Copy)]
pub struct Unit<'c> {
    commands: &'c [Cmd],
}

impl<'c> Unit<'c> {
    pub fn of(commands: &'c [Cmd]) -> Unit<'c> {
        Unit { commands }
    }

    pub fn is_empty(self) -> bool {
        self.commands.is_empty()
    }

    fn is_transaction(self) -> bool {
        self.commands.len() > 1
    }

    /// The slot of its key. Everything of a work is of one device, so the first command's stands for all.
    pub fn slot(self) -> Option<Slot> {
        self.commands.first().and_then(key).map(Slot::of)
    }

    pub fn add_to(self, pipeline: &mut Pipeline) {
        if self.is_transaction() {
            pipeline.cmd("MULTI");
        }
        for command in self.commands {
            pipeline.add_command(command.clone());
        }
        if self.is_transaction() {
            pipeline.cmd("EXEC");
        }
    }

    /// Takes what belongs to it: one answer for each command, or one error for all of a transaction.
    pub fn take(self, answers: &mut impl Iterator<Item = RedisResult<Value>>) -> Answers {
        if !self.is_transaction() {
            return answers.take(self.commands.len()).collect();
        }
        // MULTI and the commands are answered, and then EXEC, which has the answers that count. Where one
        // of them was not taken, its own error says more than EXEC's.
        let queued: Answers = answers.take(self.commands.len() + 1).collect();
        let ran = answers.next();
        match queued.into_iter().find(RedisResult::is_err).or(ran) {
            Some(Ok(Value::Array(answers))) => answers
                .into_iter()
                .map(|answer| match answer {
                    Value::ServerError(error) => Err(error.into()),
                    answer => Ok(answer),
                })
                .collect(),
            Some(other) => vec![other],
            None => Vec::new(),
        }
    }
}

/// The key that says where a command belongs: what follows its name, in most of what the bridge sends.
fn key(command: &Cmd) -> Option<&[u8]> {
    let mut words = command.args_iter().map(|word| match word {
        Arg::Simple(bytes) => bytes,
        _ => &[],
    });
    match words.next() {
        Some(b"EVAL") => words.nth(2),
        Some(b"XINFO") => words.nth(1),
        _ => words.next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> Cmd {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command
    }

    #[test]
    fn the_key_decides_where_it_goes() {
        let slot = |words: &[&str]| Unit::of(&[command(words)]).slot();
        let foo = Some(Slot::of(b"foo"));
        assert_eq!(slot(&["DEVICE.GET", "foo", "status"]), foo);
        assert_eq!(slot(&["EVAL", "return 1", "1", "foo", "bar"]), foo);
        assert_eq!(slot(&["XINFO", "STREAM", "foo"]), foo);
        assert_eq!(slot(&["PING"]), None);
        assert_eq!(Unit::of(&[]).slot(), None);
    }

    #[test]
    fn a_transaction_has_its_answers_or_one_error() {
        let commands = [
            command(&["DEVICE.GET", "a"]),
            command(&["DEVICE.GET", "a", "delta"]),
        ];
        let queued = || Ok(Value::SimpleString("QUEUED".into()));
        let unit = Unit::of(&commands);
        let ran = Ok(Value::Array(vec![Value::Int(1), Value::Int(2)]));
        let mut answers = [Ok(Value::Okay), queued(), queued(), ran, Ok(Value::Int(9))].into_iter();
        assert_eq!(
            unit.take(&mut answers),
            [Ok(Value::Int(1)), Ok(Value::Int(2))]
        );
        assert_eq!(answers.next(), Some(Ok(Value::Int(9))));
        let asked = || redis::make_extension_error("ASK".into(), Some("1 h:1".into()));
        let aborted = redis::make_extension_error("EXECABORT".into(), None);
        let answers = [Ok(Value::Okay), Err(asked()), Err(asked()), Err(aborted)];
        assert_eq!(unit.take(&mut answers.into_iter()), [Err(asked())]);
    }
}
