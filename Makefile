# make            the module, the switch for outside the proxy and the chat client,
#                 optimised, in build/
# make demo       a proxy with a room in it, and three people who talk
# make test       everything there is to test; first installs what it needs
# make bench      what a delivery costs, beside a minimal server, and how long a restart takes
# make lint       format, compiler and clippy warnings as errors, licences
# make install    what make has built into the proxy's module folder (MODULES=… names another)
# make deb        a Debian package of all of it, in build/
# make dist       a source archive that builds without a network, in build/
# make man        the manual pages and shell completions of msrp-chat, in build/
# make abi-check  our C declarations against a proxy's source tree

CARGO ?= cargo
HOST ?= kamailio

.PHONY: all install deb dist man abi-check deps demo test bench lint clean

all: cargo
	@.ci/deps build
	$(CARGO) build --release --locked
	@# A new file in the place of the old one: a running proxy has that mapped.
	install -D -m 644 target/release/libmsrp_conference.so build/msrp_conference.so
	install -m 755 target/release/msrp-switchd target/release/msrp-chat build

deps: cargo
	@.ci/deps

demo: deps
	@$(CARGO) build --locked --quiet --lib --bins
	@HOST=$(HOST) $(CARGO) run --locked --quiet --example demo

test: deps
	@.ci/all-tests

bench: cargo
	$(CARGO) bench --locked --quiet --bench room_load --bench restart

lint: cargo
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked --quiet --test licences

# Debian's multiarch folder, else the hosts' own default.
MODULES ?= $(firstword $(wildcard /usr/lib/x86_64-linux-gnu/$(HOST)/modules /usr/lib64/$(HOST)/modules /usr/local/lib64/$(HOST)/modules))

# Not built here: whoever may write there need not have cargo.
install:
	@test -f build/msrp_conference.so || { echo "build/msrp_conference.so is not there yet: make" >&2; exit 1; }
	@test -n "$(MODULES)" || { echo "no module folder of $(HOST) found: make install MODULES=FOLDER" >&2; exit 1; }
	install -d "$(DESTDIR)$(MODULES)"
	install -m 644 build/msrp_conference.so "$(DESTDIR)$(MODULES)/msrp_conference.so"

man: all
	@mkdir -p build/man build/completions
	build/msrp-chat man > build/man/msrp-chat.1
	for tool in check load completions; do build/msrp-chat man $$tool > build/man/msrp-chat-$$tool.1; done
	for shell in bash zsh fish; do build/msrp-chat completions $$shell > build/completions/msrp-chat.$$shell; done

deb: all
	@packaging/deb build build

dist: cargo
	@packaging/dist build

abi-check:
	@test -n "$(OPENSIPS_SRC)$(KAMAILIO_SRC)" || { echo "make abi-check OPENSIPS_SRC=TREE or KAMAILIO_SRC=TREE (configured, as for a build)" >&2; exit 1; }
	@test -z "$(OPENSIPS_SRC)" || openser-module/abi_check.sh opensips "$(OPENSIPS_SRC)"
	@test -z "$(KAMAILIO_SRC)" || openser-module/abi_check.sh kamailio "$(KAMAILIO_SRC)"

clean:
	$(CARGO) clean
	rm -rf build

.PHONY: cargo
cargo:
	@command -v $(CARGO) >/dev/null || { echo "cargo is missing: install Rust 1.89 or later, see https://rustup.rs" >&2; exit 1; }
