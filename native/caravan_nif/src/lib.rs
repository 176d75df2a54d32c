//! Caravan's native library.
