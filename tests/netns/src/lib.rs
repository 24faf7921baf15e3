//! Harness of the netns tier.
