# make            the module and the chat client, optimised, in build/
# make demo       a proxy with a room in it, and three people who talk
# make test       everything there is to test; first installs what it needs
# make bench      what a delivery costs, beside a minimal server, in one table (minutes)
# make lint       format, compiler and clippy warnings as errors, licences
# make install    the module into the proxy's module folder (MODULES=… names another)
# make abi-check  our C declarations against a proxy's source tree

CARGO ?= cargo
HOST ?= kamailio

.PHONY: all install abi-check deps demo test bench lint clean

all: cargo
	$(CARGO) build --release --locked
	@mkdir -p build
	cp target/release/libmsrp_conference.so build/msrp_conference.so
	cp target/release/msrp-chat build/msrp-chat

deps: cargo
	@.ci/deps

demo: deps
	@$(CARGO) build --locked --quiet --lib --bins
	@HOST=$(HOST) $(CARGO) run --locked --quiet --example demo

test: deps
	@.ci/all-tests

bench: cargo
	$(CARGO) bench --locked --quiet --bench room_load

lint: cargo
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked --quiet --test licences

clean:
	$(CARGO) clean
	rm -rf build

.PHONY: cargo
cargo:
	@command -v $(CARGO) >/dev/null || { echo "cargo is missing: install Rust 1.88 or later, see https://rustup.rs" >&2; exit 1; }
