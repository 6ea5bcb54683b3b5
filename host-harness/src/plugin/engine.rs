//! The one engine of a host, and the clock that interrupts guests.

use std::time::Duration;

use wasmtime::{Config, Engine};

use super::limits::Limits;

/// How often a guest looks whether its time is up: at the head of each loop and function, once so
/// much time has passed.
const TICK: Duration = Duration::from_millis(10);

/// An engine with everything switched off that a connector doesn't need.
pub fn new(limits: &Limits, fuel: bool) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        // Interruption by time. Costs a third on parsing code; fuel would cost half.
        .epoch_interruption(true)
        .consume_fuel(fuel)
        .max_wasm_stack(limits.stack)
        // Deterministic: the same input gives the same bytes on every machine.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .relaxed_simd_deterministic(true)
        // Asynchronous components cost 3.5 times as much per call. The cargo feature is off too.
        .concurrency_support(false)
        // Proposals that no connector needs. `gc` and `threads` stay compiled in as cargo
        // features: two advisories abort builds of 48.0.8 that lack them.
        .wasm_gc(false)
        .wasm_function_references(false)
        .wasm_threads(false)
        .wasm_memory64(false)
        .wasm_exceptions(false)
        .wasm_stack_switching(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false);
    let engine = Engine::new(&config)?;
    tick(&engine)?;
    Ok(engine)
}

/// Advances the epoch for as long as the engine lives.
fn tick(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new().name("epoch".into()).spawn(move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    })?;
    Ok(())
}
