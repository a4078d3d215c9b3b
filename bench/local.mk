EXTRA_PROGRAMS += %D%/gemm
%C%_gemm_LDADD = $(TENSOR_LIBS)
EXTRA_PROGRAMS += %D%/runlog
%C%_runlog_SOURCES = %D%/runlog.c
%C%_runlog_LDADD = $(DB_LIBS) $(BASE_LIBS)
EXTRA_PROGRAMS += %D%/screen
%C%_screen_SOURCES = %D%/screen.c
%C%_screen_CPPFLAGS = $(AM_CPPFLAGS) $(CURSES_CFLAGS)
%C%_screen_LDADD = $(UI_LIBS) -lutil
# What the engine trains with, without its verbs.
bench_cell = %D%/cell.c %D%/cell.h %D%/flops.c %D%/flops.h %D%/folder.c %D%/folder.h %D%/logged.c %D%/logged.h \
	src/engine/estimate.c src/engine/estimate.h src/engine/runlog.c src/engine/runlog.h src/engine/session.c src/engine/session.h
bench_cell_libs = $(TRAIN_LIBS) $(DB_LIBS) $(BASE_LIBS)
# Programs that measure many cells.
bench_cells = %D%/cells.c %D%/cells.h $(bench_cell)
EXTRA_PROGRAMS += %D%/step
%C%_step_SOURCES = %D%/step.c $(bench_cells)
%C%_step_LDADD = $(bench_cell_libs)
EXTRA_PROGRAMS += %D%/growth
%C%_growth_SOURCES = %D%/growth.c $(bench_cell)
%C%_growth_LDADD = $(bench_cell_libs)
EXTRA_PROGRAMS += %D%/estimate
%C%_estimate_SOURCES = %D%/estimate.c $(bench_cell)
%C%_estimate_LDADD = $(bench_cell_libs)
# Processes that take turns.
bench_side = %D%/side.c %D%/side.h
EXTRA_PROGRAMS += %D%/overhead
%C%_overhead_SOURCES = %D%/overhead.c $(bench_cells) $(bench_side)
%C%_overhead_LDADD = $(bench_cell_libs)
EXTRA_PROGRAMS += %D%/peer
%C%_peer_SOURCES = %D%/peer.c $(bench_cells) $(bench_side)
%C%_peer_LDADD = $(bench_cell_libs)
EXTRA_DIST += %D%/peer.py
EXTRA_PROGRAMS += %D%/accuracy
%C%_accuracy_LDADD = $(BASE_LIBS)
EXTRA_PROGRAMS += %D%/methods/table
%C%_methods_table_SOURCES = %D%/methods/table.c $(bench_cell)
%C%_methods_table_LDADD = $(bench_cell_libs)
EXTRA_DIST += %D%/methods/README.md %D%/methods/notes.json %D%/methods/table.md %D%/methods/table.json

# A table from each, in some minutes; BENCH_STEP adds options: --data DIR, --vocab FILE, --full.
bench_programs = %D%/step %D%/growth %D%/gemm %D%/runlog %D%/screen
.PHONY: bench
bench:
	$(MAKE) $(AM_MAKEFLAGS) all
	$(MAKE) $(AM_MAKEFLAGS) $(bench_programs)
	%D%/step --json %D%/step.json $(BENCH_STEP)
	%D%/growth --json %D%/growth.json
	%D%/gemm
	%D%/runlog 500 500000
	%D%/screen 1000 100000
# What methods cost beside the frozen model, on a quiet machine; BENCH_OVERHEAD adds options as BENCH_STEP does.
.PHONY: bench-overhead
bench-overhead:
	$(MAKE) $(AM_MAKEFLAGS) all
	$(MAKE) $(AM_MAKEFLAGS) %D%/overhead
	%D%/overhead --json %D%/overhead.json $(BENCH_OVERHEAD)
# Beside PyTorch and PEFT, which the python that PEER_PYTHON names must have; BENCH_PEER adds options as BENCH_STEP does.
.PHONY: bench-peer
bench-peer:
	@test -n "$(PEER_PYTHON)" || { echo "make bench-peer needs PEER_PYTHON=FILE, a python with torch and peft" >&2; exit 1; }
	$(MAKE) $(AM_MAKEFLAGS) all
	$(MAKE) $(AM_MAKEFLAGS) %D%/peer
	%D%/peer --python "$(PEER_PYTHON)" --script $(srcdir)/%D%/peer.py --json %D%/peer.json $(BENCH_PEER)
# The accuracy of bf16 beside that of fp32, over five seeds.
.PHONY: bench-accuracy
bench-accuracy:
	$(MAKE) $(AM_MAKEFLAGS) all
	$(MAKE) $(AM_MAKEFLAGS) %D%/accuracy
	%D%/accuracy --json %D%/accuracy.json $(top_srcdir)/recipes/mr-lora.json $(top_srcdir)/recipes/mr-full.json
# Every method on the movie reviews, five seeds each: an hour, which may be interrupted; BENCH_METHODS adds options, and the words
# of what is to be done.
.PHONY: bench-methods
bench-methods:
	$(MAKE) $(AM_MAKEFLAGS) all
	$(MAKE) $(AM_MAKEFLAGS) %D%/methods/table
	%D%/methods/table --trimtab ./trimtab --home %D%/methods/home --out $(srcdir)/%D%/methods $(BENCH_METHODS)
CLEANFILES += $(bench_programs) %D%/accuracy %D%/estimate %D%/overhead %D%/peer %D%/methods/table %D%/accuracy.json %D%/step.json \
	%D%/growth.json %D%/overhead.json %D%/peer.json
