# make            the module, the switch for outside the proxy and the chat client,
#                 optimised, in build/
# make demo       a proxy with a room in it, and three people who talk
# make test       everything there is to test; first installs what it needs
# make bench      what a delivery costs, beside a minimal server, and how long a restart takes
# make lint       format, compiler and clippy warnings as errors, licences
# make install    what make has built: the module into the proxy's folder (HOST=opensips takes
#                 OpenSIPS', MODULES=… any other), programs, manual pages, header, unit and
#                 documents below PREFIX, /usr/local unless you say otherwise; DESTDIR=… stages it
# make uninstall  takes all that away again; what the rooms keep in /var/lib stays
# make deb        a Debian package of all of it, in build/
# make dist       a source archive that builds without a network, in build/
# make abi-check  our C declarations against a proxy's source tree

CARGO ?= cargo
HOST ?= kamailio

.PHONY: all install uninstall deb dist abi-check deps demo test bench lint clean

all: cargo
	@.ci/deps build
	$(CARGO) build --release --locked
	@# A new file in the place of the old one: a running proxy has that mapped.
	install -D -m 644 target/release/libmsrp_conference.so build/msrp_conference.so
	install -m 755 target/release/msrp-switchd target/release/msrp-chat build
	@mkdir -p build/man build/completions
	@build/msrp-chat man > build/man/msrp-chat.1
	@for tool in check load completions; do build/msrp-chat man $$tool > build/man/msrp-chat-$$tool.1 || exit; done
	@for shell in bash zsh fish; do build/msrp-chat completions $$shell > build/completions/msrp-chat.$$shell || exit; done

deps: cargo
	@.ci/deps

demo: deps
	@$(CARGO) build --locked --quiet --lib --bins
	@HOST=$(HOST) $(CARGO) run --locked --quiet --example demo

test: deps
	@.ci/all-tests

bench: cargo
	$(CARGO) bench --locked --quiet --bench room_load --bench focus_load --bench restart

lint: cargo
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked --quiet --test licences

# Debian's multiarch folder, else the hosts' own default.
MODULES ?= $(firstword $(wildcard /usr/lib/x86_64-linux-gnu/$(HOST)/modules /usr/lib64/$(HOST)/modules /usr/local/lib64/$(HOST)/modules))

PREFIX ?= /usr/local
# Where administrators' own units stand; with PREFIX=/usr those of packages.
UNITS ?= $(if $(filter /usr,$(PREFIX)),/usr/lib/systemd/system,/etc/systemd/system)
SHARE = $(PREFIX)/share
DOCUMENTS = $(SHARE)/doc/msrp-conference
PUT = install -D -m 644

# Not built here: whoever may write there need not have cargo.
install:
	@test -f build/msrp_conference.so || { echo "build/msrp_conference.so is not there yet: make" >&2; exit 1; }
	@test -n "$(MODULES)" || { echo "no module folder of $(HOST) found: make install MODULES=FOLDER" >&2; exit 1; }
	$(PUT) build/msrp_conference.so "$(DESTDIR)$(MODULES)/msrp_conference.so"
	install -D -m 755 build/msrp-chat "$(DESTDIR)$(PREFIX)/bin/msrp-chat"
	install -D -m 755 build/msrp-switchd "$(DESTDIR)$(PREFIX)/sbin/msrp-switchd"
	$(PUT) include/msrp_conference.h "$(DESTDIR)$(PREFIX)/include/msrp_conference.h"
	install -d "$(DESTDIR)$(SHARE)/man/man1"
	install -m 644 build/man/*.1 "$(DESTDIR)$(SHARE)/man/man1"
	$(PUT) packaging/msrp-switchd.8 "$(DESTDIR)$(SHARE)/man/man8/msrp-switchd.8"
	$(PUT) build/completions/msrp-chat.bash "$(DESTDIR)$(SHARE)/bash-completion/completions/msrp-chat"
	$(PUT) build/completions/msrp-chat.zsh "$(DESTDIR)$(SHARE)/zsh/site-functions/_msrp-chat"
	$(PUT) build/completions/msrp-chat.fish "$(DESTDIR)$(SHARE)/fish/vendor_completions.d/msrp-chat.fish"
	install -d "$(DESTDIR)$(UNITS)"
	sed 's#/usr/sbin/#$(PREFIX)/sbin/#' packaging/msrp-switchd.service > "$(DESTDIR)$(UNITS)/msrp-switchd.service"
	$(PUT) packaging/msrp-switchd.sysusers "$(DESTDIR)/usr/lib/sysusers.d/msrp-switchd.conf"
	$(PUT) packaging/msrp-switchd.tmpfiles "$(DESTDIR)/usr/lib/tmpfiles.d/msrp-switchd.conf"
	test -e "$(DESTDIR)/etc/default/msrp-switchd" || $(PUT) packaging/msrp-switchd.default "$(DESTDIR)/etc/default/msrp-switchd"
	packaging/documents "$(DESTDIR)" "$(DOCUMENTS)"
	@# The user of msrp-switchd and the folder of the database, as the Debian package makes them.
	@test -n "$(DESTDIR)" || test "$$(id -u)" != 0 || sh packaging/debian/postinst configure already
	@echo "What next: $(DOCUMENTS)/docs/quickstart.md"

# Options in /etc/default that somebody has changed stay, as does what the rooms have kept.
uninstall:
	rm -f "$(DESTDIR)$(MODULES)/msrp_conference.so" "$(DESTDIR)$(PREFIX)/bin/msrp-chat" \
	    "$(DESTDIR)$(PREFIX)/sbin/msrp-switchd" "$(DESTDIR)$(PREFIX)/include/msrp_conference.h" \
	    "$(DESTDIR)$(SHARE)/man/man1/msrp-chat.1" "$(DESTDIR)$(SHARE)/man/man1/"msrp-chat-*.1 \
	    "$(DESTDIR)$(SHARE)/man/man8/msrp-switchd.8" \
	    "$(DESTDIR)$(SHARE)/bash-completion/completions/msrp-chat" \
	    "$(DESTDIR)$(SHARE)/zsh/site-functions/_msrp-chat" \
	    "$(DESTDIR)$(SHARE)/fish/vendor_completions.d/msrp-chat.fish" \
	    "$(DESTDIR)$(UNITS)/msrp-switchd.service" \
	    "$(DESTDIR)/usr/lib/sysusers.d/msrp-switchd.conf" "$(DESTDIR)/usr/lib/tmpfiles.d/msrp-switchd.conf"
	! cmp -s packaging/msrp-switchd.default "$(DESTDIR)/etc/default/msrp-switchd" || rm "$(DESTDIR)/etc/default/msrp-switchd"
	rm -rf "$(DESTDIR)$(DOCUMENTS)"

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
