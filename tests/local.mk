# Tests: programs built by `make check`, scripts run by tests/suite.

check_PROGRAMS += tests/unit/base
tests_unit_base_SOURCES = tests/unit/base.c
tests_unit_base_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/unit/call
tests_unit_call_SOURCES = tests/unit/call.c
tests_unit_call_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/unit/ctl
tests_unit_ctl_SOURCES = tests/unit/ctl.c
tests_unit_ctl_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/unit/envelope
tests_unit_envelope_SOURCES = tests/unit/envelope.c
tests_unit_envelope_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/unit/frame
tests_unit_frame_SOURCES = tests/unit/frame.c
tests_unit_frame_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/unit/hub-registry
tests_unit_hub_registry_SOURCES = tests/unit/hub-registry.c bin/mgr-hub/worker.c bin/mgr-hub/registry.c bin/mgr-hub/regdoc.c
tests_unit_hub_registry_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/unit/json
tests_unit_json_SOURCES = tests/unit/json.c
tests_unit_json_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/unit/lane-basic
tests_unit_lane_basic_SOURCES = tests/unit/lane-basic.c
tests_unit_lane_basic_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/unit/lane-bell
tests_unit_lane_bell_SOURCES = tests/unit/lane-bell.c
tests_unit_lane_bell_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/unit/lane-forged
tests_unit_lane_forged_SOURCES = tests/unit/lane-forged.c
tests_unit_lane_forged_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/unit/lane-kill
tests_unit_lane_kill_SOURCES = tests/unit/lane-kill.c
tests_unit_lane_kill_LDADD = $(MGR_LIBS) -lpthread

check_PROGRAMS += tests/unit/lane-liar
tests_unit_lane_liar_SOURCES = tests/unit/lane-liar.c
tests_unit_lane_liar_LDADD = $(MGR_LIBS) -lpthread

check_PROGRAMS += tests/unit/lane-mem
tests_unit_lane_mem_SOURCES = tests/unit/lane-mem.c
tests_unit_lane_mem_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/unit/lane-slot
tests_unit_lane_slot_SOURCES = tests/unit/lane-slot.c
tests_unit_lane_slot_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/unit/lane-threads
tests_unit_lane_threads_SOURCES = tests/unit/lane-threads.c
tests_unit_lane_threads_LDADD = $(MGR_LIBS) -lpthread

check_PROGRAMS += tests/unit/link
tests_unit_link_SOURCES = tests/unit/link.c
tests_unit_link_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/unit/meta
tests_unit_meta_SOURCES = tests/unit/meta.c
tests_unit_meta_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/unit/os-file
tests_unit_os_file_SOURCES = tests/unit/os-file.c
tests_unit_os_file_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/unit/os-proc
tests_unit_os_proc_SOURCES = tests/unit/os-proc.c
tests_unit_os_proc_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/unit/os
tests_unit_os_SOURCES = tests/unit/os.c
tests_unit_os_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/unit/pool-modes
tests_unit_pool_modes_SOURCES = tests/unit/pool-modes.c
tests_unit_pool_modes_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/unit/pool
tests_unit_pool_SOURCES = tests/unit/pool.c
tests_unit_pool_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/unit/route
tests_unit_route_SOURCES = tests/unit/route.c
tests_unit_route_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/unit/words
tests_unit_words_SOURCES = tests/unit/words.c bin/mgr-ctl/words.c
tests_unit_words_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/handlers/hello
tests_handlers_hello_SOURCES = tests/handlers/hello.c

check_PROGRAMS += tests/handlers/hello-stdio
tests_handlers_hello_stdio_SOURCES = tests/handlers/hello-stdio.c

check_PROGRAMS += tests/handlers/hello-batch
tests_handlers_hello_batch_SOURCES = tests/handlers/hello-batch.c

check_PROGRAMS += tests/handlers/hello-lockstep
tests_handlers_hello_lockstep_SOURCES = tests/handlers/hello-lockstep.c

check_PROGRAMS += tests/handlers/echo-id
tests_handlers_echo_id_SOURCES = tests/handlers/echo-id.c

check_PROGRAMS += tests/handlers/stream
tests_handlers_stream_SOURCES = tests/handlers/stream.c

check_PROGRAMS += tests/handlers/liar
tests_handlers_liar_SOURCES = tests/handlers/liar.c

check_PROGRAMS += tests/e2e/client
tests_e2e_client_SOURCES = tests/e2e/client.c

