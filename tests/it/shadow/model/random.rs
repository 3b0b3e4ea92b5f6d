//! Random numbers and documents.

use serde_json::{json, Value};

use super::plain::Object;

/// Random numbers that are the same in every run.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: u64) -> u64 {
        // Knuth's MMIX generator; its high bits are good enough here.
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % end
    }

    /// A small alphabet, so that the same members are written again and again.
    pub fn object(&mut self, depth: u64) -> Object {
        let mut object = Object::new();
        for _ in 0..self.below(4) {
            let key = ["a", "b", "c", "d"][self.below(4) as usize];
            object.insert(key.to_owned(), self.value(depth));
        }
        object
    }

    pub fn value(&mut self, depth: u64) -> Value {
        match self.below(12) {
            0 | 1 => Value::Null,
            2 => json!(self.below(3)),
            3 => json!(self.below(3) as f64),
            4 => json!(self.below(2) == 0),
            5 => json!(["x", "y"][self.below(2) as usize]),
            6 => {
                let all = [
                    json!([]),
                    json!([1]),
                    json!([1.0]),
                    json!([1, {"a": 1}]),
                    json!([[]]),
                ];
                all[self.below(5) as usize].clone()
            }
            _ if depth > 1 => Value::Object(self.object(depth - 1)),
            _ => json!(self.below(3)),
        }
    }
}
