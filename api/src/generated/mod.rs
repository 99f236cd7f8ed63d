//! Code made from `proto/` by `tests/generated.rs`; not edited by hand.
#![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]

pub mod cilium {
    include!("cilium.rs");
}
pub mod envoy {
    pub mod config {
        pub mod core {
            pub mod v3 {
                include!("envoy.config.core.v3.rs");
            }
        }
    }
    pub mod service {
        pub mod discovery {
            pub mod v3 {
                include!("envoy.service.discovery.v3.rs");
            }
        }
    }
}
pub mod google {
    pub mod rpc {
        include!("google.rpc.rs");
    }
}
pub mod remora {
    pub mod v1 {
        include!("remora.v1.rs");
    }
}
#[rustfmt::skip]
pub(crate) mod fields;
