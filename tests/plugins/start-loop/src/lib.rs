//! Never gets through its own start: a constructor, which runs before any export.

struct Calm;
impl kit::Connector for Calm {}
kit::guest!(Calm);

#[unsafe(no_mangle)]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = {
    extern "C" fn endless() {
        loop {
            std::hint::black_box(0);
        }
    }
    endless
};
