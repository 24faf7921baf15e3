//! Why it does not work: a preflight of a host, its connectivity and its overlay.
