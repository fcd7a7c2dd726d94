//! stub
/// Stub.
pub struct DocumentLimits {
    /// v
    pub value_bytes: usize,
    /// b
    pub batch_bytes: usize,
}
/// Stub.
pub fn document(_: &DocumentLimits) -> Vec<u8> {
    Vec::new()
}
