//! Why there is no result, and who must act.

/// Who must act. The cases are those of the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The tenant has to change the settings.
    Config,
    /// The secret in this slot is refused.
    Auth {
        /// The slot.
        slot: String,
    },
    /// The secret in this slot is known but may not do this.
    Permission {
        /// The slot.
        slot: String,
        /// What the secret lacks, in the vendor's words where it gave any.
        scope: String,
    },
    /// Nobody: wait this many milliseconds, if the vendor said how long.
    RateLimited(Option<u64>),
    /// The operator: start the resource anew.
    Cursor,
    /// Nobody: try again later.
    Transient,
    /// The tenant: the thing no longer exists at MoEngage.
    Gone,
    /// The connector's author. With a sample of at most 1 KiB.
    VendorContract(Vec<u8>),
    /// The connector's author.
    Internal,
}

/// Largest sample of an answer or body that a failure carries.
pub(crate) const SAMPLE_BYTES: usize = 1024;

/// A typed failure: who must act, what happened, and a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Who must act.
    pub kind: FailureKind,
    /// Stable, `lower-kebab-case`.
    pub code: String,
    /// One sentence, without personal data.
    pub message: String,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, code: &str, message: impl Into<String>) -> Self {
        Self { kind, code: code.to_owned(), message: message.into() }
    }

    pub(crate) fn vendor_contract(sample: &[u8], code: &str, message: impl Into<String>) -> Self {
        let sample = sample.get(..SAMPLE_BYTES).unwrap_or(sample).to_vec();
        Self::new(FailureKind::VendorContract(sample), code, message)
    }
}