check_PROGRAMS += tests/fuzz/frame_fuzz
tests_fuzz_frame_fuzz_SOURCES = tests/fuzz/frame_fuzz.c tests/fuzz/fuzz_main.c
tests_fuzz_frame_fuzz_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/fuzz/json_fuzz
tests_fuzz_json_fuzz_SOURCES = tests/fuzz/json_fuzz.c tests/fuzz/fuzz_main.c
tests_fuzz_json_fuzz_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/fuzz/meta_fuzz
tests_fuzz_meta_fuzz_SOURCES = tests/fuzz/meta_fuzz.c tests/fuzz/fuzz_main.c
tests_fuzz_meta_fuzz_LDADD = $(MGR_LIBS)

check_PROGRAMS += tests/fuzz/route_fuzz
tests_fuzz_route_fuzz_SOURCES = tests/fuzz/route_fuzz.c tests/fuzz/fuzz_main.c
tests_fuzz_route_fuzz_LDADD = $(MGR_LIBS)

# Everything a test reads.
EXTRA_DIST += \
	tests/unit/lane-kit.h \
	tests/unit/lane-pair.h \
	tests/unit/lane-work.h \
	tests/unit/pool-kit.h \
	tests/unit/tap.h \
	tests/unit/handlers.t \
	tests/handlers/call.py \
	tests/handlers/cgi-hello.sh \
	tests/handlers/drive.py \
	tests/handlers/exec-env.sh \
	tests/handlers/exit.sh \
	tests/handlers/frame.h \
	tests/handlers/hello.js \
	tests/handlers/hello.pl \
	tests/handlers/hello.py \
	tests/handlers/hello.sh \
	tests/handlers/items.py \
	tests/handlers/meta.h \
	tests/handlers/multi.js \
	tests/bench/bench_house.py \
	tests/bench/bench_http.py \
	tests/bench/bench_lane.py \
	tests/bench/bench_mgr.py \
	tests/bench/bench_peers.py \
	tests/bench/bench_table.py \
	tests/bench/cgi-hello.c \
	tests/bench/cgi-tr.c \
	tests/bench/fcgi-hello.c \
	tests/bench/lane-bench.c \
	tests/bench/lane-raw.c \
	tests/bench/lane-stat.h \
	tests/bench/lane-zmq.c \
	tests/bench/paced.c \
	tests/bench/run \
	tests/e2e/chaos.py \
	tests/e2e/ctl.py \
	tests/e2e/fake-worker.py \
	tests/e2e/fault-handler.py \
	tests/e2e/fault-kill.py \
	tests/e2e/fault-lane.py \
	tests/e2e/fault-stream.py \
	tests/e2e/fault-worker.py \
	tests/e2e/faultkit.py \
	tests/e2e/httpd-guard.py \
	tests/e2e/hub.py \
	tests/e2e/liar-worker.py \
	tests/e2e/main-job.py \
	tests/e2e/manual.py \
	tests/e2e/mgrctl.py \
	tests/e2e/stack.py \
	tests/lint/forbidden.py \
	tests/lint/hardening.sh \
	tests/lint/headers.sh \
	tests/lint/kit.py \
	tests/lint/layers.py \
	tests/lint/manual.py \
	tests/lint/shell.sh \
	tests/lint/suite.py \
	tests/lint/symbols.sh \
	tests/lint/tree.py \
	tests/model/README \
	tests/model/bell.pml \
	tests/model/flag.pml \
	tests/model/lane.pml \
	tests/model/run \
	tests/fuzz/corpus/frame/garbage \
	tests/fuzz/corpus/frame/limits \
	tests/fuzz/corpus/frame/request \
	tests/fuzz/corpus/frame/stream \
	tests/fuzz/corpus/json/bytes \
	tests/fuzz/corpus/json/nested \
	tests/fuzz/corpus/json/numbers \
	tests/fuzz/corpus/json/object \
	tests/fuzz/corpus/meta/answer \
	tests/fuzz/corpus/meta/envelope \
	tests/fuzz/corpus/meta/envelope-json \
	tests/fuzz/corpus/meta/request \
	tests/fuzz/corpus/route/items \
	tests/fuzz/corpus/route/params \
	tests/fuzz/corpus/route/refused \
	tests/fuzz/fuzz.h \
	tests/fuzz/run \
	tests/run \
	tests/suite \
	tests/long \
	$(NULL)

check-local: all $(check_PROGRAMS)
	MGR_BUILD=$(abs_top_builddir) $(top_srcdir)/tests/suite $(SUITE)

bench: all $(check_PROGRAMS)
	MGR_BUILD=$(abs_top_builddir) $(top_srcdir)/tests/bench/run

.PHONY: bench
