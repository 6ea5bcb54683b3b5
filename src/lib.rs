//! MoEngage, as a Tajo connector.
