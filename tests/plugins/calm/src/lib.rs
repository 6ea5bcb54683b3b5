//! Does what the contract says, so that the tests of the others mean something.

struct Calm;
impl kit::Connector for Calm {}
kit::guest!(Calm);
