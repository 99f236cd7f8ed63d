//! Tests over several crates, with real servers; see `tests/`. The program
//! `remora-test-app` runs in the pods of the suite on a real Kubernetes.
