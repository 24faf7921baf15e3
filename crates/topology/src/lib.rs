//! What hangs on what: links and their parents across every namespace of a machine, and whose they are.
