//! A counter for each way in which devices speak.

use super::{register, Label};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Of messages whose topic is of no profile.
pub const NONE: &str = "none";

/// All of them are there from the start, so that an increase is seen from zero, and so that counting
/// takes no lock.
pub struct PerProfile(Vec<(&'static str, Counter)>);

impl PerProfile {
    pub fn register(
        registry: &mut Registry,
        name: &str,
        help: &str,
        profiles: &[&'static str],
    ) -> PerProfile {
        let family = register(registry, name, help, Family::<Label, Counter>::default());
        let names = profiles.iter().copied().chain([NONE]);
        let counter = |profile| (profile, family.get_or_create_owned(&[("profile", profile)]));
        PerProfile(names.map(counter).collect())
    }

    pub fn add(&self, profile: &str, n: u64) {
        if let Some((_, counter)) = self.0.iter().find(|(name, _)| *name == profile) {
            counter.inc_by(n);
        }
    }

    /// Of all profiles together.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, counter)| counter.get()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_of_all_profiles() {
        let mut registry = Registry::default();
        let counted = PerProfile::register(&mut registry, "x", "y", &["a", "b"]);
        counted.add("a", 1);
        counted.add("b", 2);
        counted.add(NONE, 4);
        counted.add("unheard of", 8);
        assert_eq!(counted.total(), 7);
    }
}
