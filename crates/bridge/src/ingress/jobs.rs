//! What waits for one worker.
//!
//! A device has at most one command on its way: the next one leaves only when the one before is
//! settled. Otherwise a command that the server put off (`LOADING`, `BUSY`, a full memory) could be
//! overtaken by a later one of the same device in the same pipeline, and the device's older report
//! would win, or be ignored for its `SEQ` and be lost.

use super::window::Ticket;
use crate::mqtt::Message;
use crate::work::Work;
use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// How far past the front a batch is looked for, in batches: it bounds the work of one look when a
/// single device has thousands of messages waiting.
const LOOK_AHEAD: usize = 4;

/// What is to be done, and for which message.
#[derive(Debug)]
pub struct Job {
    /// Whose message it is, for metrics.
    pub profile: &'static str,
    pub work: Work,
    pub message: Message,
    /// What to settle in the window; QoS 0 messages have none.
    pub ticket: Option<Ticket>,
    /// Bytes held in memory when it came, about.
    pub size: usize,
    /// Stands for the device. Two devices that share one merely wait for each other.
    device: u64,
}

impl Job {
    pub fn new(profile: &'static str, work: Work, message: Message, ticket: Option<Ticket>) -> Job {
        let mut hasher = DefaultHasher::new();
        work.device.hash(&mut hasher);
        Job {
            profile,
            device: hasher.finish(),
            size: size_of::<Job>() + work.size() + message.size(),
            work,
            message,
            ticket,
        }
    }

    /// The same message, and what is to be done now.
    pub fn with(self, work: Work) -> Job {
        Job { work, ..self }
    }

    /// Which of `workers` does all jobs of this device.
    pub fn worker(&self, workers: usize) -> usize {
        (self.device % workers.max(1) as u64) as usize
    }
}

#[derive(Debug, Default)]
pub struct Queue {
    jobs: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// QoS 1 jobs of these epochs need not be done: their messages are sent again.
    sent_again: Range<u64>,
}

impl Queue {
    pub fn push(&self, job: Job) {
        self.lock().jobs.push_back(job);
        self.arrived.notify_one();
    }

    /// Up to `most` jobs of as many devices, oldest first. Waits until there is one. Nothing is
    /// lost when the wait is given up.
    pub async fn batch(&self, most: usize) -> Vec<Job> {
        loop {
            let batch = self.lock().take(most);
            if !batch.is_empty() {
                return batch;
            }
            self.arrived.notified().await;
        }
    }

    /// Gives back jobs that were taken and not done, in the order they were taken. They come first
    /// again. Returns those that need not be done any more.
    pub fn put_back(&self, jobs: Vec<Job>) -> Vec<Job> {
        let mut waiting = self.lock();
        let mut stale = Vec::new();
        for job in jobs.into_iter().rev() {
            if waiting.is_stale(&job) {
                stale.push(job);
            } else {
                waiting.jobs.push_front(job);
            }
        }
        stale
    }

    /// Takes out the QoS 1 jobs of these epochs, and no longer those of the epochs named before.
    pub fn forget(&self, epochs: Range<u64>) -> Vec<Job> {
        let mut waiting = self.lock();
        waiting.sent_again = epochs;
        let mut stale = Vec::new();
        for job in std::mem::take(&mut waiting.jobs) {
            if waiting.is_stale(&job) {
                stale.push(job);
            } else {
                waiting.jobs.push_back(job);
            }
        }
        stale
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_stale(&self, job: &Job) -> bool {
        job.ticket
            .is_some_and(|ticket| self.sent_again.contains(&ticket.epoch))
    }

    fn take(&mut self, most: usize) -> Vec<Job> {
        let looked_at = self.jobs.len().min(most.saturating_mul(LOOK_AHEAD));
        let mut batch = Vec::with_capacity(looked_at.min(most));
        let mut devices = HashSet::with_capacity(looked_at.min(most));
        let mut left = Vec::new();
        for _ in 0..looked_at {
            if batch.len() == most {
                break;
            }
            let Some(job) = self.jobs.pop_front() else {
                break;
            };
            if devices.insert(job.device) {
                batch.push(job);
            } else {
                left.push(job);
            }
        }
        for job in left.into_iter().rev() {
            self.jobs.push_front(job);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::super::window::Window;
    use super::*;

    /// The number stands in the topic of its message.
    fn job(device: &str, number: u64, ticket: Option<Ticket>) -> Job {
        let message = Message {
            topic: number.to_string().into_bytes().into(),
            ..Message::default()
        };
        Job::new(
            "native",
            Work::one(device.into(), redis::cmd("PING")),
            message,
            ticket,
        )
    }

    fn names(jobs: &[Job]) -> Vec<String> {
        let number = |job: &Job| String::from_utf8_lossy(&job.message.topic).into_owned();
        let name = |job: &Job| format!("{}{}", job.work.device, number(job));
        jobs.iter().map(name).collect()
    }

    fn take(queue: &Queue, most: usize) -> Vec<Job> {
        queue.lock().take(most)
    }

    #[test]
    fn a_batch_holds_one_job_of_a_device() {
        let queue = Queue::default();
        for (device, seq) in [("a", 1), ("a", 2), ("b", 1), ("a", 3), ("c", 1), ("b", 2)] {
            queue.push(job(device, seq, None));
        }
        assert_eq!(names(&take(&queue, 2)), ["a1", "b1"]);
        assert_eq!(names(&take(&queue, 9)), ["a2", "c1", "b2"]);
        assert_eq!(names(&take(&queue, 9)), ["a3"]);
        assert_eq!(names(&take(&queue, 9)), Vec::<String>::new());
    }

    #[test]
    fn what_is_put_back_comes_first_again() {
        let queue = Queue::default();
        for (device, seq) in [("a", 1), ("b", 1), ("a", 2), ("c", 1)] {
            queue.push(job(device, seq, None));
        }
        let mut batch = take(&queue, 2);
        assert_eq!(names(&batch), ["a1", "b1"]);
        batch.pop();
        assert!(queue.put_back(batch).is_empty());
        assert_eq!(names(&take(&queue, 9)), ["a1", "c1"]);
        assert_eq!(names(&take(&queue, 9)), ["a2"]);
    }

    #[test]
    fn jobs_the_broker_sends_again_are_forgotten() {
        let queue = Queue::default();
        let mut window = Window::default();
        let old = window.admit(1);
        queue.push(job("a", 1, Some(old)));
        queue.push(job("b", 1, Some(old)));
        queue.push(job("c", 1, None));
        let on_its_way = take(&queue, 1);
        window.start_epoch();
        queue.push(job("a", 2, Some(window.admit(1))));
        assert_eq!(names(&queue.forget(0..window.epoch())), ["b1"]);
        assert_eq!(names(&queue.put_back(on_its_way)), ["a1"]);
        assert_eq!(names(&take(&queue, 9)), ["c1", "a2"]);
    }

    #[test]
    fn jobs_of_a_session_that_the_broker_lost_are_kept() {
        let queue = Queue::default();
        let mut window = Window::default();
        for device in ["a", "b"] {
            queue.push(job(device, 1, Some(window.admit(1))));
        }
        let on_its_way = take(&queue, 1);
        // A new session, which is resumed later.
        window.start_epoch();
        let began = window.epoch();
        assert!(queue.forget(began..began).is_empty());
        queue.push(job("c", 1, Some(window.admit(1))));
        window.start_epoch();
        assert_eq!(names(&queue.forget(began..window.epoch())), ["c1"]);
        assert!(queue.put_back(on_its_way).is_empty());
        assert_eq!(names(&take(&queue, 9)), ["a1", "b1"]);
    }

    #[test]
    fn one_busy_device_does_not_make_a_look_expensive() {
        let queue = Queue::default();
        for seq in 0..10_000 {
            queue.push(job("a", seq, None));
        }
        queue.push(job("b", 0, None));
        assert_eq!(names(&take(&queue, 2)), ["a0"]);
        assert_eq!(names(&take(&queue, 2)), ["a1"]);
    }
}
